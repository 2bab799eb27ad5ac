#!/usr/bin/env bash
# Peak memory of a backfill with two mills, proportional set size of the process and its
# mills together, on a small file and on one that is a hundred times larger.
#
#   deploy/memory.sh [FOLDER]    default build/bench
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${1:-build/bench}
mr=bin/millrace
mkdir -p "$dir"
cat >"$dir/memory.yaml" <<'Y'
dataset: memory
video: {pick: {fps: 2}}
tokens: [{preset: vit-base-patch16-224, dtype: uint8}]
Y
# make_file FILE SECONDS: 1080p30; the bit rate is high so that the bytes are many and the
# seconds few. One second is encoded and repeated without being decoded again.
make_file() {
	[ -s "$1" ] && return
	echo "making $1"
	[ -s "$dir/second.mp4" ] || ffmpeg -v error -y -f lavfi -i "testsrc2=s=1920x1080:r=30:d=1,noise=alls=80:allf=t" \
		-c:v libx264 -preset ultrafast -b:v 160M -minrate 160M -maxrate 160M -bufsize 160M -pix_fmt yuv420p -bf 2 -g 30 "$dir/second.mp4"
	ffmpeg -v error -y -stream_loop $(($2 - 1)) -i "$dir/second.mp4" -c copy "$1.part.mp4"
	mv "$1.part.mp4" "$1"
}
make_file "$dir/small-1.mp4" 1
make_file "$dir/large-1.mp4" 105
# Small ones by the dozen, or the run would be over before its peak was seen.
small=() large=("$dir/large-1.mp4" "$dir/large-2.mp4")
for i in $(seq 24); do
	small+=("$dir/small-$i.mp4")
	[ -e "$dir/small-$i.mp4" ] || ln "$dir/small-1.mp4" "$dir/small-$i.mp4"
done
[ -e "$dir/large-2.mp4" ] || ln "$dir/large-1.mp4" "$dir/large-2.mp4"

pss() { # pss PID: MiB of PID and all its children
	local n=0 v p
	for p in "$1" $(cat "/proc/$1/task/"*/children 2>/dev/null || true); do
		v=$(awk '/^Pss:/{print $2}' "/proc/$p/smaps_rollup" 2>/dev/null || true)
		n=$((n + ${v:-0}))
	done
	echo $((n / 1024))
}
peak() { # peak FILE...: the highest PSS seen while a backfill of these files runs
	rm -rf "$dir/memory-out"
	$mr backfill --quiet --recipe "$dir/memory.yaml" --to "$dir/memory-out" "$@" >"$dir/memory.log" &
	local p=$! m=0 v
	while kill -0 $p 2>/dev/null; do
		v=$(pss $p); [ "$v" -gt "$m" ] && m=$v
		sleep 0.05
	done
	wait $p
	echo "$m"
}
size() { stat -c %s "$1" | awk '{printf "%.0f MB", $1/1e6}'; }
s=$(peak "${small[@]}")
l=$(peak "${large[@]}")
echo "peak memory (PSS, process and two mills, 1080p): 24 files of $(size "$dir/small-1.mp4"): $s MiB; two files of $(size "$dir/large-1.mp4"): $l MiB; ratio $(awk -v a="$l" -v b="$s" 'BEGIN{printf "%.2f", a/b}')"
