#!/bin/sh
# The tools of libmemcached are linked with it.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

mkdir "$work/files"
printf 'one' >"$work/files/one"
printf 'two\nlines\n' >"$work/files/two"
: >"$work/files/empty"
head -c 300000 /dev/zero | tr '\0' z >"$work/files/large"

# shellcheck disable=SC2016 # expanded by the inner shell
same tools sh -c '
	servers=--servers=$1
	cd "$2"
	try() {
		"$@"
		echo "-- $1: $?"
	}
	try memccp "$servers" one two empty large
	try memccat "$servers" one two one empty none one
	try memccat "$servers" --flags large two large | cksum
	try memccp "$servers" --flags=5 --expire=100 one
	try memccat "$servers" --flags one one
	try memccp "$servers" --add one
	try memccp "$servers" --replace two
	try memcexist "$servers" one
	try memcexist "$servers" none
	try memcrm "$servers" one
	try memcrm "$servers" one
	try memccat "$servers" one
	try memccp "$servers" --binary two
	try memccat "$servers" --binary two two
	try memctouch "$servers" --expire=100 two
	try memctouch "$servers" none
	try memccat "$servers" two
	try memcexist "$servers" --binary two
	try memcdump "$servers" | sort
	try memcrm "$servers" two empty large
	try memcstat "$servers" | grep -e "version" -e "curr_items" -e "--"
	try memcstat "$servers" --args=items | wc -l
	try memcflush "$servers"
	try memccat "$servers" two
	try memcdump "$servers"
	try memcping "$servers"
	try memccat --servers=/nonexistent two 2>&1 | sed "s/0x[0-9a-f]*/ADDRESS/"
	try memcrm --servers=/nonexistent two 2>&1 | sed "s/0x[0-9a-f]*/ADDRESS/"
	try memcerror 16
' sh "$socket" "$work/files"
expect_calls tools memcached_get 17
expect_calls tools memcached_exist 3
expect_calls tools memcached_delete 6
expect_calls tools memcached_touch 2
expect_calls tools memcached_dump 2
expect_calls tools memcached_stat_execute 2
expect_calls tools memcached_flush 1
expect_hits tools memory 1

# Times and numbers of found keys are of no interest here.
# shellcheck disable=SC2016 # expanded by the inner shell
same slap sh -c '
	for test in get mget set; do
		memcslap "--servers=$1" --test="$test" --concurrency=2 --execute-number=500 |
			sed "s/[0-9][0-9.]*/N/g; s/  */ /g"
	done
' sh "$socket"
expect_calls slap memcached_get 1000
expect_hits slap memory 1
