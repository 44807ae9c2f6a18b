#!/bin/sh
# An application under php-fpm: workers whose environment is empty, persistent
# connections over many requests, requests side by side.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

fpm=$(find /usr/sbin -name 'php-fpm*' | sort | tail -n 1)
[ -n "$fpm" ] || problem 'no php-fpm: scripts/deps'

cat >"$work/fpm.conf" <<CONFIGURATION
[global]
error_log = $work/fpm.log
daemonize = no
[www]
listen = $work/fpm
pm = static
pm.max_children = 4
php_admin_value[session.save_handler] = memcached
php_admin_value[session.save_path] = $socket
php_admin_value[session.use_cookies] = 0
php_admin_value[session.cache_limiter] =
php_admin_value[memcached.sess_lock_retries] = 500
php_admin_value[memcached.sess_lock_wait_min] = 5
php_admin_value[memcached.sess_lock_wait_max] = 50
env[MEMCACHED] = $socket
CONFIGURATION
if [ "$(id -u)" -eq 0 ]; then
	printf 'user = root\ngroup = root\n' >>"$work/fpm.conf"
fi

# Arguments: fpm, folder.  Ten times one worker writes and others read at once;
# then 20 requests count side by side; then what they counted to.
# shellcheck disable=SC2016 # expanded by the inner shell
same requests sh -c '
	request() {
		env -i SCRIPT_FILENAME="$PWD/tests/apps/request.php" REQUEST_METHOD=GET \
			QUERY_STRING="do=$1&n=$2" cgi-fcgi -bind -connect "$work/fpm" |
			sed "1,/^.\{0,1\}$/d"
	}
	work=$2
	set -- "$1" -y "$work/fpm.conf"
	[ "$(id -u)" -ne 0 ] || set -- "$@" -R
	setpriv --pdeathsig TERM "$@" &
	master=$!
	unset LD_PRELOAD
	tries=0
	until [ -S "$work/fpm" ] || [ "$tries" -gt 400 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	for n in 1 2 3 4 5 6 7 8 9 10; do
		request write "$n"
		request read
		request read
	done
	pids=
	for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		request count "$n" &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait "$pid"
	done
	request result
	kill -TERM "$master"
	wait "$master"
' sh "$fpm" "$work"
grep -qx 'counter 20, swapped 20, session 21' "$work/requests.bare" ||
	problem "php-fpm does not work here: $(cat "$work/requests.bare" "$work/fpm.log")"
expect_calls_at_least requests memcached_set 20
expect_calls_at_least requests memcached_mget 200
expect_calls requests memcached_increment_with_initial 20
expect_calls_at_least requests memcached_cas 19
expect_hits requests memory 50
