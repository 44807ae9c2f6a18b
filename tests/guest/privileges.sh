#!/bin/sh
# Who the program is, and where: other users, roots, mounts, filters of system calls.

# shellcheck source=tests/lib/guest.sh
. tests/lib/guest.sh

nothing_shared='memory serves nothing'

# The domain is another user's.
unseen=yes
hazard setuid-first '' setuid-first
unseen=
hazard setuid-later '' setuid-later
hazard seteuid '' seteuid

# A root that has the server's socket and nothing else.
unseen=yes
hazard chroot-first 'off in this process' chroot-first JAIL
unseen=
modes='bare memory'
hazard chroot-later '' chroot-later JAIL
modes=
modes='bare redis'
hazard chroot-later 'redis.* cannot be reached' chroot-later JAIL
modes=

filtered="$nothing_shared|off in this process|are private"
hazard filter "$filtered" filter
hazard filter-later '' filter-later

# Files of shared memory go while they are in use.
unseen=yes
hazard files-removed '' files-removed "rm -f /dev/shm/tower*-$TOWER_NAME-*"

# /dev/shm as it should not be.
unseen=yes
wrap='unshare -m sh tests/guest/with/world.sh none env'
hazard no-shm "$nothing_shared" plain
wrap='unshare -m sh tests/guest/with/world.sh open env'
hazard shm-open "$nothing_shared" plain
for size in 4k 16k 64k 256k 1M 2M 3M 4M; do
	wrap="env GUEST_SHM_SIZE=$size unshare -m sh tests/guest/with/world.sh full env"
	case $size in
	3M | 4M) said= ;;
	*) said=$nothing_shared ;;
	esac
	hazard "shm-of-$size" "$said" plain
done
wrap=

# An unprivileged user whose table lies where nothing can be made.
wrap='setpriv --reuid 65534 --regid 65534 --clear-groups env'
extra='TOWER_COHERENCE_PATH=/proc/none TOWER_STATS_PATH=/proc/none'
hazard nowhere "$nothing_shared" plain
wrap=
extra=

hazards_end
