#!/bin/sh
# Makes the Python environment in which the real loaders read what Millrace writes:
#
#   setup.sh VENVDIR        ($PYTHON chooses the interpreter; /usr/bin/python3 unless said)
#
# Does nothing when VENVDIR has these requirements already.
set -eu
[ $# = 1 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
venv=$1
stamp=$venv/requirements.stamp
cmp -s "$here/requirements.txt" "$stamp" && exit 0
rm -rf "$venv"
"${PYTHON:-/usr/bin/python3}" -m venv "$venv"
"$venv/bin/pip" install -q --disable-pip-version-check --no-input -r "$here/requirements.txt"
cp "$here/requirements.txt" "$stamp" # last: an interrupted run starts again
