"""A table of computed rows through pylibmc: ask the cache, on a miss compute.

Arguments: socket, file for the times: of reading a few rows again and again.
"""

import sys
import time
import zlib

import pylibmc

ROWS = 1500
GETS = 15000
BURSTS = 200
BURST = 20
ROUNDS = 300
ROUND = 50


def compute(n):
    return ("row %d " % n) * (200 + n * 37 % 1000)


def main(socket, times):
    cache = pylibmc.Client([socket])
    state = 1
    checksum = 0
    lost = 0
    for n in range(ROWS):
        cache.set("row:%d" % n, compute(n))

    # Few rows are asked for often, most seldom; the same in every run.
    for _ in range(GETS):
        state = (state * 1103515245 + 12345) % 2147483648
        n = int(ROWS ** (state / 2147483648)) - 1
        row = cache.get("row:%d" % n)
        if row is None:
            lost += 1
            row = compute(n)
            cache.set("row:%d" % n, row)
        checksum = zlib.crc32(row.encode(), checksum)

    for burst in range(BURSTS):
        keys = ["row:%d" % ((burst * 7 + i) % ROWS) for i in range(BURST)]
        found = cache.get_multi(keys)
        missing = {key: compute(int(key[4:])) for key in keys if key not in found}
        if missing:
            lost += len(missing)
            cache.set_multi(missing)
        for key in keys:
            row = found[key] if key in found else missing[key]
            checksum = zlib.crc32(row.encode(), checksum)

    keys = ["row:%d" % n for n in range(ROUND)]
    cache.set_multi({key: compute(int(key[4:])) for key in keys})
    right = 0
    begun = time.perf_counter_ns()
    for _ in range(ROUNDS):
        for key in keys:
            right += len(cache.get(key)) > 0
    nanoseconds = time.perf_counter_ns() - begun

    cache.set("visits", 0)
    for _ in range(100):
        cache.incr("visits", 2)
    swapper = pylibmc.Client([socket], behaviors={"cas": True})
    value, cas = swapper.gets("visits")
    swapped = swapper.cas("visits", 1000, cas)
    again = swapper.cas("visits", 2000, cas)
    print("rows read: %d, %d times %d, and the same %d times" % (GETS, BURSTS, BURST, right))
    print("checksum: %08x" % checksum)
    print("visits: %d, cas: %s then %s, %d" % (value, swapped, again, cache.get("visits")))
    with open(times, "w") as out:
        out.write("%d %d %d\n" % (ROUNDS * ROUND, nanoseconds, lost))


main(*sys.argv[1:3])
