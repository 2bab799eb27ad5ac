#!/usr/bin/env bash
# Throughput and memory of a backfill, beside ffmpeg on the same files and cores.
#
#   deploy/bench.sh [RUNS]      default 5; every figure is a median, every ratio of pairs
#
# Files lie in build/bench (made once by ffmpeg, from a fixed source; nothing is fetched).
# Machines are noisy: the ratio of runs that were made in turn is the figure, not the seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-5}
dir=build/bench
mr=bin/millrace
mkdir -p "$dir"

# make_clip FILE SECONDS: 1080p30 H.264 at about 5 Mbit/s, x264 defaults: B-frames (70 % of all), b-pyramid.
make_clip() {
	[ -s "$1" ] || {
		echo "making $1 ($2 s of 1080p)"
		ffmpeg -v error -y -f lavfi -i "testsrc2=s=1920x1080:r=30:d=$2,noise=alls=5:allf=t:all_seed=1" \
			-c:v libx264 -b:v 5M -pix_fmt yuv420p -g 250 "$1.part.mp4" && mv "$1.part.mp4" "$1"
	}
}
make_clip "$dir/a.mp4" 30
make_clip "$dir/b.mp4" 30
cat "$dir"/*.mp4 >/dev/null # into the page cache

cat >"$dir/recipe.yaml" <<'Y'
dataset: bench
video: {pick: {fps: 2}}
tokens: [{preset: vit-base-patch16-224, dtype: uint8}]
Y

seconds() { # seconds COMMAND...: wall time of a command that says nothing
	local t0 t1
	t0=$(date +%s.%N)
	"$@" >"$dir/last.log" 2>&1 || { cat "$dir/last.log" >&2; return 1; }
	t1=$(date +%s.%N)
	awk -v a="$t0" -v b="$t1" 'BEGIN{printf "%.3f\n", b-a}'
}
reference() {
	ffmpeg -v error -threads 1 -i "$dir/a.mp4" -f null - & local p=$!
	ffmpeg -v error -threads 1 -i "$dir/b.mp4" -f null - || return 1
	wait $p
}
ours() { rm -rf "$dir/out"; $mr backfill --quiet --recipe "$dir/recipe.yaml" --to "$dir/out" "$@" "$dir/a.mp4" "$dir/b.mp4"; }

median() { sort -n | awk '{v[NR]=$1} END{print (NR%2) ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
seconds reference >/dev/null; seconds ours >/dev/null # warm
for i in $(seq "$runs"); do
	r=$(seconds reference) o=$(seconds ours)
	echo "run $i: ffmpeg decode to nothing $r s, backfill at 2 fps to patches in tar $o s, ratio $(awk -v r="$r" -v o="$o" 'BEGIN{printf "%.3f", r/o}')"
	echo "$r $o" >>"$dir/pairs.$$"
done
ref=$(cut -d' ' -f1 "$dir/pairs.$$" | median) our=$(cut -d' ' -f2 "$dir/pairs.$$" | median)
ratio=$(awk '{print $1/$2}' "$dir/pairs.$$" | median)
rm -f "$dir/pairs.$$"
echo "60 s of 1080p H.264 on $(nproc) cores, medians of $runs: ffmpeg $ref s, millrace $our s; millrace has $(awk -v r="$ratio" 'BEGIN{printf "%.2f", r}') of ffmpeg's throughput"

deploy/isolation.sh "$runs" "$dir"

deploy/memory.sh "$dir"
