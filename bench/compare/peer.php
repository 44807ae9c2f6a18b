<?php
// One of bench/compare's peers: the requests of a file against memcached or APCu.
//
// usage: php peer.php memcached|apcu SOCKET REQUESTS SECONDS VALUE-BYTES
//
// Prints requests a second, and percentiles of the gets in nanoseconds, as JSON.  A value that is
// not the one of its key ends it with status 1.

[, $kind, $socket, $file, $seconds, $bytes] = $argv;

if ($kind === 'memcached') {
	$cache = new Memcached();
	$cache->addServer($socket, 0);
	$get = fn($key) => $cache->get($key);
	$set = fn($key, $value) => $cache->set($key, $value);
} else {
	$get = fn($key) => apcu_fetch($key);
	$set = fn($key, $value) => apcu_store($key, $value);
}

$requests = [];
foreach (file($file, FILE_IGNORE_NEW_LINES) as $line) {
	[, $key, , $operation] = explode(',', $line);
	$requests[] = [$key, $operation === 'set'];
}

function value_of(string $key, int $bytes): string
{
	return str_pad("$key:", $bytes, 'v');
}

// Runs through the requests, again and again, for so long; nothing is kept in the warm-up.
function run(array $requests, float $seconds, int $bytes, callable $get, callable $set, ?array &$latencies): float
{
	$begun = hrtime(true);
	$end = $begun + (int)($seconds * 1e9);
	for ($done = 0, $n = count($requests); hrtime(true) < $end; $done++) {
		[$key, $is_set] = $requests[$done % $n];
		if ($is_set) {
			$set($key, value_of($key, $bytes));
			continue;
		}
		$before = hrtime(true);
		$value = $get($key);
		$latency = hrtime(true) - $before;
		if ($latencies !== null) {
			$latencies[] = $latency;
		}
		if ($value === false) {
			$set($key, value_of($key, $bytes));
		} elseif ($value !== value_of($key, $bytes)) {
			fwrite(STDERR, "a wrong value of $key\n");
			exit(1);
		}
	}
	return $done / ((hrtime(true) - $begun) / 1e9);
}

ini_set('memory_limit', '2G');
$none = null;
run($requests, $seconds / 2, (int)$bytes, $get, $set, $none);
$latencies = [];
$rate = run($requests, $seconds, (int)$bytes, $get, $set, $latencies);
sort($latencies);
$at = fn($share) => $latencies[(int)(($share * (count($latencies) - 1)))];
echo json_encode(['requests_per_second' => $rate, 'p50_ns' => $at(0.5), 'p99_ns' => $at(0.99)]), "\n";
