#!/bin/sh
# The Grafana dashboard asks a real Prometheus for what it shows: every expression is answered, with
# the labels that its legend names; and it is written as Grafana's importer wants it.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

command -v prometheus >/dev/null || skip 'no prometheus: scripts/deps test'
/usr/bin/python3 tests/lib/loopback.py

others=
dashboard_finish() {
	dashboard_status=$?
	# shellcheck disable=SC2086 # several
	server_end $others
	return "$dashboard_status"
}
trap 'dashboard_finish || app_finish; app_finish' EXIT

server_memcached "$socket" -m 64
memcached=$server_pid
server_redis "$work/redis"
redis=$server_pid
export TOWER_LAYERS='memory, memcached, redis' TOWER_REDIS_URL="unix://$work/redis"
export TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s TOWER_REDIS_PROMOTE=never
export TOWER_MEMORY_MAX_BYTES=64K TOWER_MEMORY_TTL=200ms

LD_PRELOAD="$BUILD/libtower.so" php tests/apps/traffic.php "$socket" "$work/ready" >"$work/php" 2>&1 &
running=$!
setpriv --pdeathsig KILL "$BUILD/tower" metrics --listen 127.0.0.1:0 >"$work/address" 2>&1 &
others=$!
await_address "$work/address"
target=$(sed 's|^http://||; s|/metrics$||' "$work/address")
cat >"$work/prometheus.yml" <<CONFIGURATION
global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
  - job_name: tower
    static_configs: [{targets: ['$target']}]
CONFIGURATION
promtool check config "$work/prometheus.yml" >"$work/promtool" 2>&1 || problem "$(cat "$work/promtool")"
port=$(/usr/bin/python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
setpriv --pdeathsig KILL prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
	--web.listen-address="127.0.0.1:$port" >"$work/prometheus" 2>&1 </dev/null &
others="$others $!"
/usr/bin/python3 tests/apps/dashboard.py "http://127.0.0.1:$port" ||
	problem "the dashboard shows less than it says: $(tail -3 "$work/prometheus")"
