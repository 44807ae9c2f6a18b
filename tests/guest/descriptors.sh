#!/bin/sh
# Descriptors: none left, none of the standard ones, all closed behind tower's back.

# shellcheck source=tests/lib/guest.sh
. tests/lib/guest.sh

hazard cloexec '' cloexec
hazard folder-and-mask '' folder-and-mask
hazard no-folder '' no-folder "$work/files"

# No configuration can be read, no memory shared: off, or memory serves nothing.
unseen=yes
hazard full-table-first 'tower is off in this process' full-table-first
unseen=
hazard full-table-later '' full-table-later

wrap='sh tests/guest/with/without-streams.sh env'
hazard no-streams '' no-streams "$work/files"
wrap=
hazard close-streams '' close-streams "$work/files"

# The log, too, was closed, and its number belongs to a file of the program.
log="$work/tower.log"
: >"$log"
chmod 666 "$log"
modes='bare memory'
hazard closefrom '' closefrom "$work/files"
modes=
modes='bare redis'
hazard closefrom 'redis' closefrom "$work/files"
modes=
extra="TOWER_LOG=$log TOWER_LOG_LEVEL=debug"
hazard closefrom-log '' closefrom "$work/files"
hazard closefrom-all '' closefrom-all "$work/files"
grep -q 'redis' "$log" || hazard_failed 'the log was never written'
extra=

hazards_end
