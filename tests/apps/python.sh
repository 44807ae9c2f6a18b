#!/bin/sh
# Python loads pylibmc with RTLD_LOCAL: the shim's dlsym(RTLD_NEXT) finds nothing.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

same client /usr/bin/python3 tests/apps/client.py "$socket"
expect_calls client memcached_get 68
expect_calls client memcached_mget 14
expect_hits client memory 20

# 8 threads, 50 rounds, 2 kinds of pools, 2 protocols: one set, 2 gets, one get_multi each.
same pools /usr/bin/python3 tests/apps/pools.py "$socket"
[ "$(grep -c "^counter: 400$" "$work/pools.bare")" -eq 4 ] || problem 'pools do not work here'
expect_calls pools memcached_increment 1600
expect_calls_at_least pools memcached_get 3200
expect_calls_at_least pools memcached_mget 1600
expect_calls_at_least pools memcached_cas 320
expect_hits pools memory 1000
