"""Judges the logs of all workers of a run, as board.h does for those in C.

A log has a line for every call, in the order of the worker:

    r BEGIN END KEY VERSION     a read; VERSION "-" is a miss
    w START ACK KEY VERSION     a confirmed write; "-" is a delete

Times are nanoseconds of CLOCK_MONOTONIC; a version is the 40 digits of value.h.
Prints: gets writes stale resurrected backwards unexplained corrupt.
"""

import bisect
import itertools
import sys

MISS = "-"


class Latest:
    """The latest of values that were published before a moment."""

    def __init__(self, published):
        published = sorted(published)
        self.at = [moment for moment, _ in published]
        self.most = list(itertools.accumulate((value for _, value in published), max))

    def before(self, moment):
        i = bisect.bisect_left(self.at, moment)
        return self.most[i - 1] if i else 0


def start_of(version):
    return int(version[20:36], 16)


def judge_key(reads, writes, count):
    stored = Latest((ack, start) for start, ack, version in writes if version != MISS)
    removed = Latest((ack, start) for start, ack, version in writes if version == MISS)
    returned = Latest((end, start_of(version)) for _, end, version in reads if version != MISS)
    # Of the deletes that began before a moment, when the last one was over.
    over = Latest((start, ack) for start, ack, version in writes if version == MISS)
    acks = {version: ack for _, ack, version in writes}
    for begin, end, version in reads:
        if version == MISS:
            count["unexplained"] += stored.before(begin) > over.before(end)
            continue
        # A version whose write is in no log was still being written when the run ended.
        ack = acks.get(version, sys.maxsize)
        if removed.before(begin) > ack:
            count["resurrected"] += 1
        elif stored.before(begin) > ack:
            count["stale"] += 1
        elif returned.before(begin) > ack:
            count["backwards"] += 1


def main():
    names = ("gets", "writes", "stale", "resurrected", "backwards", "unexplained", "corrupt")
    count = dict.fromkeys(names, 0)
    keys = {}
    for path in sys.argv[1:]:
        with open(path) as log:
            for line in log:
                kind, first, last, key, version = line.split()
                reads, writes = keys.setdefault(key, ([], []))
                if version != MISS and (len(version) != 40 or int(version[:4], 16) != int(key)):
                    count["corrupt"] += 1
                elif kind == "r":
                    reads.append((int(first), int(last), version))
                else:
                    writes.append((int(first), int(last), version))
    for reads, writes in keys.values():
        count["gets"] += len(reads)
        count["writes"] += len(writes)
        judge_key(reads, writes, count)
    print(*(count[name] for name in names))


main()
