"""A long random sequence over more than a small memcached holds.  Arguments: socket, seed, calls.

Its output is a digest after every thousand calls, so that two runs can be
compared; with TELL=N it tells what call N was."""

import hashlib
import os
import random
import sys

import pylibmc

KEYS = 6000

path, seed, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tell = int(os.environ.get("TELL", "-1"))
chance = random.Random(seed)
clients = [
    pylibmc.Client([path], binary=False, behaviors={"cas": True}),
    pylibmc.Client([path], binary=True),
]


def value():
    return "%08d" % chance.randrange(10**8) * chance.randrange(1, 300)


def gets_and_cas(client, key):
    found, cas = client.gets(key)
    new = value()
    if found is None or cas is None or os.environ.get("NOCAS"):
        return found
    return found, client.cas(key, new, cas)


def one(client, key, counter):
    """One call and what it gave; errors by their name."""
    what = chance.choices(
        ["get", "multi", "set", "add", "replace", "append", "prepend", "delete",
         "touch", "incr", "decr", "count", "gets", "flags", "no number"],
        [30, 4, 25, 4, 4, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3])[0]
    many = [str(chance.randrange(KEYS)) for _ in range(30)]
    new = value()
    delta = chance.randrange(1, 1000)
    life = chance.choice([0, 0, 3600, 40 * 86400])
    try:
        if what == "get":
            return what, client.get(key)
        if what == "multi":
            return what, sorted(client.get_multi(many).items())
        if what == "set":
            return what, client.set(key, new, time=life)
        if what == "flags":
            return what, client.set(key, chance.choice([b"\1\2", 7, True]))
        if what == "add":
            return what, client.add(key, new, time=life)
        if what == "replace":
            return what, client.replace(key, new, time=life)
        if what == "append":
            return what, client.append(key, new[:50])
        if what == "prepend":
            return what, client.prepend(key, new[:50])
        if what == "delete":
            return what, client.delete(key)
        if what == "touch":
            return what, client.touch(key, 3600)
        if what == "incr":
            return what, client.incr(counter, delta)
        if what == "decr":
            return what, client.decr(counter, delta)
        if what == "no number":
            # Mostly refused.  The binary protocol's answer tells libmemcached nothing.
            return what, clients[0].incr(key, delta)
        if what == "count":
            return what, client.set(counter, delta)
        return what, gets_and_cas(clients[0], key)
    except pylibmc.Error as error:
        return what, type(error).__name__


digest = hashlib.sha256()
for i in range(calls):
    client = clients[i // 50 % 2]
    key = str(chance.randrange(KEYS))
    result = one(client, key, "counter" + str(chance.randrange(KEYS)))
    digest.update(repr(result).encode())
    if i == tell:
        print(i, key, i // 50 % 2, repr(result)[:300])
    if os.environ.get("ALL"):
        print(i, key, i // 50 % 2, repr(result)[:30], repr(result)[-30:], hashlib.sha256(repr(result).encode()).hexdigest()[:8])
    if i % 1000 == 999:
        print(i + 1, digest.hexdigest()[:16])
