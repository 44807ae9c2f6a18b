#!/bin/sh
# Hundreds of short-lived processes a second: more of them than there is room for at once, and
# what they counted is in the total once, whether they ended or were killed anywhere; who reads
# meanwhile never sees a count fall.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

reader=
short_finish() {
	short_status=$?
	[ -z "$reader" ] || kill -TERM "$reader" 2>/dev/null || :
	return "$short_status"
}
trap 'short_finish || app_finish; app_finish' EXIT

# Arguments: ended or killed, processes.  Leaves $begun, $done and $counted.
crowd() {
	server_memcached "$socket" -m 64
	memcached=$server_pid
	export TOWER_NAME="$domain-$1"
	mkfifo "$work/$1.fifo"
	/usr/bin/python3 tests/apps/short_lived.py 1000000000 <"$work/$1.fifo" >"$work/$1.read" 2>&1 &
	judge=$!
	"$BUILD/tower" stat --json --watch 5ms >"$work/$1.fifo" 2>"$work/$1.errors" &
	reader=$!
	LD_PRELOAD="$BUILD/libtower.so" "$BUILD/tests/apps/short_lived" "$socket" "$2" "$1" \
		>"$work/$1.out" 2>&1 || problem "$(cat "$work/$1.out")"
	kill -TERM "$reader"
	wait "$reader" || :
	reader=
	wait "$judge" || problem "$1: $(cat "$work/$1.read" "$work/$1.errors")"
	cat "$work/$1.out" "$work/$1.read"
	! grep -q '^tower\[' "$work/$1.out" || problem "$1: tower has something to say"
	begun=$(sed -n 's/^begun \([0-9]*\) .*/\1/p' "$work/$1.out")
	done=$(sed -n 's/^begun .* done //p' "$work/$1.out")
	"$BUILD/tower" stat --json >"$work/stat.json"
	counted=$(/usr/bin/python3 tests/lib/stat.py "$work/stat.json" calls memcached_get)
	grep -q '"processes":\[\]' "$work/stat.json" || problem "$1: somebody is alive"
	# One more folds what was left, and changes nothing.
	LD_PRELOAD="$BUILD/libtower.so" memcstat "--servers=$socket" >/dev/null 2>&1 || :
	"$BUILD/tower" stat --json >"$work/stat.json"
	again=$(/usr/bin/python3 tests/lib/stat.py "$work/stat.json" calls memcached_get)
	[ "$again" -eq "$counted" ] || problem "$1: first $counted, then $again gets"
	server_end "$memcached"
	memcached=
}

domain=$TOWER_NAME
crowd ended 3000
[ "$counted" -eq 60000 ] || problem "$counted gets are counted, not 60000"
reads=0
for part in 'hits memory' 'hits memcached' 'misses memcached'; do
	# shellcheck disable=SC2086 # two words
	reads=$((reads + $(/usr/bin/python3 tests/lib/stat.py "$work/stat.json" $part)))
done
[ "$reads" -eq 60000 ] || problem "$reads reads in the layers, not 60000"

/usr/bin/python3 - "$work/stat.json" <<'CHECK' || problem "not so by function: $(cat "$work/stat.json")"
import json, sys
total = json.load(open(sys.argv[1]))["total"]
served, layers = total["served"]["memcached_get"], {layer["name"]: layer for layer in total["layers"]}
assert served["keys"] == 60000 and served["unknown"] == served["failed"] == 0, served
assert served["memory"] == layers["memory"]["hits"] and served["memcached"] == layers["memcached"]["hits"], served
CHECK

crowd killed 500
[ "$counted" -ge "$done" ] || problem "$counted gets are counted, and $done were done"
[ "$counted" -le "$begun" ] || problem "$counted gets are counted, and only $begun begun"
[ "$((begun - done))" -le 500 ] || problem "each process leaves one get undone, not $((begun - done))"
[ "$done" -ge 10000 ] || problem "hardly anybody got anything: $done"
