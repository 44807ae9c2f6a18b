#!/bin/sh
# The page of `tower metrics --listen` in a real browser: numbers and charts of what goes on, in
# light and dark, nothing loaded from elsewhere.  PICTURES=folder keeps pictures of it.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

command -v chromium >/dev/null || skip 'no chromium: scripts/deps browser'

server_memcached "$socket" -m 64
memcached=$server_pid
server_redis "$work/redis"
redis=$server_pid

export TOWER_LAYERS='memory, memcached, redis' TOWER_REDIS_URL="unix://$work/redis"
export TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s TOWER_REDIS_PROMOTE=never
export TOWER_MEMORY_MAX_BYTES=64K TOWER_MEMORY_TTL=200ms
tower=$BUILD/tower

(
	until [ -e "$work/go" ]; do sleep 0.05; done
	LD_PRELOAD="$BUILD/libtower.so" exec php tests/apps/traffic.php "$socket" "$work/ready"
) &
running=$!

setpriv --pdeathsig KILL "$tower" metrics --listen 127.0.0.1:0 >"$work/address" 2>&1 &
listening=$!
await_address "$work/address"
address=$(sed 's/metrics$//' "$work/address")
if ! /usr/bin/python3 tests/apps/page.py "$address" "$listening" "$work"; then
	kill -TERM "$listening" 2>/dev/null || :
	problem 'the page is not as it should be'
fi
wait "$listening" || problem 'the server does not end well'
kill -TERM "$running"
wait "$running" 2>/dev/null || :
running=
for picture in 1280-light 1280-dark 390-light; do
	[ -s "$work/page-$picture.png" ] || problem "no picture $picture"
	[ -z "${PICTURES:-}" ] || cp "$work/page-$picture.png" "$PICTURES/"
done
