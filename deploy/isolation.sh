#!/usr/bin/env bash
# What confined mills cost: a backfill through them, in turn with one that decodes in its own
# process (mill.isolation: none), on the same files and cores.
#
#   deploy/isolation.sh [RUNS] [FOLDER]    default 5 and build/bench; ratios are medians of pairs
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-5}
dir=${2:-build/bench}
mkdir -p "$dir"

# Video: the clips of bench.sh if they are there, else shorter ones like them.
for f in a b; do
	[ -s "$dir/$f.mp4" ] || {
		ffmpeg -v error -y -f lavfi -i "testsrc2=s=1920x1080:r=30:d=30,noise=alls=5:allf=t:all_seed=1" \
			-c:v libx264 -b:v 5M -pix_fmt yuv420p -g 250 "$dir/$f.part.mp4" && mv "$dir/$f.part.mp4" "$dir/$f.mp4"
	}
done
# Each under four names: mills take some 0.3 s to start, which is not what a run of hours pays.
mkdir -p "$dir/films"
for n in 1 2 3 4; do ln -f "$dir/a.mp4" "$dir/films/a$n.mp4"; ln -f "$dir/b.mp4" "$dir/films/b$n.mp4"; done
# Stills: 4,000 of 256 pixels, where a job is about as long as its way there and back, and 400
# of a megapixel. Two hundred pictures each, under many names.
make_stills() { # make_stills FOLDER WIDTH HEIGHT COUNT
	[ -e "$1/done" ] && return
	mkdir -p "$1"
	ffmpeg -v error -y -f lavfi -i "testsrc2=s=$2x$3:r=25:d=8,noise=alls=12:allf=t:all_seed=1" -pix_fmt yuvj420p -q:v 4 "$1/%04d.jpg"
	local n
	for n in $(seq 201 "$4"); do ln -f "$1/$(printf %04d $(((n - 1) % 200 + 1))).jpg" "$1/$(printf %04d "$n").jpg"; done
	touch "$1/done"
}
make_stills "$dir/small" 256 256 4000
make_stills "$dir/megapixel" 1152 864 400
cat "$dir"/[ab].mp4 "$dir"/small/*.jpg "$dir"/megapixel/*.jpg >/dev/null # into the page cache

cat >"$dir/isolation.yaml" <<'Y'
dataset: bench
video: {pick: {fps: 2}}
tokens: [{preset: vit-base-patch16-224, dtype: uint8}]
Y
backfill() { # backfill ISOLATION SOURCE...: seconds by the clock, and of processors
	local isolation=$1 TIMEFORMAT='%R %U %S'
	shift
	rm -rf "$dir/isolation-out"
	{ time MILLRACE_MILL_ISOLATION=$isolation bin/millrace backfill --quiet --recipe "$dir/isolation.yaml" --to "$dir/isolation-out" "$@" \
		>"$dir/isolation.log" 2>&1 || { cat "$dir/isolation.log" >&2; return 1; }; } 2>&1 | awk '{print $1, $2+$3}'
}
median() { sort -n | awk '{v[NR]=$1} END{print (NR%2) ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
compare() { # compare NAME SOURCE...
	local name=$1 pairs="$dir/isolation.pairs" i
	shift
	: >"$pairs"
	backfill process "$@" >/dev/null # warm
	for i in $(seq "$runs"); do # who goes first changes, so that neither has the warmer machine
		if ((i % 2)); then m=$(backfill process "$@") n=$(backfill none "$@"); else n=$(backfill none "$@") m=$(backfill process "$@"); fi
		echo "$n $m" | awk '{print $1/$3, $2/$4, $1, $3}' >>"$pairs"
	done
	printf '%s: in mills %s s, in process %s s; mills have %.3f of its throughput (%.3f to %.3f in %d pairs), and %.3f by time of processors\n' "$name" \
		"$(cut -d' ' -f4 "$pairs" | median)" "$(cut -d' ' -f3 "$pairs" | median)" "$(cut -d' ' -f1 "$pairs" | median)" \
		"$(sort -n "$pairs" | head -1 | cut -d' ' -f1)" "$(sort -n "$pairs" | tail -1 | cut -d' ' -f1)" "$runs" "$(cut -d' ' -f2 "$pairs" | median)"
}
compare "4 min of 1080p H.264 at 2 frames a second" "$dir/films"
compare "400 JPEGs of a megapixel" "$dir/megapixel"
compare "4,000 JPEGs of 256x256" "$dir/small"
