"""How long /bin/true takes, plain and preloaded: prints the best of many, judges nothing."""

import os
import subprocess
import sys
import time


def best(environment):
    seconds = []
    for _ in range(60):
        begun = time.perf_counter()
        subprocess.run(["/bin/true"], env=environment, check=True)
        seconds.append(time.perf_counter() - begun)
    return min(seconds) * 1000


plain = dict(os.environ)
plain.pop("LD_PRELOAD", None)
without = best(plain)
preloaded = best({**plain, "LD_PRELOAD": sys.argv[1]})
print(
    f"/bin/true: {without:.2f} ms, {preloaded:.2f} ms preloaded:"
    f" {preloaded - without:+.2f} ms, {preloaded / without:.2f} times"
)
