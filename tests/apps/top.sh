#!/bin/sh
# `tower top` in a real terminal (tmux): what it shows, keys, another size, a process that dies,
# no colours, no UTF-8, how it ends.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

server_memcached "$socket" -m 64
memcached=$server_pid
tower=$BUILD/tower
export TOWER_MEMORY_TTL=200ms TOWER_MEMORY_MAX_BYTES=64K

export TMUX_TMPDIR="$work"
# Each is a server of its own: one that is ending still takes a session, and loses it.
n_terminals=0
terminal() {
	tmux -L "tower-$TOWER_NAME-$n_terminals" -f /dev/null "$@"
}
top_finish() {
	top_status=$?
	terminal kill-server 2>/dev/null || :
	return "$top_status"
}
trap 'top_finish || app_finish; app_finish' EXIT

# Arguments: how often to try, then a command.
until_so() {
	tries=$1
	shift
	until "$@"; do
		tries=$((tries - 1))
		if [ "$tries" -eq 0 ]; then
			terminal capture-pane -p >&2 || :
			problem "not in time: $*"
		fi
		sleep 0.05
	done
}

screen() {
	terminal capture-pane -p >"$work/screen"
}
shows() { # PATTERN
	screen && grep -qE "$1" "$work/screen"
}
shows_not() {
	screen && ! grep -qE "$1" "$work/screen"
}
# Arguments: name of the environment's words, size, tower's arguments.
begin() {
	begin_size=$1
	shift
	n_terminals=$((n_terminals + 1))
	# What it leaves behind: its status, and the modes of the terminal.
	terminal new-session -d -x "${begin_size%x*}" -y "${begin_size#*x}" \
		"env $* $tower top --every 100ms; echo \"status \$?\"; sleep 100"
}
finish() {
	terminal kill-server
}

# Nothing has run yet; then somebody comes.
begin 80x24 LC_ALL=C.UTF-8 TERM=screen
until_so 400 shows 'nothing has run in this domain yet'
LD_PRELOAD="$BUILD/libtower.so" php tests/apps/traffic.php "$socket" "$work/a" &
first=$!
running=$first
LD_PRELOAD="$BUILD/libtower.so" php tests/apps/traffic.php "$socket" "$work/b" &
second=$!
until_so 400 shows "^ *$first php "
until_so 400 shows "^ *$second php "
until_so 400 shows '^memory +[0-9.]+k? +[1-9][0-9]?% █+·+ .*[▁▂▃▄▅▆▇█]$'
until_so 400 shows '^memcached +[0-9.]+k? +[1-9][0-9]?%'
shows '2 processes, everything is switched on' || problem "$(cat "$work/screen")"
# It fits: no line is cut but at its end.
[ "$(wc -l <"$work/screen")" -eq 24 ] || problem 'not 24 lines'
grep -q '^by reads/s   q quits, h helps$' "$work/screen" || problem "$(cat "$work/screen")"

# Keys: sorting, help, stopping.
terminal send-keys p
until_so 200 shows '^by pid '
order() {
	grep -oE '^ *[0-9]+ php' "$work/screen" | tr -dc '0-9\n'
}
[ "$(order)" = "$(order | sort -n)" ] || problem "not by pid: $(order)"
terminal send-keys R
until_so 200 shows '^by pid, reversed '
[ "$(order)" = "$(order | sort -rn)" ] || problem "not by pid, reversed: $(order)"
terminal send-keys R
until_so 200 shows '^by pid   q quits'
terminal send-keys h
until_so 200 shows 'sort by reads per second'
terminal send-keys h
until_so 200 shows '^memory:'
terminal send-keys Space
until_so 200 shows '^stopped'
terminal send-keys Space r
until_so 200 shows '^every 0.1 s'

# Another size: smaller than it is made for, then larger; then rows to scroll.
terminal resize-window -x 50 -y 14
until_so 200 shows '^by reads/s'
[ "$(wc -l <"$work/screen")" -eq 14 ] || problem 'not 14 lines'
terminal send-keys p Down
until_so 200 shows_not "^ *$(printf '%s\n%s\n' "$first" "$second" | sort -n | head -n 1) php"
terminal send-keys Up
terminal resize-window -x 20 -y 3
until_so 200 shows '^tower top'
terminal resize-window -x 120 -y 40
until_so 200 shows "^ *$first php "
until_so 200 shows "^ *$second php "
until_so 200 shows '^by pid'

# A process that dies goes, what it counted stays; and what is switched off is said.
kill -KILL "$second"
wait "$second" 2>/dev/null || :
until_so 400 shows_not "^ *$second "
shows '1 process, everything' || problem "$(cat "$work/screen")"
shows_not '[0-9]{7}' || problem "a rate jumps: $(cat "$work/screen")"
"$tower" disable memory >/dev/null
until_so 200 shows '1 process, memory is switched off'
"$tower" enable memory >/dev/null

# q ends it, and the terminal is as before.
terminal send-keys q
until_so 200 shows '^status 0$'
shows_not '^memory' || problem 'the picture stays'
finish

# No colours, no other characters than ASCII, though there are many looks.
begin 80x24 LC_ALL=C TERM=vt100
until_so 400 shows '^memory +[0-9.]+k? +[1-9][0-9]?% #+ +.*[_.:=+*#-]$'
terminal capture-pane -pe >"$work/coloured"
! LC_ALL=C grep -q "$(printf '[^\001-\177]')" "$work/coloured" || problem 'not ASCII'
! grep -qE "$(printf '\033')"'\[[0-9;]*3[0-7]m' "$work/coloured" || problem 'colours on a vt100'
terminal send-keys C-c
until_so 200 shows '^status 0$'
finish
begin 80x24 LC_ALL=C.UTF-8 TERM=screen-256color NO_COLOR=1
until_so 400 shows '^memory +[0-9.]+k? '
terminal capture-pane -pe >"$work/coloured"
! grep -qE "$(printf '\033')"'\[[0-9;]*3[0-7]m' "$work/coloured" || problem 'colours with NO_COLOR'
finish
begin 80x24 LC_ALL=C.UTF-8 TERM=screen-256color
until_so 400 shows '^memory +[0-9.]+k? '
terminal capture-pane -pe >"$work/coloured"
grep -qE "$(printf '\033')"'\[[0-9;]*34m' "$work/coloured" || problem 'no colours'
finish

# Where there is no terminal it says so.
status=0
"$tower" top </dev/null >"$work/output" 2>&1 || status=$?
[ "$status" -eq 1 ] || problem "status $status without a terminal"
grep -q 'it needs a terminal' "$work/output" || problem "$(cat "$work/output")"
begin 80x24 TERM=no-such
until_so 200 shows '^status 1$'
shows 'TERM = "no-such"' || problem "$(cat "$work/screen")"
finish
begin 80x24 TERM=dumb
until_so 200 shows '^status 1$'
shows 'TERM = "dumb"' || problem "$(cat "$work/screen")"
finish

kill -TERM "$first"
wait "$first" 2>/dev/null || :
running=
