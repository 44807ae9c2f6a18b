#!/bin/sh
# The Prometheus alerts are accepted and fire when they should (promtool); they and the Grafana
# dashboard speak of metrics that `tower metrics` has, in expressions that Prometheus can read.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

promtool check rules docs/prometheus/alerts.yml >"$work/promtool" 2>&1 || problem "$(cat "$work/promtool")"
promtool test rules docs/prometheus/alerts.test.yml >"$work/promtool" 2>&1 ||
	problem "$(cat "$work/promtool")"
# Every alert is tried in both ways.
sed -n 's/^ *- alert: //p' docs/prometheus/alerts.yml | while read -r alert; do
	grep -q "alertname=\"$alert\"" docs/prometheus/alerts.test.yml || problem "$alert is not tried"
done

server_memcached "$socket"
memcached=$server_pid
LD_PRELOAD="$BUILD/libtower.so" memcstat --servers="$socket" >/dev/null
"$BUILD/tower" metrics >"$work/metrics"
/usr/bin/python3 tests/apps/alerts.py "$work/metrics" "$work/rules.yml" ||
	problem 'something that there is not'
promtool check rules "$work/rules.yml" >"$work/promtool" 2>&1 || problem "$(cat "$work/promtool")"
