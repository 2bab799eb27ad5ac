#!/bin/sh
# Installs what Debian 12 has of the things that building and testing need. Go itself
# is not among them. Does nothing, at once, where all is there.
#
#   deploy/tools/apt.sh               as root
set -eu

# The libraries' headers and FFmpeg's tools; a C compiler for cgo; what runs Kafka and
# fetches it; what the tests with Python make their environments with.
want='
libavcodec-dev libavdevice-dev libavfilter-dev libavformat-dev libavutil-dev
libswresample-dev libswscale-dev
libjpeg62-turbo-dev libwebp-dev
ffmpeg pkg-config gcc libc6-dev make git ca-certificates
openjdk-17-jre-headless maven
python3 python3-venv
'

# shellcheck disable=SC2086 # a list of names
have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $want 2>/dev/null || true)
missing=
for p in $want; do
	echo "$have" | grep -qx "installed $p" || missing="$missing $p"
done
if [ -z "$missing" ]; then
	exit 0
fi

if ! command -v apt-get >/dev/null; then
	echo "apt.sh: this is no Debian; install what is equal to:$missing" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "apt.sh: these packages are missing, and only root can install them:" >&2
	echo "  sudo apt-get update && sudo apt-get install --no-install-recommends$missing" >&2
	exit 1
fi

echo "apt.sh: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of names
if ! apt-get install -y -qq --no-install-recommends $missing >&2; then
	echo "apt.sh: apt-get could not install all of it (its words are above)" >&2
	exit 1
fi
