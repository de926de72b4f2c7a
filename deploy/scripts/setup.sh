#!/usr/bin/env bash
# Installs the servers that opsdeck runs (PostgreSQL), that its tests and demo replicate between (MariaDB) and that its tests drive (BIND,
# PowerDNS), or says exactly what to install when this is not root or not a Debian. Starts nothing.
set -euo pipefail

missing=()
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] || missing+=(mariadb-server)
command -v mariadb-dump >/dev/null || missing+=(mariadb-client)
command -v named >/dev/null || [ -x /usr/sbin/named ] || missing+=(bind9)
command -v nsupdate >/dev/null || missing+=(bind9-dnsutils)
command -v pdns_server >/dev/null || [ -x /usr/sbin/pdns_server ] || missing+=(pdns-server)
[ -e /usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql ] || missing+=(pdns-backend-sqlite3)
command -v sqlite3 >/dev/null || missing+=(sqlite3)
command -v gcc >/dev/null || missing+=(gcc libc6-dev) # the race detector links with a C compiler
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "opsdeck needs ${missing[*]}. On Debian or Ubuntu: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # at run level 1 the packages do not start their servers
# Name servers would take port 53, now or at the next boot. One that was there before is not in the list.
units=()
[[ " ${missing[*]} " != *" bind9 "* ]] || units+=(named.service)
[[ " ${missing[*]} " != *" pdns-server "* ]] || units+=(pdns.service)
if [ ${#units[@]} -gt 0 ] && [ -d /run/systemd/system ]; then
	systemctl mask --runtime --quiet "${units[@]}"
	trap 'systemctl unmask --runtime --quiet "${units[@]}"; systemctl disable --quiet "${units[@]}"' EXIT
fi
apt-get -o DPkg::Lock::Timeout=600 update -qq
apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
