#!/bin/sh
# Every recipe of docs/RECIPES.md, with its own lines: php-fpm, Apache, gunicorn, uwsgi, cron, a
# container.  It works, it is seen to, and it is switched off.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

[ "$(id -u)" -eq 0 ] || problem 'services change users: run the tests as root'
document=docs/RECIPES.md
name=$TOWER_NAME-shop
web=$work/web.sock

recipes_finish() {
	recipes_status=$?
	if [ -n "$running" ]; then
		kill -TERM "$running" 2>/dev/null || :
		wait "$running" || :
		running=
	fi
	rm -f "/dev/shm/tower"*"-$name-"*
	return "$recipes_status"
}
trap 'recipes_finish || app_finish; app_finish' EXIT

# What runs as www-data must reach its files.
chmod 755 "$work"
chmod a+x "$TMPDIR" "${TMPDIR%/*}"
mkdir "$work/bin"
cp "$BUILD/tower" "$BUILD/libtower.so" "$work/bin/"
cp tests/apps/recipe.php tests/apps/recipe.py "$work/"
chmod -R a+rX "$work"
cat >"$work/bin/sudo" <<'SUDO'
#!/bin/sh
[ "$1" = -u ] || exit 2
user=$2
shift 2
exec setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
SUDO
chmod 755 "$work/bin/sudo"
unset TOWER_NAME
PATH=$work/bin:$PATH

# The lines of a recipe, of the files and the domain of this test.  Arguments: recipe, domain.
lines() {
	awk -v name="$1" '/^```$/ { inside = 0 } inside { print } /^```[a-z]+ / { inside = $2 == name }' \
		"$document" | sed "s!/usr/lib/tower/libtower.so!$work/bin/libtower.so!
			s!TOWER_NAME=shop!TOWER_NAME=$name-$2!; s!tower.name=shop!tower.name=$name-$2!
			s!/run/shop/web.sock!$web!; s!/srv/shop/refresh.php!$work/recipe.php!
			s!shop:application!recipe:application!; s!shop\\.py!$work/recipe.py!" >"$work/lines"
	[ -s "$work/lines" ] || problem "$document has no lines for $1"
	cat "$work/lines"
}

hits() {
	# shellcheck disable=SC2024 # it is not the real one
	sudo -u "$1" tower stat --json -o "tower.name=$2" >"$work/stat.json"
	/usr/bin/python3 tests/lib/stat.py "$work/stat.json" hits memory
}

# Two requests; what is said to see it; switched off; two more that memory has no part in.
# Arguments: recipe, user.
walk() {
	grep -q '^request 1$' "$work/page" || problem "$1: $(cat "$work/page" "$work/log")"
	request
	printf 'request 2\na page\n' | diff - "$work/page" ||
		problem "$1: $(cat "$work/page" "$work/log")"
	lines "${3:-see}" "$1" >"$work/command"
	sh "$work/command" >"$work/seen" 2>&1 || problem "$1: $(cat "$work/seen")"
	grep -qE '^ *memory +[1-9]' "$work/seen" || problem "$1 is not seen to work: $(cat "$work/seen")"
	before=$(hits "$2" "$name-$1")
	[ "$before" -ge 18 ] || problem "$1: only $before hits"
	lines back "$1" >"$work/command"
	sh "$work/command" >"$work/seen" 2>&1 || problem "$1: $(cat "$work/seen")"
	request
	grep -qx 'request 3' "$work/page" || problem "$1, switched off: $(cat "$work/page")"
	[ "$(hits "$2" "$name-$1")" -eq "$before" ] || problem "$1: not switched off"
}

# Arguments: process, command that asks for the first page.
await_page() {
	tries=0
	until request && grep -q '^request ' "$work/page"; do
		tries=$((tries + 1))
		if [ "$tries" -gt 200 ] || ! kill -0 "$1" 2>/dev/null; then
			problem "no page: $(cat "$work/page" "$work/log")"
		fi
		sleep 0.05
	done
}

begin() {
	server_memcached "$socket" -m 64 -a 0777
	memcached=$server_pid
	: >"$work/log"
	rm -f "$web"
}

# Runs the service, whose environment is no more than it says.  Apache ends its process group.
service() {
	env -i PATH="$PATH" TOWER_CONFIG="$TOWER_CONFIG" MEMCACHED="$socket" \
		setsid setpriv --pdeathsig TERM \
		"$@" >"$work/log" 2>&1 </dev/null &
	running=$!
}

end() {
	kill -TERM "$running"
	wait "$running" || :
	running=
	server_end "$memcached"
	memcached=
}

# --- php-fpm ---

