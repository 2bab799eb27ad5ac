#!/usr/bin/env bash
# Pushes real media through the ingest topic of the embedded stack, and ends with shards
# on disk, a snapshot, a verified ledger and a picture to look at.
set -euo pipefail
cd "$(dirname "$0")/.."
state=.millrace/demo
mr=bin/millrace
rm -rf "$state"
mkdir -p "$state"

echo "== up: broker, store and worker in one process (log: $state/up.log)"
$mr up --state "$state" --listen 127.0.0.1:0 --recipe testdata/recipes/demo.yaml >"$state/up.log" 2>&1 &
up=$!
trap 'kill -9 $up 2>/dev/null || true; tail -n 5 "$state/up.log" >&2' EXIT # only if it fails

echo "== push: videos, images, and one file that is not what it says"
head -c 20000 testdata/videos/demo_720p.mp4 >"$state/broken.mp4"
$mr push --state "$state" --dataset demo --wait 120s \
	testdata/videos/demo_720p.mp4 testdata/videos/h264_rot90.mp4 testdata/videos/h264_vfr.mkv testdata/videos/hevc.mp4 testdata/videos/vp9.webm \
	testdata/images/golden/*.jpg testdata/images/golden/*.png testdata/images/odd/*.webp "$state/broken.mp4"

echo "== down: the worker drains and commits"
kill -TERM $up
wait $up
trap - EXIT

echo "== publish: a snapshot, and the loaders' indexes for it"
$mr publish "$state/store"
echo "== inspect: what is in it"
$mr inspect "$state/store" --sheet "$state/sheet.png"
echo "== verify: every record, every shard"
$mr verify "$state/store"
