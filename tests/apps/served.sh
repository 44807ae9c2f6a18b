#!/bin/sh
# A loop of repeated reads is answered from memory, whatever the binding, the
# call, the protocol and the handle: at least 95 of 100, the first reads and
# those that follow writes still unconfirmed included.  Prints the tables.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

# Arguments: name, reasons for which calls may be passed on, command.  It is
# given two sockets, and prints lines "percent call protocol kind".
served() {
	name=$1
	reasons=$2
	shift 2
	for mode in bare memory redis; do
		server_memcached "$socket" -m 64
		memcached=$server_pid
		server_memcached "$socket.2" -m 64
		second=$server_pid
		# Time alone must not make a copy old here.
		app_in_mode "$name" "$mode" TOWER_MEMORY_TTL=1m "$@" "$socket" "$socket.2"
		server_end "$memcached" "$second"
		memcached=
		table=$work/$name.$mode
		[ "$(tail -n 1 "$table")" = 'status 0' ] ||
			problem "$name, $mode: $(tail -n 5 "$table")"
		sed -i '$d' "$table"
		cut -c 7- "$table" >"$table.rows"
		diff -u "$work/$name.bare.rows" "$table.rows" || problem "$name, $mode: other rows"
		[ "$(wc -l <"$table")" -ge 20 ] || problem "$name, $mode: hardly any rows"
	done
	awk '$1 != 0 { print; bad = 1 } END { exit bad }' "$work/$name.bare" ||
		problem "$name: something is answered without memcached and without tower"
	for mode in memory redis; do
		echo "-- $name, $mode"
		cat "$work/$name.$mode"
		awk '$1 < 95 { bad = 1 } END { exit bad }' "$work/$name.$mode" ||
			problem "$name, $mode: less than 95 of 100 come from memory"
		for layer in memory memcached redis; do
			by_layer=$(app_stat "$name" "$mode" hits "$layer")
			by_function=$(app_stat "$name" "$mode" served "$layer")
			[ "$by_layer" -eq "$by_function" ] ||
				problem "$name, $mode: $by_layer hits of $layer, by function $by_function"
		done
		passed=$(app_stat "$name" "$mode" passed)
		[ "$passed" = "$reasons" ] ||
			problem "$name, $mode: calls were passed on because of: $passed"
	done
}

served c buffered "$BUILD/tests/apps/served"
served php '' php tests/apps/served.php
served perl '' perl tests/apps/served.pl
served python '' /usr/bin/python3 tests/apps/served.py
