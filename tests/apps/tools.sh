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
	try memcflush "$servers"
	try memccat "$servers" two
	try memcping "$servers"
' sh "$socket" "$work/files"
expect_calls tools memcached_get 15
expect_calls tools memcached_exist 2
expect_calls tools memcached_delete 2
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
