#!/bin/sh
# libmemcachedutil is itself a client of libmemcached: it clones handles and
# frees them.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

# 8 threads, 100 rounds, in 2 protocols.
same pool "$BUILD/tests/apps/pool" "$socket"
[ "$(grep -c '^counter: 800$' "$work/pool.bare")" -eq 4 ] || problem 'pools do not work here'
expect_calls pool memcached_set 1604
expect_calls pool memcached_get 3206
expect_calls pool memcached_increment 1600
expect_calls_at_least pool memcached_mget 160
expect_calls_at_least pool memcached_cas 160
expect_calls_at_least pool memcached_clone 2
expect_hits pool memory 1600
