#!/bin/sh
# Builds versitygw, a real S3 server for the tests and the demo, into DIR. Skipped
# where it is there already.
#
#   deploy/tools/versitygw.sh DIR     e.g. .cache/bin
set -eu

version=v1.8.0 # the first whose conditional puts are exclusive

if [ $# -ne 1 ]; then
	echo "usage: deploy/tools/versitygw.sh DIR" >&2
	exit 2
fi
if [ -x "$1/versitygw" ]; then
	exit 0
fi
if ! command -v go >/dev/null; then
	echo "versitygw.sh: Go is not installed; see https://go.dev/dl" >&2
	exit 1
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd) # GOBIN must be absolute
work=$(mktemp -d "$dir/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "versitygw.sh: building versitygw $version (some minutes, once)" >&2
# Outside the module, so that go.mod has no say in what is built.
if ! (cd "$work" && GOFLAGS= GOBIN="$work" go install "github.com/versity/versitygw/cmd/versitygw@$version"); then
	echo "versitygw.sh: Go could not build it (its words are above); see that the module proxy can be reached" >&2
	exit 1
fi
mv "$work/versitygw" "$dir/versitygw" # in one step, so that an interrupted build leaves nothing
