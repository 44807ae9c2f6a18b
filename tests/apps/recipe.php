<?php
/* The smallest of applications: what is asked for is there; the n-th request says n. */
$cache = new Memcached();
$cache->addServer(getenv("MEMCACHED"), 0);
$cache->add("requests", 0);
echo "request ", $cache->increment("requests"), "\n";
$cache->set("page", "a page\n");
for ($i = 0; $i < 10; $i++) {
	$page = $cache->get("page");
}
echo $page;
