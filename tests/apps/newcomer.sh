#!/bin/sh
# The README's five steps, with its own lines: install, run an application, see it work, find why a
# call is bypassed, switch off.  The packages are tests/install's.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

name=$TOWER_NAME-shop
unset TOWER_NAME
export TOWER_CONFIG

make -s BUILD="$BUILD" PREFIX="$work/local" install-files >"$work/log" 2>&1 || problem "$(cat "$work/log")"
PATH=$work/local/bin:$PATH
mkdir "$work/shop"
cp tests/apps/recipe.php "$work/shop/index.php"
cat >"$work/shop/import.php" <<'PAGE'
<?php
$cache = new Memcached();
$cache->addServer(getenv("MEMCACHED"), 0);
$cache->setOption(Memcached::OPT_BUFFER_WRITES, true);
$cache->set("imported", "yes");
echo $cache->get("imported"), "\n";
PAGE
port=$(/usr/bin/python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')

# The lines of a step, with the folder, the port and the domain of this test.
lines() {
	awk -v name="newcomer-$1" '/^```$/ { inside = 0 } inside { print }
		/^```[a-z]+ / { inside = $2 == name }' README.md |
		sed "s!tower.name=shop!tower.name=$name!; s!/srv/shop!$work/shop!; s!:8080!:$port!" \
			>"$work/lines"
	[ -s "$work/lines" ] || problem "README.md has no step $1"
	cat "$work/lines"
}

step() {
	lines "$1" >"$work/step"
	sh "$work/step" >"$work/$1" 2>&1 || problem "$1: $(cat "$work/$1")"
}

page() {
	curl -s --noproxy '*' "http://127.0.0.1:$port/$1" >"$work/page"
}

hits() {
	tower stat --json -o "tower.name=$name" >"$work/stat.json"
	/usr/bin/python3 tests/lib/stat.py "$work/stat.json" hits memory
}

server_memcached "$socket" -m 64
memcached=$server_pid
lines run >"$work/run"
{
	printf 'exec '
	cat "$work/run"
} >"$work/start"
MEMCACHED=$socket sh "$work/start" >"$work/log" 2>&1 </dev/null &
running=$!
tries=0
until page '' && grep -q '^request' "$work/page"; do
	tries=$((tries + 1))
	if [ "$tries" -gt 200 ] || ! kill -0 "$running" 2>/dev/null; then
		problem "it does not run: $(cat "$work/log")"
	fi
	sleep 0.05
done
page ''
grep -qx 'a page' "$work/page" || problem "$(cat "$work/page")"
step see
grep -qE '^  memory +[1-9][0-9]* ' "$work/see" || problem "it is not seen to work: $(cat "$work/see")"
head='layer         hits   misses    share'
grep -q "$head" "$work/see" || problem 'tower stat looks otherwise than the README says'
grep -q "$head" README.md || problem 'the README shows other columns'

! grep -q 'passed on' "$work/see" || problem "something is bypassed already: $(cat "$work/see")"
page import.php
grep -qx yes "$work/page" || problem "$(cat "$work/page")"
step see
grep -A1 'passed on to memcached alone, because of' "$work/see" | sed 's/^/	/' >"$work/why"
[ "$(wc -l <"$work/why")" -ge 2 ] || problem "nothing is bypassed: $(cat "$work/see")"
sed -n '/passed on to memcached alone/,/^$/p' README.md | grep -q 'buffered  *1$' ||
	problem 'the README shows another bypass'
grep -q 'buffered  *1$' "$work/why" || problem "another bypass: $(cat "$work/why")"
mandoc -T utf8 "$work/local/share/man/man7/libtower.7" | col -b | grep -q '^ *buffered$' ||
	problem 'man libtower does not explain it'

before=$(hits)
step off
page ''
page ''
grep -q '^request' "$work/page" || problem "$(cat "$work/page")"
[ "$(hits)" -eq "$before" ] || problem 'it is not switched off'
step on
page ''
page ''
[ "$(hits)" -gt "$before" ] || problem 'it is not switched on again'

kill -TERM "$running"
wait "$running" || :
running=
make -s BUILD="$BUILD" PREFIX="$work/local" uninstall >"$work/log" 2>&1 || problem "$(cat "$work/log")"
[ ! -e "$work/local/bin/tower" ] || problem 'it is still installed'
