"""Whether the Grafana dashboard and the alerts speak of metrics that there are.

alerts.py METRICS RULES    METRICS: a page of `tower metrics`; RULES: file to write, with every
                           expression of the dashboard as a rule, for promtool
"""
import json
import re
import sys

metrics, rules = sys.argv[1:]
with open(metrics) as file:
    text = file.read()
samples = set(re.findall(r"^(tower_\w+)[{ ]", text, re.M))
layers = set(re.findall(r'layer="(\w+)"', text))


def check(expression, where):
    names = set(re.findall(r"\btower_\w+", expression))
    assert names and names <= samples, (where, names - samples)
    for kind, value in re.findall(r'\b(layer|operation|what)=~?"([^"]*)"', expression):
        for one in value.split("|"):
            assert f'{kind}="{one}"' in text, (where, kind, one)


with open("docs/grafana/tower.json") as file:
    board = json.load(file)
taken = set()
ids = set()
expressions = []
for panel in board["panels"]:
    assert panel["id"] not in ids, panel["id"]
    ids.add(panel["id"])
    at = panel["gridPos"]
    cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
    assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
    taken |= cells
    for target in panel["targets"]:
        check(target["expr"], panel["title"])
        expressions.append(target["expr"].replace("$__rate_interval", "5m").replace("$domain", ".*")
                           .replace("$instance", ".*"))
        assert "$" not in expressions[-1], expressions[-1]
assert len(expressions) > 15

with open("docs/prometheus/alerts.yml") as file:
    for line in re.findall(r"expr: (?:>-\n((?: {10}.*\n)+)|(.*))", file.read()):
        expression = "".join(line)
        if "tower_" in expression:
            check(expression, "alerts.yml")

with open(rules, "w") as file:
    file.write("groups:\n  - name: dashboard\n    rules:\n")
    for i, expression in enumerate(expressions):
        file.write(f"      - record: dashboard:{i}\n        expr: {json.dumps(expression)}\n")
