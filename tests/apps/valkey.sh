#!/bin/sh
# Everything of the deep tier with Valkey in place of Redis: the layer's tests, one big memcached,
# some seconds of what readers may see while Valkey is killed, stopped and filled.
# WITHOUT_VALKEY: it cannot be had here, and that is no failure.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

if ! command -v valkey-server >/dev/null; then
	[ -z "${WITHOUT_VALKEY:-}" ] || exit 0
	skip 'no valkey-server: scripts/deps valkey'
fi
export REDIS_SERVER=valkey-server

server_redis "$work/valkey"
redis=$server_pid
redis-cli -s "$work/valkey" info server | grep -q '^valkey_version:' || problem 'that is no Valkey'

# What is installed has no test programs beside it.
layer=
if [ -d "$BUILD/tests/faults" ]; then
	layer=$(cd "$BUILD/tests/faults" && echo test_redis*)
fi
# shellcheck disable=SC2086 # words
tests/run $layer one_big.sh
if [ -x "$BUILD/tests/coherence/litmus" ]; then
	tests/coherence/run --seconds 5 deep-chaos
fi
