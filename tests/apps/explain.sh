#!/bin/sh
# `tower explain` with real programs: what it says is what they did, its exit status and signals
# are theirs, and nothing of it is left or stands in the statistics of others.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

server_memcached "$socket" -m 64
memcached=$server_pid
server_redis "$work/redis"
redis=$server_pid
tower=$BUILD/tower
report=$work/report
export TOWER_MEMORY_TTL=1h

says() {
	grep -qE "$1" "$report" || problem "not '$1' in: $(cat "$report")"
}
status_is() {
	[ "$status" -eq "$1" ] || problem "status $status, not $1: $(cat "$report")"
}

# PHP: 1 key from memcached, then 99 times from memory; 5 that nobody has; one handle that buffers.
cat >"$work/program.php" <<'PROGRAM'
<?php
$m = new Memcached();
$m->addServer($argv[1], 0);
for ($i = 0; $i < 100; $i++) { $m->get('there'); }
for ($i = 0; $i < 5; $i++) { $m->get("nowhere$i"); }
$b = new Memcached();
$b->setOption(Memcached::OPT_BUFFER_WRITES, true);
$b->addServer($argv[1], 0);
$b->set('z', 1);
$b->get('z');
echo "out\n";
fwrite(STDERR, "err\n");
exit(3);
PROGRAM
printf 'value' >"$work/there"
memccp --servers="$socket" "$work/there"
status=0
"$tower" explain --output="$report" -- php "$work/program.php" "$socket" \
	>"$work/stdout" 2>"$work/stderr" || status=$?
status_is 3
[ "$(cat "$work/stdout")" = out ] || problem 'not the output of the program'
[ "$(cat "$work/stderr")" = err ] || problem "$(cat "$work/stderr")"
says "^tower explain: php $work/program.php $socket\$"
says '^ended with status 3 after [0-9.]+ s$'
says '^  memory +99 +94\.3%'
says '^  memcached +1 +1\.0%'
says '^  nobody +5 +4\.8%'
says '^  99 round trips to memcached, 495 bytes of values$'
says 'More memory \(memory.max_bytes=16M\): nothing'
says 'A longer stay in memory \(memory.ttl=1h\): nothing'
says 'Redis beneath memcached: 0 to 5 reads\.'
says '^  buffered +1  the first read after buffered writes'
says '^ +why: the real read sends them'
says '^  memcached_mget +106  memory answers what it can'
says '^    106 keys: memory 99, memcached 1, nowhere 5, passed on 1$'

# Each function for itself: a get that was read before by an mget, one whose results nobody fetches.
# shellcheck disable=SC2016 # expanded by PHP
"$tower" explain --output="$report" php -r '
	$m = new Memcached();
	$m->addServer($argv[1], 0);
	for ($i = 0; $i < 12; $i++) { $m->getByKey("group", "there"); }
	$m->getMulti(["there", "nowhere1", "nowhere2"]);
	$m->getDelayed(["nowhere3", "nowhere4"]);' "$socket"
says '^  memcached_mget_by_key +12  '
says '^    12 keys: memory 11, memcached 1, nowhere 0, passed on 0$'
says '^  memcached_mget +2  '
says '^    5 keys: memory 1, memcached 0, nowhere 2, passed on 0, not fetched 2$'
/usr/bin/python3 - "$socket" "$tower" "$report" <<'PROGRAM' || problem 'python'
import subprocess, sys
program = '''
import os, sys, pylibmc
client = pylibmc.Client([sys.argv[1]])
for i in range(800):
    client.get("there")
for i in range(12):
    client.get("nowhere%d" % i)
os._exit(0)
'''
subprocess.run([sys.argv[2], "explain", "--output", sys.argv[3], "/usr/bin/python3", "-c", program,
                sys.argv[1]], check=True)
PROGRAM
says '^  memcached_get +812  '
says '^    812 keys: memory 799, memcached 1, nowhere 12, passed on 0$'

# A budget that is too small; the bound is what memory had to drop.
status=0
# shellcheck disable=SC2016 # expanded by PHP
"$tower" explain -o memory.max_bytes=64K php -r '
	$m = new Memcached();
	$m->addServer($argv[1], 0);
	for ($i = 0; $i < 1000; $i++) { $m->set("k$i", str_repeat("x", 900)); }
	for ($i = 0; $i < 1000; $i++) { $m->get("k$i"); }' "$socket" >"$work/stdout" 2>"$report" || status=$?
status_is 0
says 'Memory for everything \(memory.max_bytes=64K\): about 9[0-9]{2} reads, at most (9[0-9]{2}|1000)\.'
says 'It dropped [0-9]{3,4} values'
says '^  memcached +[0-9]{3,4} '

# What more memory would have saved is what it saves: the same calls with room for some, and for all.
cat >"$work/skewed.php" <<'PROGRAM'
<?php
mt_srand(7);
$m = new Memcached();
$m->addServer($argv[1], 0);
for ($i = 0; $i < 400; $i++) { $m->set("s$i", str_repeat('x', 900)); }
for ($i = 0; $i < 8000; $i++) {
	$key = 's' . (int)(400 * (mt_rand() / mt_getrandmax()) ** 3);
	if (mt_rand(0, 19) === 0) { $m->set($key, str_repeat('y', 900)); } else { $m->get($key); }
}
PROGRAM
hits() { # BUDGET
	"$tower" explain -o memory.max_bytes="$1" --output="$report" php "$work/skewed.php" "$socket"
	sed -n 's/^  memory  *\([0-9]*\) .*/\1/p' "$report"
}
some=$(hits 128K)
estimate=$(sed -n 's/^  Memory for everything .*: about \([0-9]*\) reads.*/\1/p' "$report")
all=$(hits 16M)
says 'More memory \(memory.max_bytes=16M\): nothing'
if [ "$some" -le 1000 ] || [ "$estimate" -le 1000 ]; then
	problem "$some hits, estimated $estimate more"
