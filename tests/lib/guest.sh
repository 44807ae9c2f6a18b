# shellcheck shell=sh
# For the tests of tests/guest: a program that does harm to itself (host.h) runs
# bare and under tower, and status, report and output must be the same; what tower
# says is one line for each process, if it is expected to say anything.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

host=$BUILD/tests/guest/host
tower=$BUILD/libtower.so
guest_uid=$(id -u)
[ "$guest_uid" -eq 0 ] || problem "users and mounts change: run the tests as root"

# What runs as nobody must reach its socket, its library and its report.
chmod 755 "$work"
chmod a+x "$TMPDIR" "${TMPDIR%/*}"
cp "$tower" "$host" "$work/"
chmod 755 "$work/libtower.so" "$work/host"
tower=$work/libtower.so
host=$work/host

guest_finish() {
	guest_ended=$?
	for guest_mode in bare memory redis; do
		[ ! -f "$work/$guest_mode.pid" ] || server_end "$(cat "$work/$guest_mode.pid")"
	done
	rm -f "/dev/shm/tower"*"-$TOWER_NAME-"*
	return "$guest_ended"
}
trap 'guest_finish || app_finish; app_finish' EXIT

# One memcached for each way of running, each in a folder that may become a root.
guest_servers() {
	for guest_mode in bare memory redis; do
		mkdir -m 777 "$work/$guest_mode"
		server_memcached "$work/$guest_mode/memcached" -m 64 -a 0777
		echo "$server_pid" >"$work/$guest_mode.pid"
	done
}

guest_redis() {
	if [ -z "$redis" ] || ! kill -0 "$redis" 2>/dev/null; then
		server_end "$redis"
		server_redis "$work/redis-socket" --unixsocketperm 777
		redis=$server_pid
	fi
}

# Whatever a run may leave of itself: files of the program and of the domain.
guest_clean() {
	rm -rf "$work/files" "$work/report" "/dev/shm/tower"*"-$TOWER_NAME-"*
	mkdir -m 777 "$work/files"
}

# Arguments: name, mode, hazard, its argument.  Variables: wrap, a command before the
# host; before and after, libraries around libtower.so; extra, of env; program, instead
# of the host one that opens a module; client, whether that library calls by itself.
guest_run() {
	guest_name=$1
	guest_mode=$2
	guest_host=${program:-$host}
	guest_server=$(cat "$work/$guest_mode.pid")
	guest_clean
	set -- "$guest_host" "$3" "$work/$guest_mode/memcached" "$work/report" \
		"$(echo "$4" | sed "s|JAIL|$work/$guest_mode|")"
	if [ "$guest_host" != "$host" ]; then
		set -- "$guest_host" "$2" "$work/client.so" "$3"
	fi
	: >"$work/report"
	chmod 666 "$work/report"
	case $guest_mode in
	bare)
		set -- LD_PRELOAD="${before:-}${after:-}" "$@"
		;;
	memory)
		set -- LD_PRELOAD="${before:-}$tower${after:-}" TOWER_NAME="$TOWER_NAME-$guest_name" "$@"
		;;
	redis)
		guest_redis
		set -- LD_PRELOAD="${before:-}$tower${after:-}" TOWER_NAME="$TOWER_NAME-$guest_name" \
			TOWER_LAYERS='memory, memcached, redis' \
			TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s \
			TOWER_REDIS_BREAKER_RETRY=1ms TOWER_REDIS_URL="unix://$work/redis-socket" GUEST_REDIS="$redis" "$@"
		;;
	esac
	# shellcheck disable=SC2086 # several words
	[ -z "${client:-}" ] || set -- GUEST_CLIENT="$work/$guest_mode/memcached" "$@"
	# shellcheck disable=SC2086 # several words
	set -- ${wrap:-env} GUEST_SERVER="$guest_server" ${extra:-} "$@"
	guest_to=$work/$guest_name.$guest_mode
	timeout -k 2 "${patience:-60}" "$@" >"$guest_to.out" 2>"$guest_to.err" </dev/null &
	running=$!
	guest_status=0
	wait "$running" || guest_status=$?
	running=
	{
		echo "status $guest_status"
		tail -c +9 "$work/report" | tr -d '\000' 
		echo 'output:'
		cat "$guest_to.out"
		echo 'errors:'
		grep -v '^tower\[' "$guest_to.err" || :
	} >"$guest_to"
	grep '^tower\[' "$guest_to.err" >"$guest_to.said" || :
}

# Each process says at most one line, and each line is one of those expected.
guest_said() {
	sort -u "$1" | sed 's/^tower\[\([0-9]*\)\].*/\1/' | uniq -d >"$work/talkative"
	if [ -s "$work/talkative" ]; then
		cat "$1"
		problem "$2: a process says more than one line"
	fi
	if [ -z "$3" ]; then
		if [ -s "$1" ]; then
			cat "$1"
			problem "$2: says something"
		fi
	else
		if grep -v -E "$3" "$1"; then
			problem "$2: says something else than $3"
		fi
		if [ ! -s "$1" ]; then
			problem "$2: says nothing, and $3 was expected"
		fi
	fi
}

# Arguments: name, words of tests/lib/stat.py, the least that it must say.
guest_stat() {
	"$BUILD/tower" stat --json -o "tower.name=$TOWER_NAME-$1" >"$work/stat.json" || :
	guest_seen=$(/usr/bin/python3 tests/lib/stat.py "$work/stat.json" "$2" "$3") || guest_seen=0
	[ "$guest_seen" -ge "$4" ] || hazard_failed "$1: $2 of $3 are $guest_seen, not $4"
}

# Arguments: name, pattern of the line that tower says (empty: none), hazard, its
# argument.
hazard() {
	for hazard_mode in ${modes:-bare memory redis}; do
		guest_run "$1" "$hazard_mode" "$3" "${4:-}"
		if ! diff -u "$work/$1.bare" "$work/$1.$hazard_mode" >"$work/difference"; then
			head -60 "$work/difference"
			cat "$work/$1.$hazard_mode.said"
			hazard_failed "$1: not the same bare and with $hazard_mode"
			continue
		fi
		if [ "$hazard_mode" = bare ]; then
			if ! grep -q 'went on' "$work/$1.bare" && [ -z "${ends:-}" ]; then
				head -60 "$work/$1.bare"
				hazard_failed "$1: does not even go on bare"
			fi
			continue
		fi
		(guest_said "$work/$1.$hazard_mode.said" "$1, $hazard_mode" "$2") || hazard_failed
		if [ -z "${unseen:-}" ]; then
			guest_stat "$1" calls memcached_set 1
			guest_stat "$1" hits memory "${hits:-0}"
		fi
	done
	guest_clean
}

failed=0
hazard_failed() {
	[ $# -eq 0 ] || echo "$*" >&2
	failed=$((failed + 1))
}

# Last in every test.
hazards_end() {
	[ "$failed" -eq 0 ] || problem "$failed hazards were not survived"
}

guest_servers
