#!/bin/sh
# A program whose requests are recorded, and that does harm to itself: still the same, and
# what was recorded can be read.

# shellcheck source=tests/lib/guest.sh
. tests/lib/guest.sh

mkdir -m 1777 "$work/trace"
extra="TOWER_TRACE_PATH=$work/trace/t TOWER_TRACE_MAX_BYTES=256K"
modes='bare memory'

# As `hazard`, then whether there are at least so many requests: the fourth argument.
recorded() {
	rm -f "$work/trace/"*
	hazard "$1" "$2" "$1" "$3"
	recorded_n=$("$BUILD/tower" sim --format tower --trace "$work/trace/t" --size 100% --json |
		sed -n 's/.*"requests":\([0-9]*\).*/\1/p')
	[ "${recorded_n:-0}" -ge "$4" ] ||
		hazard_failed "$1: ${recorded_n:-no} requests were recorded, not $4"
}

recorded threads '' '' 1000
recorded small-stack '' '' 1
recorded cancel '' '' 1
recorded fork-first '' '' 1
recorded fork-handle '' '' 1
recorded fork-threads '' '' 1
recorded jump '' '' 1000
recorded jump-storm '' '' 1
recorded prof '' '' 1
recorded closefrom-all '' "$work/files" 1
recorded file-size-later '' '' 1
recorded full-table-later '' '' 1
recorded allocator '' '' 1

# No memory, or no file may have any size, nor a line be written to one.
unseen=yes
hazard address-space 'tower is off|are private' address-space
hazard file-size '' file-size
unseen=

# Room for the table of the domain, and less and less for the recording.
for size in 2700k 2800k 3000k; do
	wrap="env GUEST_SHM_SIZE=$size unshare -m sh tests/guest/with/world.sh full env"
	extra="TOWER_TRACE_PATH=/dev/shm/t TOWER_TRACE_MAX_BYTES=16M"
	unseen=yes
	hazard "threads-$size" '' threads
done

hazards_end
