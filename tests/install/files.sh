#!/bin/sh
# What `make install` installs is complete and works where it is; `make uninstall` leaves
# what was there before, and nothing else.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

tree=$PWD
root=$work/root
mkdir -p "$root/opt/tower/lib/tower" "$root/opt/tower/bin"
echo mine >"$root/opt/tower/bin/mine"
echo mine >"$root/opt/tower/lib/tower/mine"

install_with() {
	make -s BUILD="$BUILD" DESTDIR="$root" PREFIX=/opt/tower "$1" >"$work/install" 2>&1 ||
		problem "$(cat "$work/install")"
}

umask 022
install_with install-files
cd "$root/opt/tower"
for file in bin/tower lib/tower/libtower.so share/man/man1/tower.1 share/man/man5/tower.ini.5 \
	share/man/man7/libtower.7 share/bash-completion/completions/tower \
	share/doc/tower/tower.ini.example share/doc/tower/README.md \
	share/doc/tower/docs/COHERENCE.md share/doc/tower/LICENSE; do
	[ -s "$file" ] || problem "$file is not installed"
done
find . -type f ! -perm 755 ! -perm 644 | grep . && problem 'files with other modes'
find bin lib share -type d ! -perm 755 | grep . && problem 'folders with other modes'

# What the documents name is there, too.
find share/doc -name '*.md' | while read -r document; do
	grep -o '](\([^)#:]*\)[)#]' "$document" | sed 's/^](//; s/[)#]$//' | while read -r link; do
		case $link in
		bench/* | scripts/* | tests/*) ;;
		*)
			[ -e "${document%/*}/$link" ] || echo "$document names $link"
			;;
		esac
	done
done >"$work/links"
[ ! -s "$work/links" ] || problem "$(cat "$work/links")"

# The tool finds the library beside it, from any folder.
cd /
# shellcheck disable=SC2016 # expanded by the inner shell
loaded=$("$root/opt/tower/bin/tower" run -- sh -c 'grep -m 1 -o "[^/]*/libtower.so" "/proc/$$/maps"')
[ "$loaded" = tower/libtower.so ] || problem "tower run loads '$loaded'"
"$root/opt/tower/bin/tower" check-config -c "$root/opt/tower/share/doc/tower/tower.ini.example" \
	>/dev/null || problem 'the example is no configuration'

# What measures and simulates is there, too, and needs nothing of the tree.
bench='bench --hierarchy plain,memory+memcached --keys 50 --time 50ms --warm-up 0s --repeats 1'
# shellcheck disable=SC2086 # several words
env -u LD_LIBRARY_PATH "$root/opt/tower/bin/tower" $bench >"$work/out" 2>&1 ||
	problem "tower bench where it is installed: $(cat "$work/out")"
grep -q '^memory+memcached .*%' "$work/out" || problem "$(cat "$work/out")"
printf '0,a,100\n1,b,100\n2,a,100\n' |
	"$root/opt/tower/bin/tower" sim --trace - --format csv --policy lru --size 1i >"$work/out" 2>&1 ||
	problem "tower sim where it is installed: $(cat "$work/out")"
mv "$root/opt/tower/lib/tower/tower-bench-worker" "$work/worker"
# shellcheck disable=SC2086 # several words
if [ ! -e /usr/local/lib/tower/tower-bench-worker ] && [ ! -e /usr/lib/tower/tower-bench-worker ] &&
	"$root/opt/tower/bin/tower" $bench >"$work/out" 2>&1; then
	problem 'tower bench does without its worker, or has one of elsewhere'
fi
mv "$work/worker" "$root/opt/tower/lib/tower/tower-bench-worker"
cd "$tree"

install_with uninstall
find "$root" -type f | sed "s|^$root/||" | sort >"$work/left"
printf 'opt/tower/bin/mine\nopt/tower/lib/tower/mine\n' | diff -u - "$work/left" ||
	problem 'uninstall leaves other files than were there before'
[ ! -e "$root/opt/tower/share/doc/tower" ] || problem 'uninstall leaves a folder of its own'
install_with uninstall
