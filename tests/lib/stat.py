"""One number of `tower stat --json`, over all processes of the domain.

stat.py FILE calls FUNCTION    calls of the function that the shim saw
stat.py FILE hits LAYER        or another counter of a layer: misses, fills, ...
stat.py FILE passed            reasons for which calls were passed on, by name
stat.py FILE served LAYER      keys found there, over all functions that read
stat.py FILE summary           a line for people: calls seen, passed on, hits and fills of layers
"""

import json
import sys

path, kind = sys.argv[1:3]
name = "".join(sys.argv[3:])
with open(path) as text:
    total = json.load(text)["total"]
if kind == "calls":
    print(total["calls"].get(name, 0))
elif kind == "served":
    print(sum(where[name] for where in total["served"].values()))
elif kind == "summary":
    print("        %d calls seen, %d passed on (%s); hits, fills: %s" % (
        sum(total["calls"].values()), sum(total["passed"].values()),
        ", ".join("%s %d" % item for item in sorted(total["passed"].items()) if item[1]),
        "; ".join("%s %d, %d" % (layer["name"], layer["hits"], layer["fills"])
                  for layer in total["layers"])))
elif kind == "passed":
    print(" ".join(sorted(reason for reason, n in total["passed"].items() if n)))
else:
    print(sum(layer[kind] for layer in total["layers"] if layer["name"] == name))
