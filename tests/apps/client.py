"""What Python programs do with pylibmc.  Argument: socket."""

import sys

import pylibmc


def say(what, value):
    print("%s: %r" % (what, value))


def attempt(what, function, *args):
    try:
        say(what, function(*args))
    except (pylibmc.Error, ValueError) as error:
        say(what, type(error).__name__)


for binary in (False, True):
    print("-- binary" if binary else "-- text")
    client = pylibmc.Client([sys.argv[1]], binary=binary, behaviors={"cas": True})
    attempt("flush_all", client.flush_all)
    values = {
        "text": "value",
        "bytes": b"\0\1\2",
        "empty": "",
        "int": 7,
        "true": True,
        "tuple": (1, [2, None]),
        "long": "long " * 5000,
    }
    for key, value in values.items():
        attempt("set " + key, client.set, key, value)
        for _ in range(3):
            say("get %s same" % key, client.get(key) == value)
    attempt("get missing", client.get, "missing")
    attempt("get default", client.get, "missing", "default")

    attempt("set_multi", client.set_multi, {"m1": "one", "m2": "two", "m3": "three"})
    for _ in range(2):
        say("get_multi", list(client.get_multi(["m3", "none", "m1", "m2"]).items()))
        say("get_multi of nothing", client.get_multi(["none", "nothing"]))
    say("get_multi with prefix", client.get_multi(["1", "3"], key_prefix="m"))

    value, cas = client.gets("m1")
    say("gets", value)
    attempt("cas", client.cas, "m1", "swapped", cas)
    attempt("get", client.get, "m1")
    attempt("cas again", client.cas, "m1", "never", cas)
    attempt("get", client.get, "m1")
    say("gets missing", client.gets("missing"))

    attempt("set n", client.set, "n", 10)
    attempt("incr", client.incr, "n", 5)
    attempt("get n", client.get, "n")
    attempt("decr", client.decr, "n", 100)
    attempt("get n", client.get, "n")
    attempt("incr missing", client.incr, "missing")

    attempt("set s", client.set, "s", "middle")
    attempt("append", client.append, "s", " end")
    attempt("prepend", client.prepend, "s", "begin ")
    attempt("get s", client.get, "s")
    attempt("add s", client.add, "s", "x")
    attempt("replace s", client.replace, "s", "replaced")
    attempt("get s", client.get, "s")
    attempt("touch s", client.touch, "s", 100)
    attempt("delete s", client.delete, "s")
    attempt("get s", client.get, "s")
    attempt("delete s", client.delete, "s")
    attempt("delete_multi", client.delete_multi, ["m1", "none"])
    attempt("get m1", client.get, "m1")

    clone = client.clone()
    attempt("get by clone", clone.get, "text")
    attempt("set by clone", clone.set, "text", "cloned")
    attempt("get", client.get, "text")
    attempt("key too long", client.set, "k" * 300, "x")
    attempt("flush_all", client.flush_all)
    attempt("get text", client.get, "text")
