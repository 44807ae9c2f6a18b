#!/bin/sh
# The page of `tower bench --html` in a browser: from disk, without a network, light and dark, wide and
# narrow; nothing lies outside of its picture or on something else.

# shellcheck source=tests/lib/apps.sh
. tests/lib/apps.sh

command -v chromium >/dev/null || skip 'no chromium: scripts/deps browser'

unset TOWER_NAME
# How soon Redis answers on a busy machine decides nothing here.
export TOWER_REDIS_TIMEOUT=20s TOWER_REDIS_CONNECT_TIMEOUT=20s
page=$work/report.html
timeout 60 "$BUILD/tower" bench --time 200ms --warm-up 50ms --repeats 2 --keys 2000 \
	--mix get=80,set=15,delete=5 --mget 1:80,20:20 --html "$page" \
	--variant a-variant-with-quite-a-long-name:memory.policy=s3fifo >"$work/table" ||
	problem 'no report'

# Of a file's requests also what other sizes would miss.
/usr/bin/python3 - "$work/requests.csv" <<'REQUESTS'
import random, sys
random.seed(1)
with open(sys.argv[1], "w") as file:
    for i in range(20000):
        file.write(f"{i},{int(random.paretovariate(0.5)) % 3000}\n")
REQUESTS
timeout 60 "$BUILD/tower" bench --time 100ms --warm-up 50ms --repeats 2 --html "$work/curves.html" \
	--hierarchy plain,memory+memcached -o memory.max_bytes=64K --trace "$work/requests.csv" \
	--format csv >"$work/table" || problem 'no report of a trace'

# Arguments: a page, its width, then more of chromium's.
browse() {
	browse_page=$1 browse_width=$2
	shift 2
	timeout 100 chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars \
		--disable-background-networking --proxy-server=127.0.0.1:9 \
		--user-data-dir="$work/profile" --window-size="$browse_width,1000" "$@" \
		"file://$browse_page" 2>"$work/chromium" || problem "chromium: $(tail "$work/chromium")"
}

# What a browser makes of it, told by a script that only this copy has.
cat >"$work/copy.py" <<'COPY'
import sys
script = """<script>
const found = [];
for (const svg of document.querySelectorAll('svg')) {
	const whole = svg.viewBox.baseVal, boxes = [];
	for (const text of svg.querySelectorAll('text')) {
		const box = text.getBBox();
		const what = svg.getAttribute('aria-label') + ': "' + text.textContent + '"';
		if (box.x < 0 || box.y < 0 || box.x + box.width > whole.width || box.y + box.height > whole.height)
			found.push(what + ' lies outside');
		for (const [other, place] of boxes)
			if (box.x < place.x + place.width - 1 && place.x < box.x + box.width - 1 &&
			    box.y < place.y + place.height - 4 && place.y < box.y + box.height - 4)
				found.push(what + ' lies on "' + other + '"');
		boxes.push([text.textContent, box]);
	}
	for (const line of svg.querySelectorAll('path'))
		if (!line.getTotalLength()) found.push(svg.getAttribute('aria-label') + ': a line without length');
}
if (document.documentElement.scrollWidth > window.innerWidth) found.push('the page is wider than the window');
const n = performance.getEntriesByType('resource').length;
if (n) found.push(n + ' files are loaded');
document.body.innerHTML = '<pre>' + document.querySelectorAll('svg').length + ' charts\\n' + found.join('\\n') + '\\nend</pre>';
</script>"""
text = open(sys.argv[1]).read()
open(sys.argv[2], "w").write(text.replace("</body>", script + "</body>"))
COPY
# Arguments: a page, width, charts.
expect_charts() {
	/usr/bin/python3 "$work/copy.py" "$1" "$work/asked.html"
	browse "$work/asked.html" "$2" --dump-dom >"$work/dom"
	said=$(sed -n '/<pre>/,/^end/p' "$work/dom" | sed 's/.*<pre>//' | grep -v '^end\|^$')
	[ "$said" = "$3 charts" ] || problem "$1, $2 wide: $said"
}
expect_charts "$page" 1200 8
expect_charts "$page" 500 8
expect_charts "$work/curves.html" 900 7

# The corner of the window is the page's own colour, as the reader wants it.
for scheme in 1 0; do # light, dark
	browse "$page" 960 --screenshot="$work/$scheme.png" \
		--blink-settings=preferredColorScheme=$scheme
	/usr/bin/python3 - "$work/$scheme.png" >>"$work/corners" <<'CORNER'
import struct, sys, zlib
png, at, data = open(sys.argv[1], "rb").read(), 8, b""
while at < len(png):
    n, kind = struct.unpack(">I4s", png[at:at + 8])
    data += png[at + 8:at + 8 + n] if kind == b"IDAT" else b""
    at += n + 12
print(zlib.decompress(data)[1:4].hex())
CORNER
done
[ "$(tr '\n' ' ' <"$work/corners")" = 'ffffff 16181b ' ] ||
	problem "not light and dark: $(cat "$work/corners")"
