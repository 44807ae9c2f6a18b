"""One row of the demo's table.

row.py                                      prints the heading
row.py LABEL PLAIN TOWER STAT.json TOTAL    prints a row and adds it to the file TOTAL
row.py --total TOTAL                        prints the last line; the ratio is the last row's

PLAIN and TOWER hold what a program wrote about its run: "gets nanoseconds
lost".  The time is that of so many gets, not of all; "lost" are reads that nobody answered, so that the program had to make
the value anew.
"""

import json
import sys

HEADING = """\
                       microseconds a get            hits, under the tower      lost by    of these     made anew by
program                 plain   tower   ratio    memory  memcached    redis   memcached  from Redis   plain    tower"""
ROW = "%-20s %8.2f %7.2f %7.1f  %8d %10d %8d  %10d %11d %7d %8d"


def read_times(path):
    with open(path) as lines:
        gets, nanoseconds, lost = (int(word) for word in lines.read().split())
    return nanoseconds / 1000 / gets, lost


def main(args):
    if not args:
        print(HEADING)
        return
    if args[0] == "--total":
        sums = [0, 0, 0]
        ratio = 0
        with open(args[1]) as rows:
            for row in rows:
                words = row.split()
                sums = [a + int(b) for a, b in zip(sums, words)]
                ratio = float(words[3])
        print("TOTAL memory=%d memcached=%d redis=%d ratio=%.0f" % (*sums, ratio))
        return
    label, plain_path, tower_path, stat_path, total_path = args
    plain, plain_lost = read_times(plain_path)
    tower, tower_lost = read_times(tower_path)
    with open(stat_path) as text:
        layers = {layer["name"]: layer for layer in json.load(text)["total"]["layers"]}
    hits = [layers[name]["hits"] for name in ("memory", "memcached", "redis")]
    lost = layers["memcached"]["misses"]
    print(ROW % (label, plain, tower, plain / tower, *hits, lost, hits[2], plain_lost, tower_lost))
    with open(total_path, "a") as total:
        total.write("%d %d %d %f\n" % (*hits, plain / tower))


main(sys.argv[1:])
