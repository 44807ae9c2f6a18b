#!/bin/sh
# USDT probes: all are there, as one nop each; docs/PROBES.md names what they say; and its
# examples count with bpftrace what tower stat counts, where the kernel lets them.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

document=docs/PROBES.md
library=$BUILD/libtower.so

if [ ! -f /usr/include/sys/sdt.h ] && ! ls /usr/include/*/sys/sdt.h >/dev/null 2>&1; then
	problem 'no sys/sdt.h: scripts/deps'
fi
readelf -n "$library" >"$work/notes"
# shellcheck disable=SC2016 # quotes of Markdown
sed -n 's/^| `\([a-z]*\)` |.*/\1/p' "$document" | sort >"$work/named"
awk '$1 == "Provider:" { ours = $2 == "tower" } $1 == "Name:" && ours { print $2 }' "$work/notes" |
	sort -u | diff -u "$work/named" - || problem 'the library has other probes than the document'
printf '%s\n' breaker fill hit invalidate miss write | diff -u - "$work/named" ||
	problem 'the document has not all of them'

# Each is one byte that does nothing.
case $(uname -m) in
x86_64) nop=90 ;;
*) nop= ;;
esac
sed -n 's/^ *Location: \(0x[0-9a-f]*\),.*/\1/p' "$work/notes" | while read -r place; do
	found=$(objdump -d --start-address="$place" --stop-address="$((place + 1))" "$library" |
		awk -F '\t' '/^ *[0-9a-f]+:/ { print $2; exit }' | tr -d ' ')
	[ -z "$nop" ] || [ "$found" = "$nop" ] || echo "at $place is $found, not a nop"
done >"$work/places"
[ ! -s "$work/places" ] || problem "$(cat "$work/places")"

# The document's numbers are those of the enums.
numbered() {
	cat layers/layer.h layers/probes.h |
		awk -v name="$1" '$1 == "enum" && $2 == name && $3 == "{" { inside = 1 }
			inside { print } inside && /};/ { exit }' |
		grep -o 'LAYER_[A-Z_]*\|PROBE_[A-Z_]*' | sed 's/^[A-Z]*_//' |
		awk '{ printf "%s%d %s", n ? ", " : "", n, tolower($1); n++ }'
}
tr '\n' ' ' <"$document" | tr -s ' ' >"$work/text"
for list in probe_layer layer_verb layer_outcome; do
	numbers=$(numbered "$list")
	[ -n "$numbers" ] || problem "no enum $list"
	grep -qF "$numbers" "$work/text" || problem "$document does not say: $numbers"
done

# The n-th example, of the library that is tested.
example() {
	awk -v n="$1" '/^```$/ { inside = 0 } inside { print } /^```bpftrace$/ { inside = ++i == n }' \
		"$document" | sed "s|/usr/lib/tower/libtower.so|$library|g"
}

# Whether bpftrace may look into a program at all here.
may_look() {
	command -v bpftrace >/dev/null || return 1
	timeout -s KILL 20 bpftrace -e "uprobe:$library:memcached_get { exit(); }
		BEGIN { printf(\"it looks\n\"); exit(); }" 2>"$work/looks.errors" | grep -q 'it looks'
}

# Arguments: example, seconds that it needs behind the application, seconds to wait for it.
# Runs tracing beside the application; its output is $work/traced.
trace() {
	example "$1" >"$work/example"
	[ -s "$work/example" ] || problem "no example $1"
	timeout -k 1 60 bpftrace "$work/example" >"$work/traced" 2>"$work/errors" &
	running=$!
	tries=0
	until grep -qs '^Attaching' "$work/traced"; do
		tries=$((tries + 1))
		[ "$tries" -lt 200 ] || problem "bpftrace does not start: $(cat "$work/errors")"
		sleep 0.1
	done
	sleep "$3"
	server_memcached "$socket" -m 64
	memcached=$server_pid
	LD_PRELOAD=$library TOWER_NAME=$TOWER_NAME-$1-$3 MEMCACHED=$socket \
		php tests/apps/recipe.php >"$work/out" 2>&1 || problem "$(cat "$work/out")"
	server_end "$memcached"
	memcached=
	sleep "$2"
	kill -INT "$running"
	wait "$running" || :
	running=
}

# Arguments: example, seconds, what must be in its output.  bpftrace says that it is attaching
# before it has, and nothing afterwards: what was too early is done once more.
expect_traced() {
	for wait in 2 6 15; do
		trace "$1" "$2" "$wait"
		missing=
		for line in "$3" ${4:+"$4"}; do
			grep -qE "$line" "$work/traced" || missing=$line
		done
		[ -n "$missing" ] || return 0
	done
	problem "no $missing in: $(cat "$work/traced" "$work/errors")"
}

if ! may_look; then
	echo "the notes are right; bpftrace may not look into programs here:" \
		"$(cat "$work/looks.errors" 2>/dev/null)"
	exit 0
fi
expect_traced 1 2 '^@hits\[0\]: 10$'
expect_traced 2 0 '^@written\[php, page\]: 1$' '^@dropped\[php, requests\]: 1$'
