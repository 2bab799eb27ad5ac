#!/bin/sh
# Puts the jars of a real Apache Kafka broker where the tests and the demo look for
# them. Nothing is installed: Maven and Java must be there.
#
#   deploy/tools/kafka.sh fetch DIR     jars to DIR/4.1.0, e.g. fetch .cache/kafka
set -eu

kafka=4.1.0
scala=2.13
slf4j=1.7.36

usage() {
	echo "usage: deploy/tools/kafka.sh fetch DIR" >&2
	exit 2
}

missing() {
	echo "kafka.sh: $1 is not installed; on Debian: apt-get install $2 (or run deploy/tools/apt.sh as root)" >&2
	exit 1
}

fetch() {
	dir=$1/$kafka
	if [ -e "$dir/.complete" ]; then
		return
	fi
	command -v java >/dev/null || missing java openjdk-17-jre-headless
	command -v mvn >/dev/null || missing mvn maven

	mkdir -p "$1"
	root=$(cd "$1" && pwd) # Maven takes a relative folder from its pom, not from here
	work=$(mktemp -d "$root/fetch.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millrace</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_$scala</artifactId><version>$kafka</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>$slf4j</version></dependency>
  </dependencies>
</project>
POM
	echo "kafka.sh: fetching Apache Kafka $kafka from Maven Central (about 43 MB, once)" >&2
	if ! mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies \
		-DoutputDirectory="$work/jars" -DincludeScope=runtime >"$work/log" 2>&1; then
		cat "$work/log" >&2
		echo "kafka.sh: Maven could not fetch the jars (its words are above); see that Maven Central or your mirror in ~/.m2/settings.xml can be reached" >&2
		exit 1
	fi
	if ! [ -e "$work/jars/kafka_$scala-$kafka.jar" ]; then
		echo "kafka.sh: Maven ended well but left no kafka_$scala-$kafka.jar" >&2
		exit 1
	fi
	touch "$work/jars/.complete"
	rm -rf "$dir"
	mv "$work/jars" "$dir" # in one step, so that an interrupted fetch leaves no half folder
	echo "kafka.sh: $(ls "$dir" | wc -l) jars in $dir" >&2
}

[ $# -eq 2 ] && [ "$1" = fetch ] || usage
fetch "$2"
