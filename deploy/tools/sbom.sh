#!/bin/sh
# Prints what an image is made of, as a CycloneDX 1.5 document: each Debian package, among
# them FFmpeg's libraries, and each Go module of the binary.
#
#   deploy/tools/sbom.sh VERSION PACKAGES MODULES
#
# PACKAGES is a file made by
#   dpkg-query -W -f '${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n'
# and MODULES one of `go version -m BINARY`. Equal inputs give equal bytes.
set -eu
exec awk -v version="$1" '
function esc(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return s }
# A purl keeps letters, digits and .-_~/ as they are.
function purl(s) { gsub(/%/, "%25", s); gsub(/\+/, "%2B", s); gsub(/:/, "%3A", s); gsub(/@/, "%40", s); gsub(/ /, "%20", s); return s }
function component(kind, name, ver, ref, more) {
	printf "%s\n  {\"type\": \"%s\", \"bom-ref\": \"%s\", \"name\": \"%s\", \"version\": \"%s\", \"purl\": \"%s\"%s}", n++ ? "," : "", kind, esc(ref), esc(name), esc(ver), esc(ref), more
}
function property(name, value) { return "{\"name\": \"millrace:" name "\", \"value\": \"" esc(value) "\"}" }
BEGIN {
	FS = "\t"
	printf "{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.5\", \"version\": 1,\n"
	printf " \"metadata\": {\"component\": {\"type\": \"container\", \"bom-ref\": \"millrace\", \"name\": \"millrace\", \"version\": \"%s\"}},\n", esc(version)
	printf " \"components\": ["
}
FNR == 1 { file++ }
file == 1 && NF == 5 {
	ref = "pkg:deb/debian/" purl($1) "@" purl($2) "?arch=" purl($3)
	if ($4 != $1 || $5 != $2) ref = ref "&upstream=" purl($4) "%40" purl($5)
	component("library", $1, $2, ref, ", \"properties\": [" property("source", $4) ", " property("source-version", $5) "]")
	packages++
}
# go version -m: the binary and its Go version, then a tab and: mod|dep|=> PATH VERSION SUM
file == 2 && FNR == 1 { split($0, w, ": go"); component("library", "stdlib", w[2], "pkg:golang/stdlib@" w[2], ""); next }
file == 2 && ($2 == "dep" || $2 == "=>") {
	if ($2 == "=>") held = "" # what replaces a module comes in its place
	if (held != "") flush()
	held = $3; ver = $4; sum = $5
	modules++
}
function flush() { component("library", held, ver, "pkg:golang/" purl(held) "@" purl(ver), sum == "" ? "" : ", \"properties\": [" property("sum", sum) "]") }
END {
	if (held != "") flush()
	print "\n ]}"
	if (!packages || !modules) { print "sbom.sh: there are no packages or no modules in the lists" > "/dev/stderr"; exit 1 }
}' "$2" "$3"
