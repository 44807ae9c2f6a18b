<?php
/*
 * One request of a web application that php-fpm serves over and over: a
 * persistent connection, a session, counters that all workers share.
 * Query: do, n; environment MEMCACHED: socket.
 */
$cache = new Memcached('application');
if (!$cache->getServerList()) {
	$cache->setOption(Memcached::OPT_BINARY_PROTOCOL, true);
	$cache->addServer($_SERVER['MEMCACHED'], 0);
}

function session(): int
{
	session_id('visitor');
	session_start();
	$n = $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
	session_write_close();
	return $n;
}

/* Adds one by compare and swap, as often as it takes. */
function count_by_cas(Memcached $cache): void
{
	do {
		$row = $cache->get('swapped', null, Memcached::GET_EXTENDED);
		$stored = $row ? $cache->cas($row['cas'], 'swapped', $row['value'] + 1)
			: $cache->add('swapped', 1);
	} while (!$stored);
}

switch ($_GET['do']) {
case 'write':
	/* Of two increments that would make a counter at once memcached refuses one now and then. */
	$cache->add('counter', 0);
	$cache->setMulti(['page' => "page {$_GET['n']}", 'part' => "part {$_GET['n']}"]);
	echo "written {$_GET['n']}\n";
	break;
case 'read':
	/* Whichever worker wrote them. */
	for ($i = 0; $i < 5; $i++) {
		$seen[] = $cache->get('page');
		$seen[] = implode(', ', $cache->getMulti(['part', 'page', 'none'],
			Memcached::GET_PRESERVE_ORDER));
	}
	echo implode('; ', array_unique($seen)), "\n";
	break;
case 'count':
	$cache->increment('counter', 1, 1);
	count_by_cas($cache);
	session();
	echo "counted\n";
	break;
case 'result':
	echo "counter {$cache->get('counter')}, swapped {$cache->get('swapped')}, session ",
		session(), "\n";
	break;
}
