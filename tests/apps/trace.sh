#!/bin/sh
# What a program does is recorded, each request once, whatever answers it, by each of its
# processes; and `tower sim` plays it.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

mkdir -m 700 "$work/trace"
export TOWER_TRACE_PATH="$work/trace/t"
export TOWER_MEMORY_TTL=0

# Recording changes nothing that the program sees.
same client /usr/bin/python3 tests/apps/client.py "$socket"

# Arguments: mode, its setting.  Counts by hand are in recorded.py.
server_memcached "$socket" -m 64
memcached=$server_pid
for mode in memory redis; do
	rm -f "$work/trace/"*
	app_in_mode counted "$mode" /usr/bin/python3 tests/apps/recorded.py run "$socket"
	[ "$(tail -n 1 "$work/counted.$mode")" = 'status 0' ] || problem "$(cat "$work/counted.$mode")"
	# The parent and two children.
	[ "$(find "$work/trace" -type f | wc -l)" -eq 3 ] || problem "$(ls "$work/trace")"
	/usr/bin/python3 tests/apps/recorded.py check "$BUILD/tower" "$work/trace/t"
done

# PHP, and one of four keys.
rm -f "$work/trace/"*
for one_of in 1 4; do
	# shellcheck disable=SC2016 # expanded by PHP
	env LD_PRELOAD="$BUILD/libtower.so" TOWER_TRACE_PATH="$work/trace/php$one_of" \
		TOWER_TRACE_ONE_OF="$one_of" php -r '
		$m = new Memcached();
		$m->addServer($argv[1], 0);
		for ($i = 0; $i < 2000; $i++) {
			$m->set("key$i", str_repeat("x", $i % 100));
			$m->getMulti(["key$i", "absent$i"]);
		}
	' "$socket"
	"$BUILD/tower" sim --format tower --trace "$work/trace/php$one_of" --size 100% --json \
		>"$work/php$one_of.json"
done
/usr/bin/python3 - "$work/php1.json" "$work/php4.json" <<'END' || problem 'PHP is not recorded right'
import json
import sys

every, some = (json.load(open(name)) for name in sys.argv[1:])
print(every["requests"], every["gets"], every["keys"], some["requests"], some["keys"])
assert (every["requests"], every["gets"], every["keys"]) == (6000, 4000, 4000)
assert 0.2 < some["requests"] / 6000 < 0.3 and some["share"] == 0.25
assert 0.9 < some["keys"] / 4000 < 1.1
END
