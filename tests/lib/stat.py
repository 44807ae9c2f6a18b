"""One number of `tower stat --json`, over all processes of the domain.

stat.py FILE calls FUNCTION    calls of the function that the shim saw
stat.py FILE hits LAYER
"""

import json
import sys

path, kind, name = sys.argv[1:]
with open(path) as text:
    total = json.load(text)["total"]
if kind == "calls":
    print(total["calls"].get(name, 0))
else:
    print(sum(layer["hits"] for layer in total["layers"] if layer["name"] == name))
