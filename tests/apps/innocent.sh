#!/bin/sh
# Programs that have nothing to do with memcached print what they print
# without tower, and are only mapped it.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

printf '#include <stdio.h>\nint main(void) { return puts("compiled") < 0; }\n' >"$work/hello.c"

# Arguments: name, command.
innocent() {
	name=$1
	shift
	app_in_mode "$name" bare "$@"
	app_in_mode "$name" memory "$@"
	diff -u "$work/$name.bare" "$work/$name.memory" || problem "$name: not the same"
	[ "$(wc -l <"$work/$name.bare")" -gt 1 ] || problem "$name printed nothing"
}

# shellcheck disable=SC2016 # expanded by bash
innocent bash bash -c 'for i in {1..3}; do (echo "$i" | cat) || exit; done; type cd; echo x >&2'
innocent bash-status bash -c 'echo before; kill -TERM $$'
innocent git git log -n 1 --format=fuller
innocent git-error git frobnicate
# shellcheck disable=SC2016 # expanded by the inner shell
innocent gcc sh -c 'gcc -Wall -v -E "$1/hello.c" 2>&1 | sed "s|/tmp/cc[A-Za-z0-9]*||g" &&
	gcc -o "$1/hello" "$1/hello.c" && "$1/hello"' sh "$work"
innocent python3 /usr/bin/python3 -c 'import ctypes, json, ssl, sqlite3; print(json.dumps([1]))'
innocent php php -r 'echo implode(" ", get_loaded_extensions()), "\n", strrev("abc"), "\n";'
innocent ls ls -l /etc
innocent ls-error ls /nonexistent

# Mapped, and nothing else: no shared memory, no file, no further library.
innocent maps sh -c 'echo mapped'
for left in /dev/shm/tower*"-$(id -u)-$TOWER_NAME-"*; do
	[ ! -e "$left" ] || problem "a program without memcached made $left"
done

# shellcheck disable=SC2016 # expanded by the inner shell
LD_PRELOAD="$BUILD/libtower.so" sh -c 'while read -r line; do echo "$line"; done </proc/$$/maps' \
	>"$work/maps"
grep -q '/libtower\.so' "$work/maps" || problem 'libtower.so was not loaded'
for library in libmemcached libstdc++ libsasl libhiredis libinih; do
	! grep -q "/$library" "$work/maps" || problem "libtower.so brings $library along"
done
