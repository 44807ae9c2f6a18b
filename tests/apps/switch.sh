#!/bin/sh
# `tower disable` and `tower enable` while programs run: who serves what is told by
# memcached's and Redis' own counts, and nothing older than the last write comes out
# when a layer is switched on again.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

server_memcached "$socket"
memcached=$server_pid
server_redis "$work/redis"
redis=$server_pid

status=0
/usr/bin/python3 tests/apps/switch.py "$BUILD" "$socket" "$work/redis" >"$work/seen" 2>&1 ||
	status=$?
cat >"$work/expected" <<'SEEN'
on: one memory, one memory
disable memory: memory is switched off
one memcached, one memcached, two memcached
enable memory: everything is switched on
written while memory was off: two
then: two memory
disable redis: redis is switched off
lost by memcached: nothing
enable redis: everything is switched on
written while redis was off, lost by memcached: nothing
written since, lost by memcached: six
disable: switched off
reads: seven memcached, many memcached, exist memcached; passed on 3
a program that starts now: seven memcached
enable: everything is switched on
written while all was off: eight
then: eight memory, many memory
0 0
SEEN
[ "$status" -eq 0 ] || problem "status $status: $(cat "$work/seen")"
diff -u "$work/expected" "$work/seen" || problem 'not what was expected'
