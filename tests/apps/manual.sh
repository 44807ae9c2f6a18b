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
expect 'even poisson' bench --arrivals ''
expect 'writes' sim --fill w
expect '' bench --keys ''
expect '' metrics --listen ''
expect '--json' bench --binary --js
expect 'CHANGES.md' sim --trace CHANGES
expect 'CHANGES.md' bench --html CHANGES
expect 'CHANGES.md' explain --output CHANGES
expect 'memory.ttl= memory.ttl_jitter=' run -o memory.t
[ "$(complete_words run -o '' | wc -w)" -eq "$(grep -c '^KEY(' core/config.def)" ] ||
	problem 'not all keys are completed'
for command in $(complete_words ''); do
	"$BUILD/tower" "$command" --help >"$work/help" || problem "$command is completed and is not there"
	case $command in --*) continue ;; esac
	# All that the help speaks of can be completed; and what it does not is refused.
	grep -oE -e '--[a-z][a-z-]*' "$work/help" | sort -u >"$work/named"
	for option in $(complete_words "$command" --); do
		echo "$option"
	done | sort -u >"$work/completed"
	comm -23 "$work/named" "$work/completed" >"$work/missing"
	[ ! -s "$work/missing" ] || problem "$command: not completed: $(cat "$work/missing")"
	echo --help >>"$work/named"
	sort -u "$work/named" | comm -13 - "$work/completed" >"$work/missing"
	[ ! -s "$work/missing" ] || problem "$command: completed, but not in its help: $(cat "$work/missing")"
	status=0
	"$BUILD/tower" "$command" --no-such-option 2>"$work/errors" || status=$?
	[ "$status" -eq 2 ] || problem "$command --no-such-option: status $status"
	grep -qx "tower: $command: --no-such-option is no option; see \`tower $command --help\`" "$work/errors" ||
		problem "$(cat "$work/errors")"
done
# Every option of a command's parser is one that its help has: else it could not be used.
grep -hoE '"--[a-z][a-z-]*"' cli/*.c | tr -d '"' | sort -u >"$work/parsed"
for command in $(complete_words ''); do
	complete_words "$command" --
done | tr ' ' '\n' | sort -u | comm -23 "$work/parsed" - | grep -vx -e '--version' -e '--help' >"$work/missing" || :
[ ! -s "$work/missing" ] || problem "no help has $(cat "$work/missing")"
