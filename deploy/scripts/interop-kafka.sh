#!/usr/bin/env bash
# Runs the tests of subscriptions against a real Apache Kafka: one broker in KRaft mode, whose jars Maven fetches once into .cache, on ports of
# this host until the tests are over. What they wrote is read back with kcat.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=3.9.1
cache=$PWD/.cache/kafka-$version

for tool in java mvn kcat; do
	command -v "$tool" >/dev/null || { echo "missing: $tool (apt-get install default-jre-headless maven kcat)" >&2; exit 1; }
done

if [ ! -d "$cache/lib" ]; then
	echo "fetching Kafka $version (once)"
	mkdir -p "$cache"
	cat >"$cache/pom.xml" <<-POM
		<project xmlns="http://maven.apache.org/POM/4.0.0">
		  <modelVersion>4.0.0</modelVersion>
		  <groupId>opsdeck</groupId><artifactId>interop</artifactId><version>1</version>
		  <dependencies>
		    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
		    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
		  </dependencies>
		</project>
	POM
	mvn -q -B -f "$cache/pom.xml" dependency:copy-dependencies -DoutputDirectory="$cache/part"
	mv "$cache/part" "$cache/lib"
fi

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; [ -z "$server" ] || wait "$server" || true; rm -rf "$work"' EXIT
port=$((20000 + RANDOM % 10000))
cat >"$work/server.properties" <<CONFIG
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
log.dirs=$work/data
num.partitions=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
CONFIG
kafka() { java -Xmx512m -cp "$cache/lib/*" "$@"; }
kafka kafka.tools.StorageTool format -t "$(kafka kafka.tools.StorageTool random-uuid)" -c "$work/server.properties" >/dev/null
java -Xmx512m -cp "$cache/lib/*" kafka.Kafka "$work/server.properties" >"$work/log" 2>&1 &
server=$!
for _ in $(seq 300); do
	kcat -b "127.0.0.1:$port" -L >/dev/null 2>&1 && break
	kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
	sleep 0.2
done

OPSDECK_TEST_KAFKA=127.0.0.1:$port go test -count=1 -run '^TestSubscribe(Types)?$' -v ./services/replication-jobs/internal/engine

# A copy of 1000 rows and an insert, read as any consumer reads them.
read_back=$(kcat -b "127.0.0.1:$port" -C -t full.subfull.t -o beginning -e -q -X isolation.level=read_committed -f '%k\n' | sort -u | wc -l)
[ "$read_back" -eq 1001 ] || { echo "kcat read $read_back keys of full.subfull.t, want 1001" >&2; exit 1; }
kcat -b "127.0.0.1:$port" -C -t all.shop.t -o beginning -e -q -Z -X isolation.level=read_committed -f '%k %s\n' | grep -q '^{"id":9} NULL$' ||
	{ echo "kcat read no tombstone of {\"id\":9} in all.shop.t" >&2; exit 1; }
echo "kcat read back what was written"
