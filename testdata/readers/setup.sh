#!/bin/sh
# Makes the Python environment in which the real loaders read what Millrace writes:
#
#   setup.sh VENVDIR        ($PYTHON chooses the interpreter; /usr/bin/python3 unless said)
#
# Does nothing when VENVDIR has these requirements already. About 110 MB of wheels; none
# of them is built here, and none is for a GPU.
set -eu
[ $# = 1 ] || { sed -n '2,7p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
venv=$1
stamp=$venv/requirements.stamp
want=$(cat "$here/requirements.txt" "$here/requirements-nodeps.txt")
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && exit 0
rm -rf "$venv"
"${PYTHON:-/usr/bin/python3}" -m venv "$venv"
install() { "$venv/bin/pip" install -q --disable-pip-version-check --no-input --only-binary :all: "$@"; }
install -r "$here/requirements.txt"
install --no-deps -r "$here/requirements-nodeps.txt"
if unwanted=$("$venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -iE '^(torch|nvidia|triton)'); then
	echo "setup.sh: nothing here may need a GPU's packages, but these came: $unwanted" >&2
	exit 1
fi
printf '%s\n' "$want" >"$stamp" # last: an interrupted run starts again
