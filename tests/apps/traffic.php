<?php
// Reads and writes without end, in waves: from memory, from memcached, from Redis alone, from
// nowhere.  Arguments: socket, a file that is made when it has begun.
[, $socket, $ready] = $argv;
$m = new Memcached();
$m->addServer($socket, 0);
for ($i = 0; $i < 300; $i++) {
	$m->set("k$i", str_repeat('x', 400));
}
// memcached loses some.
$lose = stream_socket_client("unix://$socket");
for ($i = 250; $i < 300; $i++) {
	fwrite($lose, "delete k$i\r\n");
	fgets($lose);
}
touch($ready);
for ($end = time() + 200; time() < $end;) {
	$n = 40 + (int)(30 * sin(microtime(true)));
	for ($i = 0; $i < $n; $i++) {
		$m->get('k' . mt_rand(0, 40));
		$m->get('k' . mt_rand(0, 249));
		if ($i % 4 == 0) {
			$m->get('k' . mt_rand(250, 299));
			$m->get('none');
		}
		if ($i % 9 == 0) {
			$m->set('k' . mt_rand(0, 249), str_repeat('y', 400));
		}
	}
	usleep(20000);
}
