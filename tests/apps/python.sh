#!/bin/sh
# Python loads pylibmc with RTLD_LOCAL: the shim's dlsym(RTLD_NEXT) finds nothing.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

same client /usr/bin/python3 tests/apps/client.py "$socket"
expect_calls client memcached_get 68
expect_calls client memcached_mget 14
expect_hits client memory 20
