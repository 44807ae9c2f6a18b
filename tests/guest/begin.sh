#!/bin/sh
# What preloading costs a program that has nothing to do with memcached, and that it
# is nothing else than a library that needs libc alone.  Numbers are printed, and
# only those that do not depend on the moment are judged.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

tower=$BUILD/libtower.so

needed=$(readelf -d "$tower" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
[ "$needed" = libc.so.6 ] || problem "libtower.so needs more than libc: $needed"

# Instructions of the whole process, those of the loader included.
instructions() {
	valgrind --tool=callgrind --trace-children=yes --callgrind-out-file=/dev/null env "$@" 2>&1 |
		sed -n 's/.*Collected : \([0-9]*\).*/\1/p' | tail -n 1
}

calls() {
	strace -f -o "$work/strace" env "$@"
	sed -n '/execve("\/bin\/true"/,$p' "$work/strace" | wc -l
}

for preload in '' "$tower"; do
	eval "instructions_${preload:+with}=$(instructions "LD_PRELOAD=$preload" /bin/true)"
	eval "calls_${preload:+with}=$(calls "LD_PRELOAD=$preload" /bin/true)"
done
# shellcheck disable=SC2154 # set by eval
echo "/bin/true: $instructions_ instructions, $instructions_with preloaded;" \
	"$calls_ system calls, $calls_with preloaded"

# So much is a millisecond's 1000000 instructions by far, and a file opened twice.
[ "$((instructions_with - instructions_))" -lt 400000 ] || problem 'too many instructions'
[ "$((calls_with - calls_))" -lt 25 ] || problem 'too many system calls'

# The same in time, best of ten: for people.
/usr/bin/python3 tests/guest/with/begin.py "$tower"
