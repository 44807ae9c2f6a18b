"""The table of served.c for pylibmc.  Arguments: two sockets."""

import os
import sys

import pylibmc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import raw_memcached # noqa: E402

KEYS = 10
ROUNDS = 100


def gets_of_both():
    return sum(int(raw_memcached.stats(path)["cmd_get"]) for path in sys.argv[1:3])


def read_get(client, keys):
    return {key: client.get(key) for key in keys}


def read_gets(client, keys):
    rows = {key: client.gets(key) for key in keys}
    return {key: value for key, (value, cas) in rows.items() if cas}


def read_get_multi(client, keys):
    return client.get_multi(keys)


def read_get_multi_with_prefix(client, keys):
    return {"served" + key: value for key, value in
            client.get_multi([key[len("served"):] for key in keys], key_prefix="served").items()}


WAYS = {
    "get": read_get,
    "gets": read_gets,
    "get_multi": read_get_multi,
    "get_multi(key_prefix)": read_get_multi_with_prefix,
}


class Same:
    """One client for all rounds."""

    servers = 1
    behaviors = {"cas": True}

    def __init__(self, binary):
        self.client = pylibmc.Client(sys.argv[1:1 + self.servers], binary=binary,
                                     behaviors=self.behaviors)

    def round(self, read, keys):
        return read(self.client, keys)


class NoCas(Same):
    behaviors = {}


class Namespace(Same):
    behaviors = {"cas": True, "namespace": b"prefix:"}


class Ketama(Same):
    servers = 2
    behaviors = {"cas": True, "ketama": True}


class Clone(Same):
    def round(self, read, keys):
        return read(self.client.clone(), keys)


class New(Same):
    def __init__(self, binary):
        super().__init__(binary)
        self.binary = binary

    def round(self, read, keys):
        return read(type(self.client)(sys.argv[1:2], binary=self.binary,
                                      behaviors=self.behaviors), keys)


class Pool(Same):
    def __init__(self, binary):
        super().__init__(binary)
        self.pool = pylibmc.ClientPool(self.client, 3)

    def round(self, read, keys):
        with self.pool.reserve() as client:
            return read(client, keys)


class ThreadMapped(Same):
    def __init__(self, binary):
        super().__init__(binary)
        self.pool = pylibmc.ThreadMappedPool(self.client)

    def round(self, read, keys):
        with self.pool.reserve() as client:
            return read(client, keys)


class All(Pool):
    servers = 2
    behaviors = {"cas": True, "ketama": True, "namespace": b"prefix:", "tcp_nodelay": True,
                 "no_block": True}


KINDS = {
    "one": Same,
    "no-cas": NoCas,
    "prefix": Namespace,
    "new": New,
    "clone": Clone,
    "ClientPool": Pool,
    "ThreadMappedPool": ThreadMapped,
    "ketama": Ketama,
    "ketama,prefix,ClientPool": All,
}


def measure(way, read, protocol, kind, handles):
    expected = {}
    for i in range(KEYS):
        key = "served-%s-%s-%s-%d" % (way, protocol, kind, i)
        expected[key] = ("value of " + key, i, {"pickled": [None]}) if i % 2 else key
        handles.client.set(key, expected[key])
    before = gets_of_both()
    for _ in range(ROUNDS):
        if handles.round(read, list(expected)) != expected:
            sys.exit("%s, %s, %s: not what was stored" % (way, protocol, kind))
    share = 100 * (1 - (gets_of_both() - before) / (KEYS * ROUNDS))
    print("%5.1f %s %s %s" % (share, way, protocol, kind))


for kind, make in KINDS.items():
    for protocol in ("text", "binary"):
        handles = make(protocol == "binary")
        for way, read in WAYS.items():
            if way != "gets" or kind != "no-cas":
                measure(way, read, protocol, kind, handles)
