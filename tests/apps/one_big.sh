#!/bin/sh
# With Redis under it, a memcached of 2 MB that evicts all the time gives what one
# with room for everything gives: nothing is missing, no counter or flag is wrong.
# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

calls=20000

# A cas between whose gets and it memcached has lost the key fails once: its id
# is gone (docs/DEEP-TIER.md).  What follows would differ.
export NOCAS=1

for seed in 1 2; do
	# For ever, which takes scripts, and for an hour.
	ttl=$((seed == 1 ? 0 : 3600))
	server_memcached "$socket" -m 64
	memcached=$server_pid
	app_in_mode "one$seed" bare /usr/bin/python3 tests/apps/one_big.py "$socket" "$seed" "$calls"
	server_end "$memcached"
	server_memcached "$socket" -m 2 -f 4
	memcached=$server_pid
	app_in_mode "one$seed" redis TOWER_REDIS_TTL="$ttl" TOWER_REDIS_VERSION="$seed" \
		/usr/bin/python3 tests/apps/one_big.py "$socket" "$seed" "$calls"
	diff -u "$work/one$seed.bare" "$work/one$seed.redis" >&2 ||
		problem "not the same with a small memcached"
	[ "$(tail -n 1 "$work/one$seed.bare")" = 'status 0' ] || problem "fails even bare"
	evictions=$(memcstat --servers="$socket" | sed -n 's/.*[^a-z_]evictions: //p')
	[ "$evictions" -gt 1000 ] || problem "only $evictions evictions"
	hits=$(app_stat "one$seed" redis hits redis)
	[ "$hits" -gt 1000 ] || problem "only $hits hits of Redis"
	server_end "$memcached"
	memcached=
done
