#!/bin/sh
# `tower metrics` as Prometheus sees it: promtool finds nothing to object to, and what it
# says is what `tower stat` says; to standard output, into a file, over HTTP.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

server_memcached "$socket"
memcached=$server_pid
server_redis "$work/redis"
redis=$server_pid

export TOWER_LAYERS='memory, memcached, redis' TOWER_REDIS_URL="unix://$work/redis"
export TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s
tower=$BUILD/tower

check() {
	promtool check metrics <"$1" >"$work/promtool" 2>&1 || problem "$1: $(cat "$work/promtool")"
	[ ! -s "$work/promtool" ] || problem "$1: $(cat "$work/promtool")"
}

# Before anything has run, too.
TOWER_NAME="$TOWER_NAME-none" "$tower" metrics >"$work/none"
check "$work/none"
grep -q "^tower_processes{domain=\"$TOWER_NAME-none\"} 0\$" "$work/none" || problem 'no processes'

# shellcheck disable=SC2016 # expanded by PHP
LD_PRELOAD="$BUILD/libtower.so" php -r '
	$m = new Memcached();
	$m->addServer($argv[1], 0);
	$m->set("a", str_repeat("x", 1000));
	for ($i = 0; $i < 2000; $i++) { $m->get("a"); }
	for ($i = 0; $i < 100; $i++) { $m->getMulti(["a", "b"]); }
	for ($i = 0; $i < 100; $i++) { $m->set("c", "$i"); }
' "$socket"
"$tower" disable redis >/dev/null
"$tower" metrics >"$work/stdout"
check "$work/stdout"
"$tower" metrics --output "$work/tower.prom"
check "$work/tower.prom"
diff "$work/stdout" "$work/tower.prom" || problem 'the file is not what is printed'
[ "$(stat -c %a "$work/tower.prom")" = 644 ] || problem 'the file cannot be read by all'
status=0
"$tower" metrics --output "$work/none/x" 2>"$work/errors" || status=$?
[ "$status" -eq 1 ] || problem "status $status for a file that cannot be made"

# What a link leads to is exchanged, with its mode; what is no file stays what it is.
: >"$work/target"
chmod 640 "$work/target"
ln -s target "$work/link"
"$tower" metrics --output "$work/link"
[ -L "$work/link" ] || problem 'the link is no link any more'
[ "$(stat -c %a "$work/target")" = 640 ] || problem 'the mode of the file has changed'
grep -q '^tower_info' "$work/target" || problem 'nothing is written behind the link'
mkfifo "$work/pipe"
timeout 20 cat "$work/pipe" >"$work/through" &
reader=$!
timeout 20 "$tower" metrics --output "$work/pipe"
wait "$reader"
[ -p "$work/pipe" ] || problem 'the pipe is no pipe any more'
grep -q '^tower_info' "$work/through" || problem 'nothing came through the pipe'

for address in '' : x 127.0.0.1: 127.0.0.1:-1 127.0.0.1:65536 127.0.0.1:99999 127.0.0.1:1.5 9K no-such-host.invalid:1; do
	status=0
	timeout 20 "$tower" metrics --listen "$address" >"$work/out" 2>"$work/errors" || status=$?
	[ "$status" -eq 2 ] || problem "--listen '$address': status $status: $(cat "$work/out")"
done
# Without an address it is this machine's own.
"$tower" metrics --listen 0 >"$work/address" 2>&1 &
running=$!
await_address "$work/address"
/usr/bin/python3 tests/apps/metrics.py "$(cat "$work/address")" "$work/stdout" "$work/http" ||
	problem 'not as it should be over HTTP'
check "$work/http"
kill -TERM "$running"
status=0
wait "$running" || status=$?
running=
[ "$status" -eq 0 ] || problem "status $status after SIGTERM"

"$tower" stat --json >"$work/stat.json"
/usr/bin/python3 tests/apps/metrics.py --compare "$work/stdout" "$work/stat.json" ||
	problem 'not what tower stat says'
