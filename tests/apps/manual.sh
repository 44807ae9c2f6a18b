#!/bin/sh
# The man pages say what the code says and are well-formed; what bash completes is what tower
# takes.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

scripts/manual --check "$BUILD" || problem 'the manual is old'
for page in docs/man/*; do
	# They have no date: they are of the version that they name.
	mandoc -T lint -W warning "$page" 2>&1 | grep -v 'missing date' >"$work/lint" || :
	[ ! -s "$work/lint" ] || problem "$(cat "$work/lint")"
done

# What is completed behind these words, on one line.
complete_words() {
	bash -c '
		. scripts/completion.bash
		tower=$1
		shift
		COMP_WORDS=("$tower" "$@")
		COMP_CWORD=$#
		_tower "$tower"
		echo "${COMPREPLY[*]}"
	' bash "$BUILD/tower" "$@"
}

expect() {
	expected=$1
	shift
	completed=$(complete_words "$@")
	[ "$completed" = "$expected" ] || problem "behind '$*' comes '$completed', not '$expected'"
}
expect 'metrics' me
expect 'disable' di
expect 'memory' disable m
expect '--json' stat --j
expect '--watch' stat --w
expect 'redis' stat --layer r
expect '--output' metrics --o
expect '--variant' bench --var
expect 'plain' bench --hierarchy p
expect 'memory.ttl= memory.ttl_jitter=' run -o memory.t
[ "$(complete_words run -o '' | wc -w)" -eq "$(grep -c '^KEY(' core/config.def)" ] ||
	problem 'not all keys are completed'
for command in $(complete_words ''); do
	"$BUILD/tower" "$command" --help >/dev/null || problem "$command is completed and is not there"
done
