# shellcheck shell=sh
# Private servers for shell scripts, which source this file.
#
# They listen on a unix socket only, write nothing to disk, and end with the
# shell that started them, however that ends.  $REDIS_SERVER is another program
# to be Redis.

# Waits until the command says yes, for at most 20 s while process $1 lives.
server_await() {
	server_tries=0
	server_awaited=$1
	shift
	until "$@" >/dev/null 2>&1; do
		server_tries=$((server_tries + 1))
		if [ "$server_tries" -gt 400 ] || ! kill -0 "$server_awaited" 2>/dev/null; then
			return 1
		fi
		sleep 0.05
	done
}

# Arguments: socket, then memcached's.  Sets $server_pid.
server_memcached() {
	server_socket=$1
	shift
	if [ "$(id -u)" -eq 0 ]; then
		set -- -u root "$@"
	fi
	env -u LD_PRELOAD setpriv --pdeathsig KILL memcached -s "$server_socket" -U 0 "$@" \
		>"$server_socket.log" 2>&1 </dev/null &
	server_pid=$!
	if ! server_await "$server_pid" memcping "--servers=$server_socket"; then
		echo "memcached does not start:" >&2
		cat "$server_socket.log" >&2
		return 1
	fi
}

# Arguments: socket, then Redis'.  Sets $server_pid.
server_redis() {
	server_socket=$1
	shift
	env -u LD_PRELOAD setpriv --pdeathsig KILL "${REDIS_SERVER:-redis-server}" --port 0 \
		--unixsocket "$server_socket" --dir "${server_socket%/*}" --save '' --appendonly no \
		"$@" >"$server_socket.log" 2>&1 </dev/null &
	server_pid=$!
	if ! server_await "$server_pid" redis-cli -e -s "$server_socket" ping; then
		echo "${REDIS_SERVER:-redis-server} does not start:" >&2
		cat "$server_socket.log" >&2
		return 1
	fi
}

# Arguments: process ids, of which some may be empty.
server_end() {
	for server_ended in "$@"; do
		if [ -n "$server_ended" ]; then
			kill -KILL "$server_ended" 2>/dev/null || :
			wait "$server_ended" 2>/dev/null || :
		fi
	done
}
