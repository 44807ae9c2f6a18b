#!/bin/sh
# Two domains over one memcached and one Redis: what a program of the second sees of keys
# that memcached has lost.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

server_memcached "$socket"
memcached=$server_pid
server_redis "$work/redis"
redis=$server_pid
export TOWER_LAYERS='memcached, redis' TOWER_REDIS_URL="unix://$work/redis"
# However busy this machine is.
export TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s
first=$TOWER_NAME-1
second=$TOWER_NAME-2

# Arguments: domain, PHP.  The handle is $m.
php_in() {
	# shellcheck disable=SC2016 # expanded by PHP
	TOWER_NAME=$1 LD_PRELOAD="$BUILD/libtower.so" php -r '
		$m = new Memcached();
		$m->setOption(Memcached::OPT_BINARY_PROTOCOL, (bool)getenv("BINARY"));
		$m->addServer($argv[1], 0);
		'"$2" "$socket"
}

# Arguments: domain, what its tower stat must say.
expect_writers() {
	TOWER_NAME=$1 "$BUILD/tower" stat --json | grep -q "\"writers\":\"$2\"" ||
		problem "$1: not \"$2\": $(TOWER_NAME=$1 "$BUILD/tower" stat --json)"
}

for BINARY in '' 1; do
	# Nothing is known there yet: what the first writes is kept at once.
	export BINARY TOWER_REDIS_NAMESPACE="with$BINARY:"
	# shellcheck disable=SC2016
	php_in "$first" 'foreach (["a", "b", "c", "d"] as $key) { $m->set($key, "old", 1000); }'
	for key in a b c d; do
		memcrm "--servers=$socket" "$key"
	done
	# shellcheck disable=SC2016
	php_in "$second" '
		function expect($what, $was, $is) {
			if ($was !== $is) {
				echo "$what: ", var_export($was, true), "\n";
			}
		}
		$binary = (bool)getenv("BINARY");
		# There every result has a CAS id, which only memcached has.
		expect("get", $m->get("a"), $binary ? false : "old");
		expect("add", $m->add("a", "new"), false);
		expect("add", $m->getResultCode(), Memcached::RES_NOTSTORED);
		expect("replace", $m->replace("b", "new"), false);
		expect("replace", $m->getResultCode(),
			$binary ? Memcached::RES_NOTFOUND : Memcached::RES_NOTSTORED);
		expect("delete", $m->delete("c"), true);
		expect("delete", $m->getResultCode(), Memcached::RES_SUCCESS);
		expect("get", $m->get("c"), false);
		expect("add", $m->add("c", "new"), true);
		expect("get", $m->get("c"), "new");
		expect("get with cas", $m->get("d", null, Memcached::GET_EXTENDED), false);
		expect("get", $m->get("d"), $binary ? false : "old");
	' >"$work/said" || problem "status $?"
	[ ! -s "$work/said" ] || problem "${BINARY:+binary: }$(cat "$work/said")"
done
expect_writers "$second" several
# The first hears of it at its next write.
# shellcheck disable=SC2016
php_in "$first" '$m->set("e", "new");'
expect_writers "$first" several
