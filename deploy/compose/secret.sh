#!/bin/sh
# Makes the secret key that the compose file's S3 server and workers share, once. Only
# its owner can reach the folder; the containers, which run as others, read the file.
set -eu
cd "$(dirname "$0")"
mkdir -p -m 700 secrets
if [ -s secrets/s3_secret_key ]; then
	exit 0
fi
od -An -vtx1 -N24 /dev/urandom | tr -d ' \n' >secrets/part
chmod 444 secrets/part
mv secrets/part secrets/s3_secret_key
echo "secret.sh: made $(pwd)/secrets/s3_secret_key" >&2
