#!/bin/sh
# `make deb`: a source package that is the tree, a package that has all that `make install`
# installs, that lintian finds no error in, and that serves a program from where it was
# unpacked.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

# What is installed to build it is what it says it needs; the rest every builder has.
for package in $(scripts/deps --list build); do
	case $package in
	gcc | make | libc6-dev) ;;
	*) echo "$package" ;;
	esac
done | sort >"$work/needed"
sed -n '/^Build-Depends:/,/^$/p' debian/control | tr ',' '\n' |
	sed 's/^Build-Depends://; s/ *(.*//; s/ //g; /^$/d; /^debhelper-compat$/d' | sort |
	diff -u "$work/needed" - || problem 'debian/control has other Build-Depends than scripts/deps'

command -v lintian >/dev/null || problem 'no lintian: scripts/deps package'
made=$work/made/deb
BUILD="$work/made" scripts/deb >"$work/deb" 2>&1 || problem "$(cat "$work/deb")"
version=$(sed -n 's/^#define TOWER_VERSION "\(.*\)"/\1/p' base/version.h)
architecture=$(dpkg --print-architecture)

# The whole source package, and what was built of it.
user=
[ "$(id -u)" -ne 0 ] || user=--allow-root
lintian $user --fail-on error "$made/tower_${version}_$architecture.changes" >"$work/lintian" 2>&1 ||
	problem "$(cat "$work/lintian")"

dpkg-source --no-check -x "$made/tower_$version.dsc" "$work/source" >"$work/log" 2>&1 ||
	problem "$(cat "$work/log")"
if git rev-parse --git-dir >/dev/null 2>&1; then
	git ls-files --cached --others --exclude-standard | while read -r file; do
		[ ! -e "$file" ] || echo "$file"
	done | grep -v '^\.gitignore$' | sort >"$work/tree"
	(cd "$work/source" && find . -type f) | sed 's|^\./||' | grep -v '^\.gitignore$' | sort |
		diff -u "$work/tree" - || problem 'the source package is not the tree'
fi

# The same files as by `make install`, but for what Debian names otherwise.
root=$work/root
dpkg-deb -x "$made/tower_${version}_$architecture.deb" "$root"
make -s BUILD="$BUILD" DESTDIR="$work/by-make" PREFIX=/usr install-files >"$work/log" 2>&1 ||
	problem "$(cat "$work/log")"
(cd "$work/by-make" && find . -type f ! -name LICENSE) | sed 's/\.[157]$/&.gz/' >"$work/by-make.list"
printf './usr/share/doc/tower/%s\n' changelog.gz copyright >>"$work/by-make.list"
sort -o "$work/by-make.list" "$work/by-make.list"
(cd "$root" && find . -type f) | sort | diff -u "$work/by-make.list" - ||
	problem 'the package holds other files than are installed'

dpkg-deb -f "$made/tower_${version}_$architecture.deb" Depends | tee "$work/depends" |
	grep -q libc6 || problem "it depends on: $(cat "$work/depends")"
# What is preloaded takes libmemcached from the program and nothing else from anybody.
for file in bin/tower lib/tower/libtower.so; do
	! readelf -d "$root/usr/$file" | grep 'NEEDED.*\(libmemcached\|libhiredis\)' ||
		problem "$file is linked to that"
done

# It serves: the second look at a key does not come from memcached.
server_memcached "$socket" -m 64
memcached=$server_pid
tower=$root/usr/bin/tower
"$tower" --version | grep -qx "tower $version" || problem 'another version'
env "MEMCACHED=$socket" "$tower" run -- php tests/apps/recipe.php >"$work/out" 2>&1 ||
	problem "$(cat "$work/out")"
"$tower" stat --json >"$work/stat.json"
hits=$(/usr/bin/python3 tests/lib/stat.py "$work/stat.json" hits memory)
[ "$hits" -ge 9 ] || problem "only $hits hits in memory"

# It measures, with the worker that it brings.
"$tower" bench --hierarchy plain,memory+memcached --keys 50 --time 50ms --warm-up 0s --repeats 1 \
	>"$work/out" 2>&1 || problem "tower bench: $(cat "$work/out")"
