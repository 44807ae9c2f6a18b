#!/bin/sh
# PHP loads its extensions with RTLD_DEEPBIND: what reaches the shim does so
# only because of the interposed dlopen.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

same client php tests/apps/client.php "$socket"
expect_calls client memcached_mget 92
expect_calls client memcached_mget_by_key 2
expect_calls client memcached_set 28
expect_calls client memcached_cas 4
expect_hits client memory 50

# Five after another, then twenty side by side, into one session; then how many there were.
# shellcheck disable=SC2016 # expanded by the inner shell
same sessions sh -c '
	count() {
		php -d session.save_handler=memcached -d "session.save_path=$1" \
			-d session.use_cookies=0 -d session.cache_limiter= \
			-d memcached.sess_lock_retries=500 -d memcached.sess_lock_wait_min=5 \
			-d memcached.sess_lock_wait_max=50 tests/apps/session.php "$2"
	}
	for i in 1 2 3 4 5; do
		count "$1" abc
	done
	pids=
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		count "$1" abc >/dev/null &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait "$pid"
	done
	count "$1" abc
' sh "$socket"
grep -qx 'n: 26' "$work/sessions.bare" || problem 'sessions do not work here'
expect_calls_at_least sessions memcached_add 26