fi
difference=$((some + estimate - all))
[ "${difference#-}" -lt $((all / 50)) ] || problem "$some hits and $estimate more are not $all"

# Redis beneath: what memcached lost is answered.
status=0
TOWER_LAYERS='memory, memcached, redis' TOWER_REDIS_URL="unix://$work/redis" TOWER_REDIS_TIMEOUT=20s \
	TOWER_REDIS_CONNECT_TIMEOUT=20s TOWER_REDIS_PROMOTE=always \
	"$tower" explain --output="$report" /usr/bin/python3 -c '
import os, socket, sys, pylibmc
client = pylibmc.Client([sys.argv[1]])
for i in range(20):
    client.set("p%d" % i, "v")
plain = socket.socket(socket.AF_UNIX)
plain.connect(sys.argv[1])
for i in range(20):
    plain.sendall(b"delete p%d\r\n" % i)
    assert plain.recv(100) == b"DELETED\r\n"
if os.fork() == 0:
    os.execv(sys.executable, [sys.executable, "-c", """
import sys, pylibmc
client = pylibmc.Client([sys.argv[1]])
assert all(client.get("p%d" % i) == "v" for i in range(20))
""", sys.argv[1]])
os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
' "$socket" 2>"$work/stderr" || status=$?
status_is 0
says '^  redis +20 +100\.0%'
says 'Redis beneath memcached answered 20 of 20 reads that memcached missed,'
says 'and put 20 of its values back'
says '^  memcached_get +20  memory, memcached, Redis: the first that has the key answers$'
says '^    20 keys: memory 0, memcached 0, redis 20, nowhere 0, passed on 0$'

# What Redis beneath a memcached that evicts would have saved at least is less than what it saves, but
# not much (keys that share a slot with a later write are not counted).
cat >"$work/evicting.php" <<'PROGRAM'
<?php
mt_srand(7);
$m = new Memcached();
$m->addServer($argv[1], 0);
for ($i = 0; $i < 6000; $i++) { $m->set("e$i", str_repeat('x', 1000)); }
for ($i = 0; $i < 6000; $i++) { $m->get('e' . mt_rand(0, 8000)); }
PROGRAM
small=$work/small
server_memcached "$small" -m 2 -f 4
second=$server_pid
"$tower" explain -o tower.layers=memcached --output="$report" php "$work/evicting.php" "$small"
estimate=$(sed -n 's/^  Redis beneath memcached: \([0-9]*\) to [0-9]* reads.*/\1/p' "$report")
server_end "$second"
server_memcached "$small" -m 2 -f 4
second=$server_pid
TOWER_REDIS_URL="unix://$work/redis" TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s \
	TOWER_REDIS_PROMOTE=never "$tower" explain -o tower.layers=memcached,redis --output="$report" \
	php "$work/evicting.php" "$small"
saved=$(sed -n 's/^  redis  *\([0-9]*\) .*/\1/p' "$report")
server_end "$second"
[ "$saved" -gt 1000 ] || problem "only $saved of Redis: $(cat "$report")"
if [ "$estimate" -gt $((saved * 102 / 100)) ] || [ "$estimate" -lt $((saved * 75 / 100)) ]; then
	problem "estimated $estimate, saved $saved"
fi

# A C program; a program that calls nothing; one that is not there.
"$tower" explain memcstat --servers="$socket" >"$work/stdout" 2>"$report"
says '^  memcached_server_push +1  '
"$tower" explain true 2>"$report"
says '^No call of libmemcached was seen\.'
status=0
"$tower" explain -- "$work/none" 2>"$report" || status=$?
status_is 127
! grep -q 'tower explain:' "$report" || problem 'a report of what did not run'
status=0
"$tower" explain 2>"$report" || status=$?
status_is 2
status=0
"$tower" explain -o memory.max_bytes=many true 2>"$report" || status=$?
status_is 2

# Signals: those of the program are ours, ours are the program's, Ctrl-C is the program's alone.
status=0
# shellcheck disable=SC2016 # expanded by the inner shell
"$tower" explain --output="$report" sh -c 'kill -USR1 $$' 2>/dev/null || status=$?
status_is 138
says '^ended by signal 10 after'
# shellcheck disable=SC2016 # expanded by the inner shell
env --default-signal=INT "$tower" explain --output="$report" sh -c 'trap "exit 7" TERM; : >"$0"; while :; do sleep 0.05; done' \
	"$work/began" &
running=$!
tries=0
until [ -e "$work/began" ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 200 ] || problem 'the program does not begin'
	sleep 0.05
done
kill -INT "$running"
kill -TERM "$running"
status=0
wait "$running" || status=$?
running=
status_is 7
says '^ended with status 7 after'

# Who reads the report leaves: the status stays the program's, and nothing is left.
mkfifo "$work/pipe"
(exec <"$work/pipe") &
status=0
env --default-signal=PIPE "$tower" explain sh -c 'sleep 0.3; exit 7' 2>"$work/pipe" || status=$?
status_is 7

# Nobody else's statistics, nothing left.
"$tower" stat >"$work/stat"
grep -q 'nothing has run in domain' "$work/stat" || problem "$(cat "$work/stat")"
! ls /dev/shm/tower-explain-"$(id -u)"-* 2>/dev/null || problem 'a file is left'
