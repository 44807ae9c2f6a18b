#!/bin/sh
# A set-user-id program: the loader takes tower from a trusted folder alone, and tower
# nothing from the environment.

# shellcheck source=tests/lib/guest.sh
. tests/lib/guest.sh

# It belongs to nobody; root starts it.
chown 65534:65534 "$work/host"
chmod 6755 "$work/host"
trusted=$(dirname "$(readlink -f "$(ldconfig -p | sed -n 's/.*libBrokenLocale\.so\.1 .* => //p' |
	head -n 1)")")
[ -f "$trusted/libBrokenLocale.so.1" ] || problem "no libBrokenLocale.so.1 in $trusted"

# Preloaded by a path it is ignored, and nothing is different.
unseen=yes
wrap="env GUEST_LIBRARY=$work/libtower.so unshare -m sh tests/guest/with/world.sh own env"
hazard privileged '' privileged
[ ! -s "$work/libtower.so.shm" ] || hazard_failed 'tower runs where the loader ignores it'

# From a trusted folder it runs, as if there were no environment: the domain is "default".
tower=libBrokenLocale.so.1
wrap="env GUEST_LIBRARY=$work/libtower.so GUEST_TRUSTED=$trusted/libBrokenLocale.so.1 \
unshare -m sh tests/guest/with/world.sh trusted env"
hazard trusted '' privileged
grep -q 'privileged: 1' "$work/trusted.memory" || hazard_failed 'it is not privileged'
printf 'tower-65534-default\ntower-stats-65534-default\n' | diff -u - "$work/libtower.so.shm" ||
	hazard_failed 'the environment was obeyed, or nothing was loaded'

hazards_end
