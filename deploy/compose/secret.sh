#!/bin/sh
# Makes the secrets of the compose file, once: the S3 key that server, workers and gateway
# share; a token for those who push through the gateway; one for Prometheus, which reads
# the gateway's metrics; a password for Grafana. Only its owner can reach the folder; the
# containers, which run as others, read the files.
set -eu
cd "$(dirname "$0")"
mkdir -p -m 700 secrets

made() { echo "secret.sh: made $(pwd)/secrets/$1" >&2; }

# digits N: N random bytes in hexadecimal.
digits() { od -An -vtx1 -N"$1" /dev/urandom | tr -d ' \n'; }

# once NAME TEXT: a file appears whole, or not at all.
once() {
	printf %s "$2" >secrets/part
	chmod 444 secrets/part
	mv secrets/part "secrets/$1"
	made "$1"
}

# tokens are kept by the gateway as digests only; see `millrace gateway token`.
kept() {
	id=$(printf %s "$2" | cut -d_ -f2)
	sum=$(printf %s "$2" | sha256sum | cut -d' ' -f1)
	expires=$(date -u -d '+90 days' +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v+90d +%Y-%m-%dT%H:%M:%SZ)
	printf -- '- {id: "%s", sha256: "%s", tenant: local, scopes: [%s], expires: "%s"}\n' "$id" "$sum" "$1" "$expires"
}

[ -s secrets/s3_secret_key ] || once s3_secret_key "$(digits 24)"
[ -s secrets/grafana_password ] || once grafana_password "$(digits 16)"
if ! [ -s secrets/gateway_tokens ]; then # the last of three: without it the others are made anew
	push="mrt_$(digits 6)_$(digits 32)"
	metrics="mrt_$(digits 6)_$(digits 32)"
	once gateway_token "$push"
	once gateway_metrics_token "$metrics"
	once gateway_tokens "$(kept 'ingest:write, jobs:read' "$push"; kept admin "$metrics")"
fi
