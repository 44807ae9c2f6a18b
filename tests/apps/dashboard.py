"""Asks a Prometheus everything that the Grafana dashboard asks, and looks at how that is written.

dashboard.py ADDRESS    of a Prometheus that has begun to look at `tower metrics`
"""
import json
import re
import sys
import time
import urllib.parse
import urllib.request

ADDRESS = sys.argv[1]
PATIENCE_S = 60

# Panels and units as Grafana knows them.
KINDS = {"stat": {"reduceOptions", "colorMode", "graphMode"}, "timeseries": {"legend", "tooltip"}}
UNITS = {"percentunit", "ops", "none", "s", "bytes"}
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(path, **words):
    url = f"{ADDRESS}/api/v1/{path}?{urllib.parse.urlencode(words)}"
    try:
        with opener.open(url, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        words = error.read().decode()
        return json.loads(words) if words.startswith("{") else {"status": words}
    except OSError as error:
        return {"status": str(error)}


def shape(board):
    """What the importer, and the panels, do without only by showing less."""
    for key, kind in (("title", str), ("uid", str), ("schemaVersion", int), ("panels", list), ("time", dict),
                      ("templating", dict), ("annotations", dict)):
        assert isinstance(board[key], kind), key
    assert "id" not in board or board["id"] is None # else it would overwrite another one
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", board["uid"])
    names = {variable["name"] for variable in board["templating"]["list"]}
    assert [v["type"] for v in board["templating"]["list"] if v["name"] == "datasource"] == ["datasource"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            assert variable["definition"] == variable["query"]["query"], variable
            assert variable["datasource"]["uid"] == "${datasource}", variable
    for panel in board["panels"]:
        where = panel["title"]
        assert KINDS[panel["type"]] <= set(panel["options"]), where
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, where
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, where
        for override in panel["fieldConfig"]["overrides"]:
            assert override["matcher"]["id"] == "byName" and override["properties"], where
            assert all({"id", "value"} <= set(p) for p in override["properties"]), where
        letters = [target["refId"] for target in panel["targets"]]
        assert letters and len(set(letters)) == len(letters), where
        used = set(re.findall(r"\$\{?(\w+)", json.dumps(panel)))
        assert used <= names | {"__rate_interval"}, (where, used - names)


def answered(target):
    """Whether there is a number, under the labels that the legend names."""
    # As Grafana fills them in, where all are chosen.
    expression = (target["expr"].replace("$__rate_interval", "10s").replace("$domain", ".*")
                  .replace("$instance", ".*"))
    answer = ask("query", query=expression)
    if answer["status"] != "success":
        return answer.get("error", answer["status"])
    labels = re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))
    for series in answer["data"]["result"]:
        missing = [label for label in labels if label not in series["metric"]]
        if missing:
            return f"no label {missing}"
    known = [s for s in answer["data"]["result"] if s["value"][1] != "NaN"]
    return None if known else "nothing"


with open("docs/grafana/tower.json") as file:
    board = json.load(file)
shape(board)
targets = [(panel["title"], target) for panel in board["panels"] for target in panel["targets"]]
# Nothing is passed on here.
targets = [(title, target) for title, target in targets if not target["expr"].endswith("> 0")]
assert len(targets) > 20, len(targets)
end = time.monotonic() + PATIENCE_S
while lacking := [(title, target["expr"], why) for title, target in targets if (why := answered(target))]:
    if time.monotonic() > end:
        sys.exit("\n".join(map(str, lacking)))
    time.sleep(0.5)
