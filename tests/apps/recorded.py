"""Requests whose number is known, by three processes; and whether they were recorded.

usage: recorded.py run SOCKET
       recorded.py check TOWER PATH
"""

import json
import os
import subprocess
import sys


def run(socket):
    import pylibmc

    def work(name):
        client = pylibmc.Client([socket])
        for i in range(100):
            client.set(f"{name}-{i}", "x" * 500)
        for i in range(300):
            assert client.get(f"{name}-{i % 100}") == "x" * 500
        for i in range(50):
            assert client.get(f"{name}-absent-{i}") is None
        for i in range(20):
            assert client.delete(f"{name}-{i}")
            assert not client.delete(f"{name}-{i}")
        assert len(client.get_multi([f"{name}-{i}" for i in range(100)])) == 80

    work("parent")
    for name in ("one", "two"):
        child = os.fork()
        if child == 0:
            work(name)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


def check(tower, path):
    done = subprocess.run([tower, "sim", "--format", "tower", "--trace", path, "--policy", "lru,opt",
                           "--size", "100%", "--fill", "writes", "--json"], check=True,
                          stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    expected = {"requests": 3 * (100 + 300 + 50 + 20 + 100), "gets": 3 * 450, "keys": 3 * 150}
    for name, n in expected.items():
        assert found[name] == n, f"{name}: {found[name]}, not {n}: {found}"
    # Of 450 gets of a process 380 found something, as the program has seen it.
    ratio = found["rows"][0]["hit_ratio"]
    assert abs(ratio - 380 / 450) < 1e-6, found
    assert 490 < found["mean_value_bytes"] * 150 / 100 - 50 < 520, found


if sys.argv[1] == "run":
    run(sys.argv[2])
else:
    check(*sys.argv[2:])
