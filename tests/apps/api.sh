#!/bin/sh
# The table of functions (shim/api.def) against the installed libraries and
# against libtower.so; a later libmemcached's new function must be reported.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

scripts/api-coverage --check || problem 'the table does not fit'

# Exactly what the table says is interposed, and dlopen.
{
	echo dlopen
	scripts/api-coverage --calls
} | sort >"$work/table"
nm -D --defined-only "$BUILD/libtower.so" | awk '{ print $NF }' | sort >"$work/exports"
diff -u "$work/table" "$work/exports" || problem 'libtower.so exports something else'

# A library that exports all of libmemcached and one function more.
nm -D --defined-only "$(gcc -print-file-name=libmemcached.so)" |
	awk '{ print "int " $NF "(void) { return 0; }" }' >"$work/later.c"
echo 'int memcached_new_in_two(void) { return 0; }' >>"$work/later.c"
gcc -shared -fPIC -fno-builtin -o "$work/later.so" "$work/later.c"
if scripts/api-coverage --check "$work/later.so" >"$work/report"; then
	problem 'a function that the table lacks was not reported'
fi
grep -q memcached_new_in_two "$work/report" || problem 'it was not named'
