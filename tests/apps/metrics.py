"""Whether `tower metrics` says the same over HTTP as on stdout, and what `tower stat` says.

metrics.py ADDRESS EXPECTED PAGE     fetches ADDRESS into PAGE, and what is refused
metrics.py --compare METRICS JSON
"""
import json
import re
import sys
import urllib.error
import urllib.request


def status_of(address, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=20) as page:
            return page.status
    except urllib.error.HTTPError as error:
        return error.code


def fetch(address, expected, page):
    with urllib.request.urlopen(address, timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), answer.headers
        text = answer.read()
    with open(page, "wb") as out:
        out.write(text)
    with open(expected, "rb") as file:
        assert file.read() == text, "another page than on stdout"
    root = address.rsplit("/", 1)[0]
    with urllib.request.urlopen(root + "/", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/html"), answer.headers
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], answer.headers
        with open("cli/page.html", "rb") as file:
            assert file.read() == answer.read(), "another page than in the sources"
    with urllib.request.urlopen(root + "/stat.json", timeout=20) as answer:
        assert answer.headers["Content-Type"] == "application/json", answer.headers
        assert json.load(answer)["total"]["calls"]
    assert status_of(root + "/nothing") == 404
    assert status_of(address, "POST") == 405
    assert status_of(address, "HEAD") == 200


def read_metrics(path):
    samples = {}
    with open(path) as file:
        for line in file:
            if not line.startswith("#"):
                name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)\n", line).groups()
                labels = frozenset(label for label in re.findall(r'\w+="[^"]*"', labels or "")
                                   if not label.startswith("domain="))
                assert (name, labels) not in samples, line
                samples[name, labels] = float(value)
    return samples


def compare(metrics, stat):
    samples = read_metrics(metrics)

    def sample(name, **labels):
        return samples[name, frozenset(f'{k}="{v}"' for k, v in labels.items())]

    with open(stat) as file:
        stat = json.load(file)
    total = stat["total"]
    for layer in total["layers"]:
        name = layer["name"]
        for key, value in layer.items():
            if key.endswith("_ns"):
                operation = key[:-3]
                count = sample("tower_layer_latency_seconds_count", layer=name, operation=operation)
                assert count == value["timed"], (key, count)
                assert count == sample("tower_layer_latency_seconds_bucket", layer=name,
                                       operation=operation, le="+Inf")
            elif key in ("items", "bytes"):
                assert sample("tower_layer_" + key, layer=name) == value, key
            elif key != "name":
                assert sample(f"tower_layer_{key}_total", layer=name) == value, key
    for function, n in total["calls"].items():
        assert sample("tower_calls_total", function=function) == n, function
    assert sample("tower_saved_round_trips_total") == total["saved"]["round_trips"]
    assert sample("tower_saved_bytes_total") == total["saved"]["bytes"]
    assert sample("tower_switched_off", what="redis") == 1
    assert sample("tower_switched_off", what="memory") == 0
    assert stat["off"] == ["redis"]

    memory, memcached, redis = total["layers"]
    assert memory["hits"] >= 2000, memory
    assert total["saved"]["bytes"] >= 2000 * 1000, total["saved"]
    # PHP's get is an mget of one key.  One of 8 is timed: far from it is wrong.
    assert 100 < memory["get_ns"]["timed"] < 600, memory["get_ns"]
    assert 0 < memory["get_ns"]["p50"] <= memory["get_ns"]["p99"], memory["get_ns"]
    assert 1 < memcached["write_ns"]["timed"] < 60, memcached["write_ns"]
    assert memcached["write_ns"]["p50"] > 1000, memcached["write_ns"]
    assert 1 < memcached["mget_ns"]["timed"] < 60, memcached["mget_ns"]
    assert redis["errors"] == 0, redis


if sys.argv[1] == "--compare":
    compare(*sys.argv[2:])
else:
    fetch(*sys.argv[1:])
