#!/bin/sh
# `tower stat --watch` shows what goes on while it does, on a terminal and in a pipe.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

server_memcached "$socket"
memcached=$server_pid
tower=$BUILD/tower

# Gets once, and once more for every line that comes.
mkfifo "$work/go"
# shellcheck disable=SC2016,SC2094 # expanded by PHP; it makes another file
LD_PRELOAD="$BUILD/libtower.so" TOWER_MEMORY_TTL=1h php -r '
	$m = new Memcached();
	$m->addServer($argv[1], 0);
	$m->set("a", "x");
	$m->get("a");
	touch("$argv[2].ready");
	while (fgets(STDIN) !== false) { $m->get("a"); }
' "$socket" "$work/go" <"$work/go" &
running=$!
exec 3>"$work/go"
await() {
	tries=0
	until "$@" 2>/dev/null; do
		tries=$((tries + 1))
		[ "$tries" -lt 400 ] || problem "not in time: $*"
		sleep 0.05
	done
}
await test -e "$work/go.ready"

"$tower" stat --json --watch 20ms >"$work/watched" &
watching=$!
await test -s "$work/watched"
echo >&3
# shellcheck disable=SC2016 # expanded by the inner shell
await sh -c 'test "$(wc -l <"$1")" -gt 3 && tail -n 2 "$1" | head -n 1 |
	grep -q "\"memcached_mget\":2"' sh "$work/watched"
kill -TERM "$watching"
wait "$watching" 2>/dev/null || :
/usr/bin/python3 - "$work/watched" <<'CHECK' || problem 'not a line of JSON each time'
import json, sys
seen = [json.loads(line)["total"]["calls"]["memcached_mget"]
        for line in open(sys.argv[1]).read().split("\n")[:-1]]
assert seen == sorted(seen) and {1, 2} <= set(seen), seen
CHECK

# On a terminal every picture begins at the top; in a pipe nothing does.
timeout 1 script -qec "$tower stat --watch 100ms" /dev/null >"$work/screen" </dev/null || :
[ "$(grep -c "$(printf '\033\\[H\033\\[J')domain" "$work/screen")" -gt 1 ] ||
	problem 'the screen is not cleared'
grep -q '^  per second' "$work/screen" || problem 'no rates'
"$tower" stat >"$work/once"
! grep -q "$(printf '\033')" "$work/once" || problem 'a terminal is told something in a pipe'
grep -q '^configuration .*memory.max_bytes=16M' "$work/once" || problem 'no configuration'
! grep -q 'per second' "$work/once" || problem 'rates of one look'
grep -q "^process $running  php" "$work/once" || problem 'no process'
[ "$("$tower" stat --pid "$running" --layer memory | grep -c '^  memory  ')" -eq 1 ] ||
	problem 'not the layer of the process'
exec 3>&-
wait "$running"
running=
