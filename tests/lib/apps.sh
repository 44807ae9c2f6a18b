# shellcheck shell=sh
# For the tests of tests/apps, which tests/run starts in the project's folder
# with BUILD, TMPDIR, TOWER_NAME and TOWER_CONFIG in the environment.
#
# A program runs bare, preloaded, and preloaded with Redis, each time against
# an empty private memcached on $socket; status and output must be the same.
# That the shim saw its calls is a test's business: expect_calls.

set -eu

# shellcheck source=scripts/servers.sh
. scripts/servers.sh

work=$(mktemp -d "$TMPDIR/app.XXXXXX")
socket=$work/memcached
running=
memcached=
redis=

app_finish() {
	app_status=$?
	trap - EXIT
	trap '' TERM
	[ -z "$running" ] || kill -KILL "$running" 2>/dev/null || :
	server_end "$memcached" "$redis"
	rm -rf "$work"
	exit "$app_status"
}
trap app_finish EXIT
trap 'exit 143' TERM

problem() {
	echo "$*" >&2
	exit 1
}

# What it needs is not there.  tests/run says so, and fails where SKIPS=no.
skip() {
	echo "$*"
	exit 77
}

# The domain of one mode of a program's run.
app_domain() {
	echo "$TOWER_NAME-$1-$2"
}

# Arguments: output, then variables and command.
app_run() {
	app_output=$1
	shift
	env "$@" >"$app_output" 2>&1 </dev/null &
	running=$!
	app_status=0
	wait "$running" || app_status=$?
	running=
	echo "status $app_status" >>"$app_output"
}

# Arguments: name, mode (bare, memory, redis), variables and command.  The
# output is $work/NAME.MODE.
app_in_mode() {
	app_name=$1
	app_mode=$2
	shift 2
	case $app_mode in
	memory)
		set -- LD_PRELOAD="$BUILD/libtower.so" TOWER_NAME="$(app_domain "$app_name" memory)" \
			"$@"
		;;
	redis)
		if [ -z "$redis" ]; then
			server_redis "$work/redis"
			redis=$server_pid
		fi
		set -- LD_PRELOAD="$BUILD/libtower.so" TOWER_NAME="$(app_domain "$app_name" redis)" \
			TOWER_LAYERS='memory, memcached, redis' TOWER_REDIS_URL="unix://$work/redis" \
			TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s \
			TOWER_REDIS_BREAKER_RETRY=1ms "$@"
		;;
	esac
	app_run "$work/$app_name.$app_mode" "$@"
}

# Arguments: name, then variables and command.
same() {
	same_name=$1
	shift
	for same_mode in bare memory redis; do
		# Its threads would move items from list to list, of which memcdump shows one.
		server_memcached "$socket" -m 64 -o no_lru_crawler,no_lru_maintainer
		memcached=$server_pid
		app_in_mode "$same_name" "$same_mode" "$@"
		server_end "$memcached"
		memcached=
		if ! diff -u "$work/$same_name.bare" "$work/$same_name.$same_mode"; then
			problem "$same_name: not the same bare and with $same_mode"
		fi
	done
	if [ "$(tail -n 1 "$work/$same_name.bare")" != 'status 0' ]; then
		cat "$work/$same_name.bare"
		problem "$same_name: fails even bare"
	fi
}

# Arguments: name, mode, words of tests/lib/stat.py.
app_stat() {
	app_stat_name=$1
	app_stat_mode=$2
	shift 2
	"$BUILD/tower" stat --json -o "tower.name=$(app_domain "$app_stat_name" "$app_stat_mode")" \
		>"$work/stat.json" || problem "$app_stat_name: tower stat failed"
	/usr/bin/python3 tests/lib/stat.py "$work/stat.json" "$@"
}

# Arguments: name, function, how many calls of it the shim must have seen.
expect_calls() {
	for expect_mode in memory redis; do
		expect_seen=$(app_stat "$1" "$expect_mode" calls "$2")
		[ "$expect_seen" -eq "$3" ] ||
			problem "$1, $expect_mode: $expect_seen calls of $2, not $3"
	done
}

# The same, where chance decides how many more there are.
expect_calls_at_least() {
	for expect_mode in memory redis; do
		expect_seen=$(app_stat "$1" "$expect_mode" calls "$2")
		[ "$expect_seen" -ge "$3" ] ||
			problem "$1, $expect_mode: only $expect_seen calls of $2, not $3"
	done
}

# Arguments: name, layer, how many hits it must have had at least.
expect_hits() {
	for expect_mode in memory redis; do
		expect_seen=$(app_stat "$1" "$expect_mode" hits "$2")
		[ "$expect_seen" -ge "$3" ] ||
			problem "$1, $expect_mode: only $expect_seen hits of $2, not $3"
	done
}

# Waits until a server that was just started has said in the file where it listens.
await_address() {
	tries=0
	until grep -qs . "$1"; do
		tries=$((tries + 1))
		[ "$tries" -lt 200 ] || problem 'it does not listen'
		sleep 0.05
	done
}
