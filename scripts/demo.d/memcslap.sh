# shellcheck shell=sh
# memcslap sets keys of its own invention and gets them, one by one.
# Arguments: socket, file for the times, list of files (not used).

set -eu

asked=10000
printed=$(memcslap --servers="$1" --test=get --concurrency=1 --execute-number=$asked)
echo "$printed"
echo "$printed" | awk -v asked=$asked '
	/^Time to get/ { print asked, int($(NF - 1) * 1e9), asked - $4 }
' >"$2"
