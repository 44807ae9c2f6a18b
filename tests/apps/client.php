<?php
/* What PHP programs do with php-memcached.  Argument: socket. */

function say(string $what, $value): void
{
	global $cache;
	echo "$what: ", json_encode($value), " ({$cache->getResultCode()})\n";
}

function open_cache(string $socket, bool $binary): Memcached
{
	$cache = new Memcached();
	$cache->setOption(Memcached::OPT_BINARY_PROTOCOL, $binary);
	$cache->addServer($socket, 0);
	return $cache;
}

foreach ([false, true] as $binary) {
	$cache = open_cache($argv[1], $binary);
	echo $binary ? "-- binary\n" : "-- text\n";
	say('flush', $cache->flush());

	foreach (['text' => 'value', 'empty' => '', 'int' => 7, 'float' => 1.5, 'true' => true,
		'array' => ['a' => [1, 2], 'b' => null], 'long' => str_repeat('long ', 5000)] as $key => $value) {
		say("set $key", $cache->set($key, $value));
		for ($i = 0; $i < 3; $i++) {
			say("get $key same", $cache->get($key) === $value);
		}
	}
	say('get missing', $cache->get('missing'));
	say('get by callback', $cache->get('made', function ($cache, $key, &$value) {
		$value = "made for $key";
		return true;
	}));
	say('get made', $cache->get('made'));

	say('setMulti', $cache->setMulti(['m1' => 'one', 'm2' => 'two', 'm3' => 'three']));
	for ($i = 0; $i < 2; $i++) {
		say('getMulti', $cache->getMulti(['m3', 'none', 'm1', 'm2']));
		say('getMulti in order', $cache->getMulti(['m3', 'none', 'm1', 'm2'],
			Memcached::GET_PRESERVE_ORDER));
	}

	say('getDelayed', $cache->getDelayed(['m1', 'm2', 'none'], true));
	say('fetch', array_intersect_key($cache->fetch() ?: [], ['key' => 0, 'value' => 0]));
	say('fetch', array_intersect_key($cache->fetch() ?: [], ['key' => 0, 'value' => 0]));
	say('fetch', $cache->fetch());
	say('getDelayed', $cache->getDelayed(['m3', 'm2', 'm1']));
	say('fetchAll', $cache->fetchAll());
	say('getDelayed, forgotten', $cache->getDelayed(['m3', 'm2', 'm1']));
	say('get in between', $cache->get('text'));

	$row = $cache->get('m1', null, Memcached::GET_EXTENDED);
	say('cas value', $row['value']);
	say('cas', $cache->cas($row['cas'], 'm1', 'swapped'));
	say('get', $cache->get('m1'));
	say('cas again', $cache->cas($row['cas'], 'm1', 'never'));
	say('get', $cache->get('m1'));

	say('set n', $cache->set('n', 10));
	say('increment', $cache->increment('n', 5));
	say('get n', $cache->get('n'));
	say('decrement', $cache->decrement('n', 100));
	say('get n', $cache->get('n'));
	say('increment none', $binary ? $cache->increment('fresh', 1, 100) : $cache->increment('fresh'));
	say('get fresh', $cache->get('fresh'));

	$cache->setOption(Memcached::OPT_COMPRESSION, false);
	say('set', $cache->set('s', 'middle'));
	say('append', $cache->append('s', ' end'));
	say('prepend', $cache->prepend('s', 'begin '));
	say('get', $cache->get('s'));
	say('add', $cache->add('s', 'x'));
	say('replace', $cache->replace('s', 'replaced'));
	say('get', $cache->get('s'));
	say('touch', $cache->touch('s', 100));
	say('delete', $cache->delete('s'));
	say('get', $cache->get('s'));
	say('delete', $cache->delete('s'));
	say('deleteMulti', $cache->deleteMulti(['m1', 'none']));
	say('get', $cache->get('m1'));

	say('setByKey', $cache->setByKey('master', 'k', 'by key'));
	say('getByKey', $cache->getByKey('master', 'k'));
	$cache->setOption(Memcached::OPT_PREFIX_KEY, 'prefix:');
	say('get with prefix', $cache->get('text'));
	say('set with prefix', $cache->set('text', 'prefixed'));
	say('get with prefix', $cache->get('text'));
	$cache->setOption(Memcached::OPT_PREFIX_KEY, '');
	say('get', $cache->get('text'));
	say('flush', $cache->flush());
	say('get', $cache->get('text'));
}
