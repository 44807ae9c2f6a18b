"""Reads `tower stat --json --watch` while others count: nothing ever falls or is absurd.

short_lived.py MOST    no counter may pass it
"""

import json
import sys

GAUGES = {"items", "bytes", "open"}


def counts(total):
    for layer in total["layers"]:
        for name, value in layer.items():
            if isinstance(value, int) and name not in GAUGES:
                yield layer["name"] + "." + name, value
        for name in ("get_ns", "mget_ns", "write_ns"):
            yield layer["name"] + "." + name, layer[name]["timed"]
    yield from total["calls"].items()
    yield from total["passed"].items()


most = int(sys.argv[1])
seen = {}
n_lines = 0
for line in sys.stdin:
    line = line.strip()
    if not line.startswith("{"):
        continue
    now = dict(counts(json.loads(line)["total"]))
    n_lines += 1
    for name, before in seen.items():
        if now.get(name, 0) < before:
            sys.exit(f"{name} fell from {before} to {now.get(name, 0)}")
    for name, value in now.items():
        if not 0 <= value <= most:
            sys.exit(f"{name} is {value}")
    seen = now
if n_lines < 20:
    sys.exit(f"only {n_lines} readings")
print(n_lines, "readings")
