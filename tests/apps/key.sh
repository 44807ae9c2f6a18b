#!/bin/sh
# `tower key` says where a key is: in memcached, in Redis, nowhere.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

server_memcached "$socket"
memcached=$server_pid
server_redis "$work/redis"
redis=$server_pid
export TOWER_LAYERS='memory, memcached, redis' TOWER_REDIS_URL="unix://$work/redis"
export TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s

# Arguments: key, then the lines expected behind those of slot and memory.
expect() {
	"$BUILD/tower" key --server "$socket" "$1" >"$work/key"
	grep -q '^slot       [0-9]*, 0 writes in flight$' "$work/key" || problem "$(cat "$work/key")"
	grep -q '^memory     .*cannot be asked.*everything is switched on$' "$work/key" ||
		problem "$(cat "$work/key")"
	shift
	for expected; do
		grep -q "^$expected\$" "$work/key" || problem "not '$expected': $(cat "$work/key")"
	done
}

# shellcheck disable=SC2016 # expanded by PHP
LD_PRELOAD="$BUILD/libtower.so" php -r '
	$m = new Memcached();
	$m->addServer($argv[1], 0);
	$m->set("forever", "12345");
	$m->set("minutes", "1234567", 500);
' "$socket"
expect forever 'memcached  has it: 5 bytes, does not end by itself' \
	'redis      has it: 5 bytes, does not end by itself'
expect minutes 'memcached  has it: 7 bytes, ends in [45][0-9][0-9] s' \
	'redis      has it: 7 bytes, ends in [45][0-9][0-9] s'
memcrm "--servers=$socket" minutes
expect minutes 'memcached  does not have it' 'redis      has it: 7 bytes, ends in [45][0-9][0-9] s'
expect minutes 'writers    one domain'
expect nothing 'memcached  does not have it' 'redis      does not have it'

# Behind "--" whatever looks like an option is a key.
"$BUILD/tower" key --server "$socket" -- --what | grep -q '^memcached  does not have it$' ||
	problem 'no key behind --'
# A table that cannot be used is not one that is not there.
: >"$work/table"
chmod 600 "$work/table"
status=0
"$BUILD/tower" key -o "coherence.path=$work/table" --server "$socket" forever >"$work/key" || status=$?
[ "$status" -eq 1 ] || problem "status $status with an empty table"
grep -q "^slot       cannot be seen: $work/table is of another version or was truncated\$" "$work/key" ||
	problem "$(cat "$work/key")"

status=0
"$BUILD/tower" key --server "$work/none" forever >"$work/key" || status=$?
[ "$status" -eq 1 ] || problem "status $status without memcached"
grep -q '^memcached  does not answer' "$work/key" || problem "$(cat "$work/key")"
for wrong in '' 'a b' "$(printf 'a\nflush_all')" --what; do
	status=0
	"$BUILD/tower" key --server "$socket" "$wrong" 2>"$work/errors" || status=$?
	[ "$status" -eq 2 ] || problem "status $status for the key '$wrong'"
done
