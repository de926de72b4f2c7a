#!/usr/bin/env bash
# Runs the engine's interop test against a server that is no MariaDB: Dolt, which speaks the dialect of MySQL 8.0 and its GTIDs. It is
# built once into .cache and runs on a port of this host until the test is over. With OPSDECK_TEST_MYSQL=host:port:user:password
# set, the test runs against that server instead, where it drops and creates the schemas interop, interop_resume and interop_0900.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=v0.40.5-0.20260507221239-14b38e279fc6 # Dolt 1.88.1
cache=$PWD/.cache/dolt-$version

run() { go test -count=1 -run '^TestInterop$' -v ./services/replication-jobs/internal/engine; }

if [ -n "${OPSDECK_TEST_MYSQL:-}" ]; then
	run
	exit
fi

if [ ! -x "$cache/dolt" ]; then
	echo "building Dolt $version (some minutes, once)"
	GOWORK=off GOBIN=$cache go install -tags gms_pure_go -ldflags '-s -w' "github.com/dolthub/dolt/go/cmd/dolt@$version"
fi

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; [ -z "$server" ] || wait "$server" || true; rm -rf "$work"' EXIT
port=$((20000 + RANDOM % 10000))
mkdir "$work/data"
cat >"$work/config.yaml" <<CONFIG
log_level: warning
listener: {host: 127.0.0.1, port: $port}
data_dir: $work/data
system_variables: {log_bin: 1, gtid_mode: "ON", enforce_gtid_consistency: "ON", server_id: 77}
CONFIG
export DOLT_ROOT_PATH=$work DOLT_DISABLE_EVENT_FLUSH=1 # it reports nothing to anybody
"$cache/dolt" config --global --add metrics.disabled true >/dev/null
"$cache/dolt" config --global --add user.name opsdeck >/dev/null
"$cache/dolt" config --global --add user.email opsdeck@localhost >/dev/null
"$cache/dolt" sql-server --config "$work/config.yaml" >"$work/log" 2>&1 &
server=$!
for _ in $(seq 100); do
	(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
	kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
	sleep 0.2
done
OPSDECK_TEST_MYSQL=127.0.0.1:$port:root: run
