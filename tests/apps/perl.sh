#!/bin/sh
# Perl's binding has no get of its own: it is mget_by_key with fetch_execute.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

same client perl tests/apps/client.pl "$socket"
expect_calls client memcached_get 0
expect_calls client memcached_mget_by_key 60
# But for the bad key, and with get_multi.
expect_calls client memcached_fetch_execute 70
expect_calls client memcached_mget 18
expect_calls client memcached_fetch 20
expect_hits client memory 40
