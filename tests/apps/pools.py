"""Threads that share pylibmc's pools, and what behaviours change.  Argument: socket."""

import sys
import threading

import pylibmc

THREADS = 8
ROUNDS = 50


def say(what, value):
    print("%s: %r" % (what, value))


def count_by_cas(client):
    """
    Adds one by compare and swap, as often as it takes.

    The key is bytes: pylibmc frees what it made of a str before it lets other
    threads run and only then asks for it.
    """
    while True:
        value, cas = client.gets(b"swapped")
        try:
            if client.cas("swapped", value + 1, cas):
                return
        except pylibmc.NotFound:
            pass


def reserve(pool):
    return pool.reserve(block=True) if isinstance(pool, pylibmc.ClientPool) else pool.reserve()


def work(pool, me, wrong):
    """A thread's own keys are as it wrote them, whichever client it gets."""
    for i in range(ROUNDS):
        with reserve(pool) as client:
            client.set("own-%d" % me, {"thread": me, "round": i})
            client.set_multi({"a": (me, i), "b": [me, i]}, key_prefix="own-%d-" % me)
        with reserve(pool) as client:
            seen = client.get("own-%d" % me), client.get("own-%d" % me)
            both = client.get_multi(["a", "b"], key_prefix="own-%d-" % me)
        if seen != ({"thread": me, "round": i},) * 2 or both != {"a": (me, i), "b": [me, i]}:
            wrong.append((me, i, seen, both))
        with reserve(pool) as client:
            client.incr("counter")
            if i % 5 == 0:
                count_by_cas(client)


def run_threads(pool, client):
    client.set_multi({"counter": 0, "swapped": 0})
    wrong = []
    threads = [threading.Thread(target=work, args=(pool, me, wrong)) for me in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say("wrong", wrong[:3])
    say("counter", client.get("counter"))
    say("swapped", client.get("swapped"))


class Thing:
    """Something to pickle."""

    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return self.name == other.name

    def __repr__(self):
        return "Thing(%r)" % self.name


class Letters(pylibmc.Client):
    """A client with its own serialisation and flags."""

    def serialize(self, value):
        return value.encode()[::-1], 0xABCD0001

    def deserialize(self, value, flag):
        return value[::-1].decode(), flag


for binary in (False, True):
    print("-- binary" if binary else "-- text")
    client = pylibmc.Client([sys.argv[1]], binary=binary,
                            behaviors={"cas": True, "tcp_nodelay": True, "no_block": True})
    client.flush_all()
    print("ThreadMappedPool")
    run_threads(pylibmc.ThreadMappedPool(client), client)
    print("ClientPool")
    run_threads(pylibmc.ClientPool(client, 3), client)

    client.set("thing", Thing("pickled"))
    say("thing", [client.get("thing"), client.get("thing"), client.gets("thing")[0]])
    client.set("compressed", "again " * 1000, min_compress_len=100)
    say("compressed", len(client.get("compressed")))
    letters = Letters([sys.argv[1]], binary=binary)
    letters.set("letters", "abc")
    say("own serialisation", [letters.get("letters"), letters.get("letters"),
                              letters.get_multi(["letters"])])
    say("set_multi", client.set_multi({"one": 1, "x" * 250: 2, "two": 2}, time=100))
    say("get_multi", client.get_multi(["one", "x" * 250, "two"]))
    say("add_multi", client.add_multi({"one": "never", "three": 3}))
    say("get_multi", client.get_multi(["one", "three"]))
    say("delete_multi", client.delete_multi(["one", "two"]))
    say("get_multi", client.get_multi(["one", "two", "three"]))

    for behaviors in ({"hash": "md5"}, {"distribution": "consistent"}, {"ketama": True},
                      {"connect_timeout": 5000}, {"tcp_keepalive": True}, {"cas": False},
                      {"pickle_protocol": 2}):
        client.behaviors.update(behaviors)
        say("after %r" % behaviors, [client.get("three"), client.get_multi(["three", "thing"])])
        client.set("three", client.get("three") + 1)
        say("and", client.get("three"))
