#!/bin/sh
# At TOWER_LOG_LEVEL=debug the log says once per handle and reason what is passed on and why;
# at any other level it says nothing of that.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

server_memcached "$socket"
memcached=$server_pid
export TOWER_LOG="$work/log"

# Two handles with buffered writes and keys that are no keys, one without servers, one with
# an encoding key; each reason comes again and again.
cat >"$work/program.php" <<'PROGRAM'
<?php
$clients = [];
for ($i = 0; $i < 2; $i++) {
	$m = $clients[] = new Memcached();
	$m->setOption(Memcached::OPT_BUFFER_WRITES, true);
	$m->addServer($argv[1], 0);
	for ($j = 0; $j < 5; $j++) {
		$m->set('a', "$j");
		$m->get('a');
	}
}
$none = new Memcached();
for ($j = 0; $j < 5; $j++) {
	$none->get('a');
	$none->set('a', 'x');
}
$coded = new Memcached();
$coded->setEncodingKey('geheim');
$coded->addServer($argv[1], 0);
for ($j = 0; $j < 5; $j++) {
	$coded->set('b', 'x');
	$coded->get('b');
}
PROGRAM
lines() { # PATTERN
	grep -cE "$1" "$work/log" || :
}
LD_PRELOAD="$BUILD/libtower.so" TOWER_LOG_LEVEL=debug php "$work/program.php" "$socket"
here="$socket|$(basename "$socket")"
[ "$(lines "handle 0x[0-9a-f]+ \([^)]*($here)[^)]*\): memcached_mget goes to memcached as it is \(buffered\): .*: the real")" -eq 2 ] ||
	problem "$(cat "$work/log")"
[ "$(lines '\(no server\): memcached_(mget|set) goes to memcached as it is \(no_servers\)')" -eq 1 ] ||
	problem "$(cat "$work/log")"
[ "$(lines "\(.*($here).*\): its values stay in this process")" -eq 1 ] || problem "$(cat "$work/log")"
[ "$(lines 'goes to memcached as it is')" -eq 3 ] || problem "$(cat "$work/log")"
! grep -q geheim "$work/log" || problem 'the encoding key is in the log'
[ "$("$BUILD/tower" stat --json | /usr/bin/python3 -c '
import json, sys
print(json.load(sys.stdin)["total"]["passed"]["buffered"])')" -eq 10 ] || problem 'not counted as often as it was'

rm "$work/log"
LD_PRELOAD="$BUILD/libtower.so" TOWER_LOG_LEVEL=info php "$work/program.php" "$socket"
[ ! -s "$work/log" ] || [ "$(lines 'goes to memcached')" -eq 0 ] || problem "$(cat "$work/log")"

# A call that the operator switched off says so.
"$BUILD/tower" disable >/dev/null
# shellcheck disable=SC2016 # expanded by PHP
LD_PRELOAD="$BUILD/libtower.so" TOWER_LOG_LEVEL=debug php -r '
	$m = new Memcached();
	$m->addServer($argv[1], 0);
	$m->get("a"); $m->get("b");' "$socket"
[ "$(lines 'goes to memcached as it is \(disabled\): every read while .tower disable')" -eq 1 ] ||
	problem "$(cat "$work/log")"
