#!/bin/sh
# `tower bench` with servers of somebody else's, over TCP; and when they are not there.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

/usr/bin/python3 tests/lib/loopback.py
tower=$BUILD/tower
unset TOWER_NAME
# How soon Redis answers on a busy machine decides nothing here.
export TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s

free_port() {
	/usr/bin/python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# Sets $server_pid and $port.  A port may be taken by somebody between the question and its use.
tcp_memcached() {
	for _ in 1 2 3 4 5; do
		port=$(free_port)
		env -u LD_PRELOAD setpriv --pdeathsig KILL memcached -l 127.0.0.1 -p "$port" -U 0 \
			-u "$(id -un)" >"$work/log" 2>&1 </dev/null &
		server_pid=$!
		if server_await "$server_pid" memcping "--servers=127.0.0.1:$port"; then
			return 0
		fi
	done
	problem "no memcached: $(cat "$work/log")"
}

tcp_redis() {
	for _ in 1 2 3 4 5; do
		port=$(free_port)
		env -u LD_PRELOAD setpriv --pdeathsig KILL redis-server --bind 127.0.0.1 --port "$port" \
			--dir "$work" --save '' --appendonly no >"$work/log" 2>&1 </dev/null &
		server_pid=$!
		if server_await "$server_pid" redis-cli -h 127.0.0.1 -p "$port" ping; then
			return 0
		fi
	done
	problem "no Redis: $(cat "$work/log")"
}

second=
given_finish() {
	given_status=$?
	server_end "$second"
	return "$given_status"
}
trap 'given_finish || app_finish; app_finish' EXIT

tcp_memcached
memcached=$server_pid first_port=$port
tcp_memcached
second=$server_pid second_port=$port
tcp_redis
redis=$server_pid redis_port=$port
servers=127.0.0.1:$first_port,localhost:$second_port

# What an application has there under tower stays as it is, and stays the application's.
in_redis() {
	redis-cli -p "$redis_port" --raw keys '*' | sort | while read -r key; do
		echo "$key $(redis-cli -p "$redis_port" --raw dump "$key" | md5sum)"
	done
}
printf 'mine' >"$work/mine"
"$tower" run -o tower.layers=memcached,redis -o "redis.url=redis://127.0.0.1:$redis_port" \
	-- memccp --servers="127.0.0.1:$first_port" "$work/mine"
in_redis >"$work/before"
[ "$(wc -l <"$work/before")" -eq 3 ] || problem "in Redis is $(cat "$work/before")"

timeout 60 "$tower" bench --time 100ms --warm-up 50ms --repeats 2 --keys 300 --mget 1:80,5:20 \
	--mix get=80,set=15,delete=5 --servers "$servers" --redis "redis://127.0.0.1:$redis_port/0" \
	--json >"$work/json" 2>"$work/errors" || problem "$(cat "$work/errors")"
[ ! -s "$work/errors" ] || problem "$(cat "$work/errors")"
/usr/bin/python3 - "$work/json" <<'CHECK' || problem "$(cat "$work/json")"
import json, sys
h = {x["name"]: x for x in json.load(open(sys.argv[1]))["hierarchies"]}
assert len(h) == 4
assert all(x["errors"] == 0 and x["hits"] > 0 for x in h.values())
assert h["plain"]["shares"]["memcached"]["mean"] > 0.5
CHECK
# Both were used, and have only what they had.
for of in "$first_port 1" "$second_port 0"; do
	memcstat --servers="127.0.0.1:${of% *}" >"$work/stat"
	[ "$(sed -n 's/.*curr_items: //p' "$work/stat")" -eq "${of#* }" ] ||
		problem "keys are left: $(cat "$work/stat")"
	[ "$(sed -n 's/.*cmd_set: //p' "$work/stat")" -gt 100 ] || problem "${of% *} was not used"
done
[ "$(redis-cli -p "$redis_port" info commandstats | grep -c 'cmdstat_set:')" -eq 1 ] ||
	problem 'Redis was not used'
in_redis >"$work/after"
diff "$work/before" "$work/after" || problem 'Redis is not as it was'

# Arguments: status, what is said, options.  Nothing is measured.
refused() {
	expected_status=$1
	expected=$2
	shift 2
	status=0
	timeout 60 "$tower" bench --time 50ms --warm-up 0s --repeats 1 "$@" >"$work/out" \
		2>"$work/errors" || status=$?
	[ "$status" -eq "$expected_status" ] || problem "$*: status $status: $(cat "$work/errors")"
	grep -qF -- "$expected" "$work/errors" || problem "$*: $(cat "$work/errors")"
	[ ! -s "$work/out" ] || problem "$*: a result: $(cat "$work/out")"
	[ "$(wc -l <"$work/errors")" -eq 1 ] || problem "$*: $(cat "$work/errors")"
}
for list in '' ',' text 0 -1 host: :11211 127.0.0.1:0 127.0.0.1:65536 127.0.0.1:-1 127.0.0.1:x 127.0.0.1:11K; do
	refused 2 -- --servers --servers "$list"
done
refused 2 'text is neither HOST:PORT' --servers "127.0.0.1:$first_port,text"
for url in '' text 0 "127.0.0.1:$redis_port" redis:// http://127.0.0.1 redis://127.0.0.1:0; do
	refused 2 '--redis' --redis "$url"
done
nobody=$(free_port)
refused 1 "127.0.0.1:$nobody does not answer: Connection refused" --hierarchy plain \
	--servers "127.0.0.1:$first_port,127.0.0.1:$nobody"
refused 1 'does not answer' --hierarchy plain --servers "$work/none"
refused 1 'does not answer: it says something else' --hierarchy plain \
	--servers "127.0.0.1:$redis_port"
refused 1 'is no host that is known' --hierarchy plain --servers 'no-such-host.invalid:11211'
refused 1 '127.0.0.1 does not answer: Connection refused' --redis "redis://127.0.0.1:$nobody"
# Who does not want it does not need it.
timeout 60 "$tower" bench --time 50ms --warm-up 0s --repeats 1 --hierarchy plain \
	--redis "redis://127.0.0.1:$nobody" >"$work/out" || problem 'plain needs Redis'
