#!/bin/sh
# Two users with and without a common group, and a /dev/shm of one's own: only a
# common domain makes a write visible at once, and nothing fails.  Needs root.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

[ "$(id -u)" -eq 0 ] || problem "only root can be several users: run the tests as root"

# The workers are nobody in particular: what they load and reach must be open to all.
chmod 755 "$work"
cp "$BUILD/libtower.so" "$work/libtower.so"
# tests/run made these two.
chmod a+x "$TMPDIR" "${TMPDIR%/*}"
server_memcached "$socket" -a 0777
memcached=$server_pid

status=0
/usr/bin/python3 tests/apps/domains.py "$work/libtower.so" "$socket" "$TOWER_NAME" \
	>"$work/seen" 2>"$work/errors" || status=$?
rm -f "/dev/shm/tower"*"-$TOWER_NAME-"*
cat >"$work/expected" <<'SEEN'
same-user old old old new 0 0
group old old old new 0 0
two-users old old old old 0 0
own-shm old old old old 0 0
SEEN
[ "$status" -eq 0 ] || problem "status $status: $(cat "$work/errors")"
diff -u "$work/expected" "$work/seen" || problem "$(cat "$work/errors")"
[ ! -s "$work/errors" ] || problem "said: $(cat "$work/errors")"
