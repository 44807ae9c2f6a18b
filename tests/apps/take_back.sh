#!/bin/sh
# What was put back into memcached too late is taken out again, in the middle of an mget.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

server_memcached "$socket"
memcached=$server_pid
server_redis "$work/redis"
redis=$server_pid
export TOWER_LAYERS='memcached, redis' TOWER_REDIS_URL="unix://$work/relay"
# Each is put back; what follows the first finds Redis gone.
export TOWER_REDIS_PROMOTE=always TOWER_REDIS_BREAKER_RETRY=20s
export TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s

cat >"$work/expected" <<'END'
found key0 key1 key2 key3 key4
status 0
closed 1
taken back 5
left in memcached
END
/usr/bin/python3 tests/apps/take_back.py "$BUILD" "$socket" "$work/redis" "$work/relay" \
	>"$work/seen" 2>"$work/errors" || problem "$(cat "$work/errors")"
diff -u "$work/expected" "$work/seen" || problem "$(cat "$work/errors")"
