<?php
/*
 * A web site's page cache through php-memcached, as many are written: ask the
 * cache, on a miss make the page and put it there.
 * Arguments: socket, file for the times: of reading a few pages again and again.
 */
const PAGES = 1500;
const GETS = 15000;
const BURSTS = 200;
const BURST = 20;
const ROUNDS = 300;
const ROUND = 50;

[, $socket, $times] = $argv;
$cache = new Memcached();
$cache->setOption(Memcached::OPT_COMPRESSION, false);
$cache->addServer($socket, 0);

function page(int $n): string
{
	return str_repeat(md5("page $n") . "\n", 50 + $n * 37 % 250);
}

/* Few pages are asked for often, most seldom; the same in every run. */
function any_page(int &$state): int
{
	$state = ($state * 1103515245 + 12345) % 2147483648;
	return (int)(PAGES ** ($state / 2147483648)) - 1;
}

$state = 1;
$sum = hash_init('crc32b');
$lost = 0;

for ($i = 0; $i < PAGES; $i++) {
	$cache->set("page:$i", page($i)) || print("set: {$cache->getResultMessage()}\n");
}

for ($i = 0; $i < GETS; $i++) {
	$n = any_page($state);
	$text = $cache->get("page:$n");
	if ($text === false) {
		$lost++;
		$text = page($n);
		$cache->set("page:$n", $text);
	}
	hash_update($sum, $text);
}

for ($i = 0; $i < BURSTS; $i++) {
	$keys = [];
	for ($j = 0; $j < BURST; $j++) {
		$keys[] = 'page:' . ($i * 7 + $j) % PAGES;
	}
	$found = $cache->getMulti($keys, Memcached::GET_PRESERVE_ORDER);
	$missing = [];
	foreach ($found as $key => $text) {
		if ($text === null) {
			$lost++;
			$text = page((int)substr($key, 5));
			$missing[$key] = $text;
		}
		hash_update($sum, $key . $text);
	}
	if ($missing) {
		$cache->setMulti($missing);
	}
}

for ($i = 0; $i < ROUND; $i++) {
	$cache->set("page:$i", page($i));
}
$right = 0;
$begun = hrtime(true);
for ($round = 0; $round < ROUNDS; $round++) {
	for ($i = 0; $i < ROUND; $i++) {
		$right += strlen($cache->get("page:$i")) > 0;
	}
}
$nanoseconds = hrtime(true) - $begun;

$cache->set('visits', 0);
for ($i = 0; $i < 100; $i++) {
	$cache->increment('visits', 2);
}
$row = $cache->get('visits', null, Memcached::GET_EXTENDED);
$swapped = $cache->cas($row['cas'], 'visits', 1000);
$again = $cache->cas($row['cas'], 'visits', 2000);

echo 'pages read: ', GETS, ', ', BURSTS, ' times ', BURST, ", and the same $right times\n";
echo 'checksum: ', hash_final($sum), "\n";
echo "visits: {$row['value']}, cas: ", var_export($swapped, true), ' then ',
	var_export($again, true), ", {$cache->get('visits')}\n";
file_put_contents($times, ROUNDS * ROUND . " $nanoseconds $lost\n");
