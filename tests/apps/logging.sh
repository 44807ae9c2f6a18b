#!/bin/sh
# One line for each change of state, whoever of the domain notices, in a log that is rotated
# meanwhile: Redis goes and comes back under three programs.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

programs=
logging_finish() {
	logging_status=$?
	# shellcheck disable=SC2086 # several
	server_end $programs
	return "$logging_status"
}
trap 'logging_finish || app_finish; app_finish' EXIT

log=$work/tower.log
server_memcached "$socket" -m 64
memcached=$server_pid
server_redis "$work/redis"
redis=$server_pid
export TOWER_LAYERS='memory, memcached, redis' TOWER_REDIS_URL="unix://$work/redis"
export TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s TOWER_REDIS_BREAKER_RETRY=100ms
export TOWER_LOG="$log"

# shellcheck disable=SC2016 # expanded by PHP
for program in 1 2 3; do
	LD_PRELOAD="$BUILD/libtower.so" setpriv --pdeathsig KILL php -r '
		$cache = new Memcached();
		$cache->addServer($argv[1], 0);
		for ($i = 0; ; $i++) {
			$cache->set("key-" . $i % 50 . $argv[2], "value");
			$cache->get("none-" . $i % 50);
			file_put_contents($argv[2], "");
			usleep(5000);
		}' "$socket" "$work/beat-$program" >"$work/out-$program" 2>&1 </dev/null &
	programs="$programs $!"
done

# Until every program has gone round twice since now.
rounds() {
	for turn in 1 2; do
		rm -f "$work/beat-"*
		tries=0
		until [ -e "$work/beat-1" ] && [ -e "$work/beat-2" ] && [ -e "$work/beat-3" ]; do
			tries=$((tries + 1))
			[ "$tries" -lt 400 ] || problem "no beat, turn $turn: $(cat "$work"/out-* "$log")"
			sleep 0.02
		done
	done
}

await_line() {
	tries=0
	until grep -q "$1" "$log" 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 400 ] || problem "no line '$1': $(cat "$log" "$log.1")"
		sleep 0.02
	done
}

rounds
[ ! -s "$log" ] || problem "something is said though all is well: $(cat "$log")"
server_end "$redis"
redis=
await_line 'asked again every'
# Probes fail meanwhile, and nobody says so.
sleep 0.5
rounds
mv "$log" "$log.1"
rm -f "$work/redis"
server_redis "$work/redis"
redis=$server_pid
await_line 'answers again'
rounds
cat "$log.1" "$log"
[ "$(wc -l <"$log.1")" -eq 1 ] || problem 'more than one line says that Redis is away'
[ "$(wc -l <"$log")" -eq 1 ] || problem 'more than one line says that Redis is back'
[ "$(stat -c %a "$log")" = 600 ] || problem 'the new log may be read by others'
cat "$work"/out-* >"$work/said"
[ ! -s "$work/said" ] || problem "something is said elsewhere: $(cat "$work/said")"
