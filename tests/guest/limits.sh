#!/bin/sh
# Too little: address space, memory, room in files; allocators that fail.

# shellcheck source=tests/lib/guest.sh
. tests/lib/guest.sh

nothing_shared='memory serves nothing'
off='cannot start: out of memory; tower is off in this process'

unseen=yes
hazard address-space "$off|statistics of this process are private|TOWER_CONFIG.*out of memory; tower is off" address-space
unseen=
hazard address-space-later '' address-space-later
hazard allocator '' allocator

# Nothing can be shared, nor a line be written to a file: no file may have any size.
unseen=yes
hazard file-size '' file-size
unseen=
extra="TOWER_LOG=$work/tower.log TOWER_LOG_LEVEL=debug"
: >"$work/tower.log"
hazard file-size-later '' file-size-later
extra=

after=:$BUILD/tests/guest/fails.so
hazard out-of-memory "out of memory; tower is off|$nothing_shared|are private|redis" \
	out-of-memory 60
after=

hazards_end
