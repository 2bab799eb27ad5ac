#!/usr/bin/env bash
# Run the fuzz targets one after the other, and print what each did.
#
#   deploy/fuzz.sh [TIME] [ONLY] [WORKERS]
#
# TIME is that of one target, in seconds (30s) or minutes (5m); ONLY is a regular expression
# over "package Target", as in 'codecs/still|FuzzTar$'. Defaults: 30s, all of them, 2 workers.
# An input that fails is kept as testdata/fuzz/Target/NAME in its package, where `go test`
# runs it from then on; one that only takes a new path is kept in Go's cache, for the next
# time. C is not instrumented: what FFmpeg and the image libraries do with an input does not
# steer the search.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s} only=${2:-.} workers=${3:-2}
case $time in
*[!0-9sm]* | '' | [sm]*) echo "fuzz: TIME is $time, and not such as 30s or 5m" >&2; exit 2 ;;
*m) seconds=$((60 * ${time%m})) ;;
*) seconds=${time%s} ;;
esac
module=$(go list -m)
cache=$(go env GOCACHE)/fuzz/$module
out=$PWD/build/fuzz
mkdir -p "$out"
row='%-24s %-20s %8s %12s %6s %6s  %s\n'

# peak PID: the most memory in MiB that one process of its group has had, once it ends.
peak() {
	local most=0 p v
	while kill -0 "$1" 2>/dev/null; do
		for p in $(pgrep -g "$1" || true); do
			v=$(awk '/^VmHWM:/{print int($2/1024)}' "/proc/$p/status" 2>/dev/null || true)
			[ "${v:-0}" -le "$most" ] || most=$v
		done
		sleep 0.5
	done
	echo "$most"
}

# run PACKAGE TARGET BINARY: one target, and its row of the table.
run() {
	local log=$out/${1//\//-}-$2.log status=0 find=ok pid most last file
	# Go's own end of the time does not reach an input that never ends: hence timeout, which
	# also makes the group that peak looks at.
	(cd "$1" && exec timeout -k 10 $((2 * seconds + 120)) "$3" -test.run='^$' -test.fuzz="^$2\$" -test.fuzztime="${seconds}s" \
		-test.fuzzminimizetime=1000x -test.fuzzcachedir="$cache/$1" -test.parallel="$workers") >"$log" 2>&1 &
	pid=$!
	most=$(peak "$pid")
	wait "$pid" || status=$?
	last=$(grep 'elapsed: .* execs: ' "$log" | tail -n 1 || true)
	file=$(sed -n 's/.*Failing input written to //p' "$log" | head -n 1)
	# Go sometimes takes its own end of the time for a failure of the target, without an input.
	if [ "$status" = 1 ] && [ -z "$file" ] && grep -A1 -e '^--- FAIL' "$log" | grep -qx ' *context deadline exceeded'; then
		status=0
	fi
	case $status in
	0) ;;
	124 | 137) find="FAIL: it did not end: $log" ;;
	*) find="FAIL: ${file:+$1/}${file:-$log}" ;;
	esac
	# shellcheck disable=SC2059
	printf "$row" "$1" "$2" "$(sed -n 's/.*elapsed: \([^,]*\),.*/\1/p' <<<"$last")" "$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' <<<"$last")" \
		"$(sed -n 's/.*new interesting: \([0-9]*\).*/\1/p' <<<"$last")" "$most" "$find"
	[ "$status" = 0 ]
}

ran=0 failed=0
# shellcheck disable=SC2059
printf "$row" package target seconds runs new MiB find
for package in $(git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n 1 dirname | sort -u); do
	built=
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$package"/*_test.go | sort -u); do
		grep -Eq -- "$only" <<<"$package $target" || continue
		if [ -z "$built" ]; then
			built=$out/${package//\//-}.test
			go test -c -fuzz=. -o "$built" "./$package"
		fi
		ran=$((ran + 1))
		run "$package" "$target" "$built" || failed=$((failed + 1))
	done
	rm -f "$built"
done
[ "$ran" -gt 0 ] || { echo "fuzz: no target is called $only" >&2; exit 2; }
echo "fuzz: $ran targets of $seconds s, $failed failed; their output is in build/fuzz"
[ "$failed" = 0 ]
