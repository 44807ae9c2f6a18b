<?php
/* The table of served.c for php-memcached.  Arguments: two sockets. */

const KEYS = 10;
const ROUNDS = 100;

function fail(string $what): never
{
	echo "$what\n";
	exit(1);
}

/* What memcached counted, asked without libmemcached. */
function gets_of(string $socket): int
{
	$stream = stream_socket_client("unix://$socket");
	fwrite($stream, "stats\r\n");
	for ($gets = null; ($line = fgets($stream)) !== false && $line !== "END\r\n";) {
		if (preg_match('/^STAT cmd_get (\d+)/', $line, $found)) {
			$gets = (int)$found[1];
		}
	}
	return $gets ?? fail('no count of gets');
}

function gets_of_both(): int
{
	global $argv;
	return gets_of($argv[1]) + gets_of($argv[2]);
}

function open_cache(array $kind, bool $binary): Memcached
{
	global $argv;
	$cache = new Memcached($kind['persistent'] ?? null);
	if ($cache->getServerList()) {
		return $cache;
	}
	$cache->setOption(Memcached::OPT_BINARY_PROTOCOL, $binary);
	if (isset($kind['prefix'])) {
		$cache->setOption(Memcached::OPT_PREFIX_KEY, $kind['prefix']);
	}
	$cache->addServer($argv[1], 0);
	if (isset($kind['ketama'])) {
		$cache->setOption(Memcached::OPT_LIBKETAMA_COMPATIBLE, true);
		$cache->addServer($argv[2], 0);
	}
	return $cache;
}

/* Each reads all keys once and gives key => value. */
$ways = [
	'get' => function ($cache, $keys, $master) {
		$values = [];
		foreach ($keys as $key) {
			$values[$key] = $master ? $cache->getByKey($master, $key) : $cache->get($key);
		}
		return $values;
	},
	'get(GET_EXTENDED)' => function ($cache, $keys, $master) {
		$values = [];
		foreach ($keys as $key) {
			$row = $master ? $cache->getByKey($master, $key, null, Memcached::GET_EXTENDED)
				: $cache->get($key, null, Memcached::GET_EXTENDED);
			$values[$key] = $row['cas'] > 0 ? $row['value'] : 'no CAS id';
		}
		return $values;
	},
	'getMulti' => fn($cache, $keys, $master) =>
		$master ? $cache->getMultiByKey($master, $keys) : $cache->getMulti($keys),
	'getMulti(PRESERVE_ORDER)' => fn($cache, $keys, $master) =>
		$master ? $cache->getMultiByKey($master, $keys, Memcached::GET_PRESERVE_ORDER)
			: $cache->getMulti($keys, Memcached::GET_PRESERVE_ORDER),
	'getMulti(EXTENDED)' => fn($cache, $keys, $master) => array_column_of(
		$master ? $cache->getMultiByKey($master, $keys, Memcached::GET_EXTENDED)
			: $cache->getMulti($keys, Memcached::GET_EXTENDED)),
	'getDelayed+fetch' => function ($cache, $keys, $master) {
		$master ? $cache->getDelayedByKey($master, $keys) : $cache->getDelayed($keys);
		for ($values = []; $row = $cache->fetch();) {
			$values[$row['key']] = $row['value'];
		}
		return $values;
	},
	'getDelayed+fetchAll' => function ($cache, $keys, $master) {
		$master ? $cache->getDelayedByKey($master, $keys) : $cache->getDelayed($keys);
		return array_column($cache->fetchAll(), 'value', 'key');
	},
	'getDelayed(cas)+fetchAll' => function ($cache, $keys, $master) {
		$master ? $cache->getDelayedByKey($master, $keys, true)
			: $cache->getDelayed($keys, true);
		$rows = $cache->fetchAll();
		return min(array_column($rows, 'cas')) > 0 ? array_column($rows, 'value', 'key') : [];
	},
	'getDelayed(callback)' => function ($cache, $keys, $master) {
		$values = [];
		$take = function ($cache, $row) use (&$values) {
			$values[$row['key']] = $row['value'];
		};
		$master ? $cache->getDelayedByKey($master, $keys, false, $take)
			: $cache->getDelayed($keys, false, $take);
		return $values;
	},
];

function array_column_of(array $rows): array
{
	return array_map(fn($row) => $row['cas'] > 0 ? $row['value'] : 'no CAS id', $rows);
}

$kinds = [
	'one' => [],
	'new' => ['new' => true],
	'prefix' => ['prefix' => 'prefix:'],
	'master' => ['master' => 'master'],
	'persistent' => ['persistent' => 'served', 'new' => true],
	'ketama' => ['ketama' => true],
	'ketama,prefix,master,persistent' => ['ketama' => true, 'prefix' => 'prefix:',
		'master' => 'master', 'persistent' => 'all', 'new' => true],
];

foreach ($kinds as $kind_name => $kind) {
	foreach (['text' => false, 'binary' => true] as $protocol => $binary) {
		if (isset($kind['persistent'])) {
			$kind['persistent'] .= $protocol;
		}
		foreach ($ways as $way_name => $way) {
			$cache = open_cache($kind, $binary);
			$master = $kind['master'] ?? null;
			$expected = [];
			for ($i = 0; $i < KEYS; $i++) {
				$key = "$way_name-$kind_name-$protocol-$i";
				$expected[$key] = $i % 2 ? ['value' => [$key, $i]] : "value of $key";
				$master ? $cache->setByKey($master, $key, $expected[$key])
					: $cache->set($key, $expected[$key]);
			}
			$before = gets_of_both();
			for ($i = 0; $i < ROUNDS; $i++) {
				if (isset($kind['new'])) {
					$cache = open_cache($kind, $binary);
				}
				$values = $way($cache, array_keys($expected), $master);
				ksort($values);
				if ($values !== $expected) {
					fail("$way_name, $kind_name: not what was stored");
				}
			}
			$share = 100 * (1 - (gets_of_both() - $before) / (KEYS * ROUNDS));
			printf("%5.1f %s %s %s\n", $share, $way_name, $protocol, $kind_name);
		}
	}
}
