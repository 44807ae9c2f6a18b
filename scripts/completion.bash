# shellcheck shell=bash
# Completion of tower for bash.  Commands, options and keys are those that tower itself
# names: `tower --help`, `tower COMMAND --help`, `tower check-config --example`.

_tower_keys() {
	"$1" check-config --example 2>/dev/null | awk '
		/^\[/ { section = substr($0, 2, length($0) - 2) }
		/^#[a-z_]+ =/ { print section "." substr($1, 2) "=" }'
}

_tower_commands() {
	"$1" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'
}

# Options and words in brackets of the usage.
_tower_words() {
	"$1" "$2" --help 2>/dev/null | sed '/^$/q' | grep -oE -e '--[a-z-]+' -e '\[[a-z]+\|[a-z]+\]' |
		tr -d '[]' | tr '|' '\n'
	echo --help
}

# What stands behind an option in the usage: FILE, N, gets|writes; nothing where it has no value.
_tower_value() {
	"$1" "$2" --help 2>/dev/null | sed '/^$/q' | grep -oE -e "$3[ =][[]?[A-Za-z|]+" | head -n 1 | sed 's/^[^ =]*.//'
}

_tower() {
	local tower=$1 value word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} i

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_tower_commands "$tower") --help --version" -- "$word")
		return
	fi
	if [ "$command" = help ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_tower_commands "$tower")" -- "$word")
		return
	fi
	if [ "$command" = run ] || [ "$command" = explain ]; then
		for ((i = 2; i < COMP_CWORD; i++)); do
			if [ "${COMP_WORDS[i]}" = -- ]; then
				mapfile -t COMPREPLY < <(compgen -c -f -- "$word")
				return
			fi
		done
	fi
	case $before in
	-o)
		compopt -o nospace 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -W "$(_tower_keys "$tower")" -- "$word")
		;;
	-c)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		;;
	--hierarchy)
		mapfile -t COMPREPLY < <(compgen -W 'plain memory+memcached memory+memcached+redis
			memcached+redis' -- "$word")
		;;
	--layer)
		mapfile -t COMPREPLY < <(compgen -W 'memory memcached redis' -- "$word")
		;;
	--*)
		value=$(_tower_value "$tower" "$command" "$before")
		case $value in
		FILE) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
		*'|'*) mapfile -t COMPREPLY < <(compgen -W "${value//|/ }" -- "$word") ;;
		'') mapfile -t COMPREPLY < <(compgen -W "$(_tower_words "$tower" "$command") -c -o" -- "$word") ;;
		esac
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -W "$(_tower_words "$tower" "$command") -c -o" -- "$word")
		;;
	esac
}

complete -F _tower tower
