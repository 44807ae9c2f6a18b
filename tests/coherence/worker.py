"""A worker of the variant "languages", in Python.  Arguments: socket, log,
number, keys, file that ends it.  check.py says what the log is."""

import os
import random
import sys
import time
import zlib

import pylibmc

socket, path, number, n_keys, end = sys.argv[1:]
client = pylibmc.Client([socket], binary=int(number) % 2 == 0)
names = ["abc%02d" % key for key in range(int(n_keys))]
counts = [0] * len(names)


def whole(digits):
    return b"%s%08x" % (digits, zlib.crc32(digits)) + b"." * 52


def version(value):
    if value is None:
        return "-"
    digits = value[:40]
    return digits.decode() if whole(digits) == value else "corrupt"


with open(path, "w") as log:
    while not os.path.exists(end):
        for _ in range(random.randrange(100)):
            key = random.randrange(len(names))
            begin = time.monotonic_ns()
            value = client.get(names[key])
            done = time.monotonic_ns()
            log.write("r %d %d %d %s\n" % (begin, done, key, version(value)))
        key = random.randrange(len(names))
        start = time.monotonic_ns()
        digits = b"-"
        if random.randrange(3) == 0:
            client.delete(names[key])
        else:
            counts[key] += 1
            digits = b"%04x%04x%012x%016x%04x" % (key, int(number), counts[key], start, 0)
            client.set(names[key], whole(digits))
        log.write("w %d %d %d %s\n" % (start, time.monotonic_ns(), key, digits.decode()))
        time.sleep(0.0005)
