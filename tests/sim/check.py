"""usage: check.py TOWER GENERATE FOLDER"""

import json
import os
import subprocess
import sys

TOWER, GENERATE, FOLDER = sys.argv[1:]
TRACES = {
    "web12": ("web12", "be32"),
    "orm-busy": ("orm-busy", "be32"),
    "scarab-recs": ("scarab-recs", "be64"),
    "adaptsize": ("adaptsize_request", "adaptsize"),
}
EXACT, SAMPLED = 0.5, 1.5  # points
problems = []


def problem(text):
    problems.append(text)


def run(*words, given=None):
    return subprocess.run([TOWER, "sim", *words], input=given, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=200, check=False)


def ask(*words, given=None):
    done = run(*words, "--json", given=given)
    if done.returncode != 0 or done.stderr:
        problem(f"{' '.join(words)}: status {done.returncode}: {done.stderr.decode()}")
        return {"rows": [], "share": 0}
    return json.loads(done.stdout)


def ratios(answer):
    return {(row["policy"], row["size"]): row["hit_ratio"] * 100 for row in answer["rows"]}


def reference():
    with open("bench/traces/reference.tsv", encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                trace, share, *rest = line.split()
                for policy, ratio in zip(("lru", "fifo", "s3fifo", "opt"), rest):
                    yield trace, policy, share + "%", float(ratio)


def agreeing(found, expected, bound, what):
    agree = 0
    for row, ratio in expected.items():
        if row in found and abs(found[row] - ratio) <= bound:
            agree += 1
        else:
            problem(f"{what}, {row[0]} {row[1]}: {found.get(row)}, not {ratio}")
    return agree


def tables():
    agree = rows = 0
    for trace, (file, form) in TRACES.items():
        expected = {(policy, size): ratio for name, policy, size, ratio in reference() if name == trace}
        words = ("--trace", f"bench/traces/{file}.trace.xz", "--format", form,
                 "--policy", "lru,fifo,s3fifo,opt", "--size", "0.1%,1%,10%")
        agree += agreeing(ratios(ask(*words, "--exact")), expected, EXACT, f"{trace}, exact")
        agree += agreeing(ratios(ask(*words)), expected, SAMPLED, f"{trace}, sampled")
        rows += 2 * len(expected)
    print(f"hit ratios: {agree} of {rows} rows agree")


def samples():
    """Of more keys than a sample has by default, and of fewer by demand."""
    path = os.path.join(FOLDER, "made")
    with open(path, "wb") as file:
        subprocess.run([GENERATE, "1200000", "1500000", "0.8", "7"], stdout=file, check=True)
    words = ("--trace", path, "--format", "be32", "--policy", "lru,fifo,s3fifo,opt",
             "--size", "1%,20%,10M")
    exact = ask(*words, "--exact")
    for more in ((), ("--sample", "0.1"), ("--sample", "0.1", "--seed", "3")):
        sampled = ask(*words, *more)
        if exact["share"] != 1 or not 0 < sampled["share"] < 0.6:
            problem(f"shares {exact['share']}, {sampled['share']} with {more}")
        agreeing(ratios(sampled), ratios(exact), SAMPLED, f"made up, sampled {more}")
        if abs(sampled["keys"] / exact["keys"] - 1) > 0.02:
            problem(f"{sampled['keys']} keys in a sample of {exact['keys']}")
    words = ("--trace", "bench/traces/web12.trace.xz", "--format", "be32", "--json")
    if run(*words, "--threads", "1").stdout != run(*words, "--threads", "7").stdout:
        problem("other threads, another answer")


def known():
    """a a b a: by hand."""
    answer = ask("--trace", "-", "--format", "keys", "--policy", "lru,tower-lru,opt", "--size", "1i,2i,50%",
                 "--layers", "memory=1M,memcached=1G", "--latency", "memory=1us,memcached=10us,origin=1ms",
                 given=b"a\na\nb\na\n")
    if ratios(answer) != {("lru", "1i"): 25, ("lru", "2i"): 50, ("lru", "50%"): 25,
                          ("tower-lru", "1i"): 25, ("tower-lru", "2i"): 50, ("tower-lru", "50%"): 25,
                          ("opt", "1i"): 25, ("opt", "2i"): 50, ("opt", "50%"): 25}:
        problem(f"a a b a: {ratios(answer)}")
    hierarchy = answer["hierarchy"]
    if [layer["hit_share"] for layer in hierarchy["layers"]] != [0.5, 0] or hierarchy["mean_ns"] != 506000:
        problem(f"a a b a: {hierarchy}")
    if answer["recommended"]["size"] != "2i" or answer["gets"] != 4 or answer["keys"] != 2:
        problem(f"a a b a: {answer}")
    text = run("--trace", "-", "--format", "keys", given=b"a\na\nb\na\n")
    if text.returncode != 0 or b"recommended: " not in text.stdout or b"miss ratio" not in text.stdout:
        problem(text)


def refused():
    good = ("--trace", "-", "--format", "keys")
    for status, words, given, what in (
            (2, (), b"", b"--trace"),
            (2, ("--trace", "x"), b"", b"--format"),
            (2, ("--trace", "x", "--format", "be16"), b"", b"no format 'be16'"),
            (2, good + ("--policy", "lru,mru"), b"a", b"no policy 'mru'"),
            (2, good + ("--policy", ""), b"a", b"at least one"),
            (2, good + ("--size", "1%,101%"), b"a", b"'101%' is no size"),
            (2, good + ("--size", ",".join(["1%"] * 257)), b"a", b"more than 256"),
            (2, good + ("--sample", "0"), b"a", b"--sample"),
            (2, good + ("--sample", "nan"), b"a", b"--sample"),
            (2, good + ("--ttl", "x"), b"a", b"--ttl"),
            (2, good + ("--layers", "disk=1G"), b"a", b"'disk=1G'"),
            (2, good + ("--latency", "memory=1y"), b"a", b"'memory=1y'"),
            (2, good + ("--what",), b"a", b"--what is no option"),
            (2, good + ("--exact=1",), b"a", b"--exact takes no value"),
            (2, good + ("what",), b"a", b"what is 'what'"),
            (2, good + ("--threads", "0"), b"a", b"--threads"),
            (2, good + ("--seed", "1.5"), b"a", b"whole number"),
            (2, good + ("--size", "1.5"), b"a", b"'1.5' is no size"),
            (2, good + ("--exact", "--sample", "0.5"), b"a", b"either --exact or --sample"),
            (2, good + ("--layers", ""), b"a", b"at least one"),
            (2, good + ("--layers", "memory=1M,memory=2M"), b"a", b"memory twice"),
            (2, good + ("--latency", ""), b"a", b"at least one"),
            (2, good + ("--policy",), b"a", b"--policy needs a value"),
            (1, good, b"", b"no requests"),
            (1, good + ("--measured",), b"a", b"measured"),
            (1, ("--trace", "/nonexistent", "--format", "be32"), b"", b"/nonexistent: No such file"),
            (1, ("--trace", FOLDER, "--format", "be32"), b"", b"Is a directory"),
            (1, ("--trace", "-", "--format", "be32"), b"abcde", b"byte 4: "),
            (1, ("--trace", "-", "--format", "adaptsize"), b"1 2 3\n1 2\n", b"-:2: "),
            (1, ("--trace", "-", "--format", "csv"), b"1,a,,set\n", b"no gets"),
            (1, ("--trace", "/dev/null", "--format", "tower"), b"", b"/dev/null: "),
    ):
        done = run(*words, given=given)
        if done.returncode != status or what not in done.stderr or done.stdout or done.stderr.count(b"\n") != 1:
            problem(f"{words}: status {done.returncode}, {done.stderr}, not {status}, {what}")


tables()
if os.environ.get("SIM_TABLES") != "only":
    samples()
    known()
    refused()
for line in problems:
    print(line)
sys.exit(1 if problems else 0)
