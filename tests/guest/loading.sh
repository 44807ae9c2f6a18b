#!/bin/sh
# How code comes and goes: modules opened and closed, constructors and destructors
# that call, other preloaded libraries, clocks that jump, and what tower brings along.

# shellcheck source=tests/lib/guest.sh
. tests/lib/guest.sh

made=$BUILD/tests/guest
cp "$made/opener" "$made/client.so" "$made/opens.so" "$work/"

# Modules with libmemcached in a program without it.
ends=yes
for how in local global deepbind threads; do
	program=$work/opener
	hazard "open-$how" '' "$how"
done
program=
ends=

# Calls from the constructor and the destructor of a library, which runs before
# tower's own or after it.
for side in before after; do
	case $side in
	before) before=$work/client.so: ;;
	after) after=:$work/client.so ;;
	esac
	client=yes
	hazard "constructor-$side" '' plain
	before=
	after=
	client=
done

# Another interposer of dlopen(), another allocator, a sanitizer.
jemalloc=$(ldconfig -p | sed -n 's/.*libjemalloc\.so\.2 .* => //p' | head -n 1)
faketime=$(dpkg -L libfaketime | grep 'libfaketimeMT\.so\.1$')
[ -n "$jemalloc" ] || problem 'libjemalloc2 is needed'
[ -n "$faketime" ] || problem 'libfaketime is needed'
for other in "$work/opens.so" "$jemalloc"; do
	name=$(basename "$other" .so)
	before=$other:
	hazard "$name-before" '' threads
	before=
	after=:$other
	hazard "$name-after" '' threads
	hazard "$name-fork" '' fork-threads
	after=
done
program=$work/opener ends=yes
before=$work/opens.so:
hazard opens-open-before '' deepbind
before=
after=:$work/opens.so
hazard opens-open-after '' deepbind
program=
ends=
after=

# Programs built with AddressSanitizer, whose library wants to be the first of all, or
# is part of the program.
asan=$(gcc -print-file-name=libasan.so)
host=$made/host-asan
before=$(readlink -f "$asan"):
hazard asan '' threads
hazard asan-fork '' fork-handle
host=$made/host-asan-static
before=
hazard asan-static '' threads
hazard asan-static-fork '' fork-handle
host=$work/host

# Clocks that are elsewhere, run fast, or slowly.
hazard_clock() {
	export FAKETIME="$2"
	hazard "$1" '' clock
	unset FAKETIME
}
before=$faketime:
hazard_clock clock-ahead '+10d'
hazard_clock clock-slow '+0 x0.02'
before=
after=:$faketime
hazard_clock clock-behind '-10d'
hazard_clock clock-fast '+0 x50'
hazard_clock clock-slow-after '+0 x0.02'
after=

hazards_end
