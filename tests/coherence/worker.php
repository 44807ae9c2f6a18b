<?php
/*
 * A worker of the variant "languages", in PHP.  Arguments: socket, log,
 * number, keys, file that ends it.  check.py says what the log is.
 */

[, $socket, $path, $number, $n_keys, $end] = $argv;
$number = (int)$number;
$cache = new Memcached();
$cache->setOption(Memcached::OPT_COMPRESSION, false);
$cache->addServer($socket, 0);
$log = fopen($path, 'w');
$counts = array_fill(0, (int)$n_keys, 0);

function whole(string $digits): string
{
	return str_pad($digits . sprintf('%08x', crc32($digits)), 100, '.');
}

function version($value): string
{
	$digits = $value === false ? '-' : substr($value, 0, 40);
	return $value === false || whole($digits) === $value ? $digits : 'corrupt';
}

for (;;) {
	for ($i = mt_rand(0, 100); $i > 0; $i--) {
		$key = mt_rand(0, $n_keys - 1);
		$begin = hrtime(true);
		$value = $cache->get(sprintf('abc%02d', $key));
		$returned = hrtime(true);
		$code = $cache->getResultCode();
		if ($code !== Memcached::RES_SUCCESS && $code !== Memcached::RES_NOTFOUND) {
			fwrite(STDERR, "worker.php: get: {$cache->getResultMessage()}\n");
			exit(1);
		}
		fwrite($log, "r $begin $returned $key " . version($value) . "\n");
	}
	$key = mt_rand(0, $n_keys - 1);
	$name = sprintf('abc%02d', $key);
	$start = hrtime(true);
	if (mt_rand(0, 2) === 0) {
		$done = $cache->delete($name) || $cache->getResultCode() === Memcached::RES_NOTFOUND;
		$digits = '-';
	} else {
		$digits = sprintf('%04x%04x%012x%016x%04x', $key, $number, ++$counts[$key], $start, 0);
		$done = $cache->set($name, whole($digits));
	}
	if (!$done) {
		fwrite(STDERR, "worker.php: write: {$cache->getResultMessage()}\n");
		exit(1);
	}
	fwrite($log, "w $start " . hrtime(true) . " $key $digits\n");
	clearstatcache();
	if (file_exists($end)) {
		exit(0);
	}
	usleep(500);
}