fpm=$(find /usr/sbin -name 'php-fpm*' | sort | tail -n 1)
cat >"$work/fpm.conf" <<CONFIGURATION
[global]
error_log = /dev/stderr
daemonize = no
[www]
user = www-data
group = www-data
listen = $web
pm = static
pm.max_children = 2
env[MEMCACHED] = $socket
CONFIGURATION
request() {
	env -i SCRIPT_FILENAME="$work/recipe.php" REQUEST_METHOD=GET \
		cgi-fcgi -bind -connect "$web" 2>&1 | sed '1,/^.\{0,1\}$/d' >"$work/page"
}
lines php-fpm php-fpm | grep -qx '\[Service\]' || problem 'the drop-in has no [Service]'
begin
# shellcheck disable=SC2046 # one word per variable
service env $(lines php-fpm php-fpm | sed -n 's/^Environment=//p') "$fpm" -F -y "$work/fpm.conf"
await_page "$running"
walk php-fpm www-data
end

# --- Apache ---

php=$(find /usr/lib/apache2/modules -name 'libphp*.so' | sort | tail -n 1)
[ -n "$php" ] || problem 'no mod_php: scripts/deps'
port=$(/usr/bin/python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
cat >"$work/apache.conf" <<CONFIGURATION
ServerRoot $work
ServerName localhost
PidFile $work/apache.pid
Mutex file:$work default
Listen 127.0.0.1:$port
ErrorLog /dev/stderr
User www-data
Group www-data
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule env_module /usr/lib/apache2/modules/mod_env.so
LoadModule php_module $php
StartServers 2
PassEnv MEMCACHED
DocumentRoot $work
<FilesMatch "\.php$">
	SetHandler application/x-httpd-php
</FilesMatch>
CONFIGURATION
request() {
	curl -s --noproxy '*' "http://127.0.0.1:$port/recipe.php" >"$work/page" 2>&1
}
begin
lines apache apache >"$work/envvars"
service sh -c ". '$work/envvars' && exec apache2 -D FOREGROUND -f '$work/apache.conf'"
await_page "$running"
walk apache www-data
end

# --- gunicorn, uwsgi ---

as_www_data() {
	printf 'cd %s && exec ' "$work"
	lines "$1" "$1"
}
sockets=$work/www
mkdir -m 777 "$sockets"
web=$sockets/web.sock

request() {
	curl -s --unix-socket "$web" http://localhost/ >"$work/page" 2>&1
}
begin
as_www_data gunicorn >"$work/start"
service sudo -u www-data sh "$work/start"
await_page "$running"
walk gunicorn www-data
end

request() {
	/usr/bin/python3 -c 'import socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
pairs = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "x", "SERVER_PORT": "1",
         "SERVER_PROTOCOL": "HTTP/1.0", "QUERY_STRING": "", "REQUEST_URI": "/"}
body = b"".join(struct.pack("<H", len(w)) + w.encode() for pair in pairs.items() for w in pair)
s.sendall(struct.pack("<BHB", 0, len(body), 0) + body)
answer = b""
while True:
    part = s.recv(4096)
    if not part:
        break
    answer += part
sys.stdout.write(answer.split(b"\r\n\r\n", 1)[-1].decode())' "$web" >"$work/page" 2>"$work/errors"
}
begin
as_www_data uwsgi >"$work/start"
service sudo -u www-data sh "$work/start"
await_page "$running"
walk uwsgi www-data
end

# --- cron ---

begin
# shellcheck disable=SC2024 # it is not the real one
request() {
	sudo -u www-data env -i HOME=/ LOGNAME=www-data SHELL=/bin/sh PATH="$PATH" \
		TOWER_CONFIG="$TOWER_CONFIG" MEMCACHED="$socket" /bin/sh -c "$job" >"$work/page" 2>&1
}
job=$(lines cron cron | sed 's/^[^ ]* [^ ]* [^ ]* [^ ]* [^ ]* //')
request
walk cron www-data
server_end "$memcached"
memcached=

# --- a container: its own processes and its own /dev/shm ---

begin
lines container container | sed -n 's/^ENV //p' >"$work/environment"
cat >"$work/inside" <<'INSIDE'
mount -t tmpfs -o size=64m tmpfs /dev/shm || exit 1
for request in 1 2; do
	env $(cat "$1") php "$2"
done
sh "$3"
ls /dev/shm
INSIDE
lines container-see container >"$work/command"
env -i PATH="$PATH" TOWER_CONFIG="$TOWER_CONFIG" MEMCACHED="$socket" unshare --mount --pid --fork \
	--mount-proc sh "$work/inside" "$work/environment" "$work/recipe.php" "$work/command" \
	>"$work/seen" 2>&1 || problem "$(cat "$work/seen")"
grep -qx 'request 2' "$work/seen" || problem "container: $(cat "$work/seen")"
grep -qE '^ *memory +20 ' "$work/seen" || problem "container: $(cat "$work/seen")"
grep -qx "tower-stats-0-$name-container" "$work/seen" || problem "container: $(cat "$work/seen")"
[ ! -e "/dev/shm/tower-stats-0-$name-container" ] || problem 'a container counts outside of itself'
