#!/bin/bash
# Prepares an installation of the separate services. What exists is kept, so that it may run at every start.
#
#   init.sh secrets [DIR]    makes a CA, certificates, keys and passwords below DIR (default /secrets), one folder per process
#   init.sh database [DIR]   makes each service's role and schema in PostgreSQL (PGHOST, PGPORT, PGUSER, PGDATABASE choose it)
set -euo pipefail
umask 077

services='auth dns replication'
processes='auth dns replication worker gateway postgres nats'
uid_of() { if [ "$1" = postgres ]; then echo 999; else echo 10001; fi; }

# The passwords have only letters and digits: they stand in URLs and in a NATS configuration.
random() { openssl rand -hex 24; }

# keep PATH: writes standard input to PATH unless it exists, and never leaves half a file.
keep() {
	if [ -e "$1" ]; then
		cat >/dev/null
	else
		cat >"$1.new" && mv "$1.new" "$1"
	fi
}

make_ca() {
	[ -e "$1/ca.crt" ] && return
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=opsdeck internal CA' \
		-addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
		-keyout "$1/ca.key" -out "$1/ca.crt.new" 2>/dev/null
	mv "$1/ca.crt.new" "$1/ca.crt"
}

# certify CA NAME DIR: a certificate that serves as server and as client, renewed when it has less than 90 days left.
certify() {
	cp "$1/ca.crt" "$3/ca.crt"
	if [ -e "$3/tls.crt" ] && openssl x509 -in "$3/tls.crt" -noout -checkend 7776000 >/dev/null; then return; fi
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout "$3/tls.key" -out "$3/tls.csr" 2>/dev/null
	printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth,clientAuth\nkeyUsage=critical,digitalSignature\n' "$2" >"$3/tls.ext"
	openssl x509 -req -in "$3/tls.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -days 825 -extfile "$3/tls.ext" \
		-out "$3/tls.crt.new" 2>/dev/null
	mv "$3/tls.crt.new" "$3/tls.crt"
	rm "$3/tls.csr" "$3/tls.ext"
}

# What each process may say and hear on NATS. Services take answers below _OPSDECK, where the subscriber cannot read along; worker
# nodes listen to wake-ups and speak to each other; the user subscriber reads events.
nats_config() {
	local dir=$1 stream='"$JS.API.STREAM.INFO.EVENTS", "$JS.API.STREAM.CREATE.EVENTS", "$JS.API.STREAM.UPDATE.EVENTS"'
	cat <<-END
		port: 4222
		server_name: opsdeck
		jetstream { store_dir: /data, sync_interval: always }
		tls { cert_file: /run/opsdeck/tls.crt, key_file: /run/opsdeck/tls.key }
		authorization {
		  users = [
		    { user: auth, password: "$(cat "$dir/auth/nats")", permissions {
		        publish: ["opsdeck.auth.>", "wake.auth.>", $stream]
		        subscribe: ["_OPSDECK.>", "wake.log.level"] } }
		    { user: dns, password: "$(cat "$dir/dns/nats")", permissions {
		        publish: ["opsdeck.dns.>", "wake.dns.>", "wake.log.level", $stream]
		        subscribe: ["_OPSDECK.>", "wake.auth.revision", "wake.log.level"] } }
		    { user: replication, password: "$(cat "$dir/replication/nats")", permissions {
		        publish: ["opsdeck.replication.>", "wake.replication.>", "wake.log.level", $stream]
		        subscribe: ["_OPSDECK.>", "wake.auth.revision", "wake.log.level"] } }
		    { user: worker, password: "$(cat "$dir/worker/nats")", permissions {
		        publish: ["tunnel.replication.>"]
		        subscribe: ["wake.replication.>", "wake.log.level", "tunnel.replication.>"] } }
		    { user: gateway, password: "$(cat "$dir/gateway/nats")", permissions {
		        publish: { deny: [">"] }
		        subscribe: ["wake.log.level"] } }
		    { user: subscriber, password: "$(cat "$dir/nats/subscriber")", permissions {
		        publish: ["\$JS.API.INFO", "\$JS.API.STREAM.NAMES", "\$JS.API.STREAM.INFO.EVENTS", "\$JS.API.CONSUMER.CREATE.EVENTS",
		          "\$JS.API.CONSUMER.CREATE.EVENTS.>", "\$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.>", "\$JS.API.CONSUMER.INFO.EVENTS.>",
		          "\$JS.API.CONSUMER.DELETE.EVENTS.>", "\$JS.API.CONSUMER.MSG.NEXT.EVENTS.>", "\$JS.ACK.EVENTS.>", "\$JS.FC.EVENTS.>"]
		        subscribe: ["opsdeck.>", "_INBOX.>"] } }
		  ]
		}
	END
}

make_secrets() {
	local dir=$1 name
	mkdir -p "$dir/ca"
	make_ca "$dir/ca"
	for name in $processes; do
		mkdir -p "$dir/$name"
		certify "$dir/ca" "$name" "$dir/$name"
	done
	for name in $services; do
		random | tr -d '\n' | keep "$dir/$name/postgres"
		random | tr -d '\n' | keep "$dir/$name/nats"
		openssl rand -base64 32 | keep "$dir/$name/seal.keys"
		printf 'postgres://%s:%s@postgres:5432/opsdeck?sslmode=verify-full&sslrootcert=/run/opsdeck/ca.crt' \
			"$name" "$(cat "$dir/$name/postgres")" >"$dir/$name/database-url"
	done
	random | tr -d '\n' | keep "$dir/postgres/superuser"
	random | tr -d '\n' | keep "$dir/auth/admin-password"
	random | tr -d '\n' | keep "$dir/worker/nats"
	random | tr -d '\n' | keep "$dir/gateway/nats"
	random | tr -d '\n' | keep "$dir/nats/subscriber"
	random | tr -d '\n' | keep "$dir/worker/service-secret"
	printf 'replication-worker %s\n' "$(cat "$dir/worker/service-secret")" >"$dir/auth/service.keys"
	nats_config "$dir" >"$dir/nats/nats.conf"
	if [ "$(id -u)" = 0 ]; then
		for name in $processes; do chown -R "$(uid_of "$name"):$(uid_of "$name")" "$dir/$name"; done
		if [ -d /nats-data ]; then chown "$(uid_of nats):$(uid_of nats)" /nats-data; fi
	fi
}

# The same as what standalone does: a login role that owns one schema, and nobody else may use it.
make_role() {
	local name=$1 password=$2
	OPSDECK_PASSWORD=$password psql -X -q -v ON_ERROR_STOP=1 -v role="$name" <<-'END'
		\getenv password OPSDECK_PASSWORD
		-- A failing statement is logged with its text, and one of these holds a password.
		SET log_min_error_statement = panic;
		SET client_min_messages = warning;
		SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :'role') \gexec
		ALTER ROLE :"role" LOGIN PASSWORD :'password';
		SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()) \gexec
		SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec
		REVOKE ALL ON SCHEMA public FROM PUBLIC;
		CREATE SCHEMA IF NOT EXISTS :"role";
		ALTER SCHEMA :"role" OWNER TO :"role";
		REVOKE ALL ON SCHEMA :"role" FROM PUBLIC;
	END
}

make_roles() {
	local name
	export PGPASSWORD
	PGPASSWORD=$(cat "$1/postgres/superuser")
	for name in $services; do make_role "$name" "$(cat "$1/$name/postgres")"; done
}

case ${1:-} in
secrets) make_secrets "${2:-/secrets}" ;;
database) make_roles "${2:-/secrets}" ;;
*)
	sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
