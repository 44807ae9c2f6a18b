#!/bin/sh
# Runs a command where shared memory is not what it should be; in a mount namespace
# of its own.  Arguments: what, command.
set -eu

what=$1
shift
case $what in
none)
	mount -t tmpfs -o size=0,mode=000,ro none /dev/shm
	;;
full)
	mount -t tmpfs -o "size=${GUEST_SHM_SIZE:-4k},mode=1777" none /dev/shm
	;;
open)
	mount -t tmpfs -o mode=0777 none /dev/shm
	;;
trusted)
	# The loader takes libraries of a privileged program from there alone.
	chmod u+s "$GUEST_LIBRARY"
	mount --bind "$GUEST_LIBRARY" "$GUEST_TRUSTED"
	;;
esac
if [ -n "${GUEST_LIBRARY:-}" ]; then
	# A table and statistics that nobody outside sees.
	mount -t tmpfs -o mode=1777 none /dev/shm
	"$@" && status=0 || status=$?
	ls /dev/shm >"$GUEST_LIBRARY.shm"
	exit "$status"
fi
exec "$@"
