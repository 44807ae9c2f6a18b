"""The switch, seen by two programs that run on: see switch.sh.

usage: switch.py BUILD MEMCACHED REDIS
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import raw_memcached # noqa: E402

BUILD, MEMCACHED, REDIS = sys.argv[1:]

CLIENT = """
import sys, pylibmc
client = pylibmc.Client([sys.argv[1]])
for line in sys.stdin:
    verb, key, value = line.split()
    if verb == 'set':
        client.set(key, value)
        print('set', flush=True)
    elif verb == 'many':
        print('many' if client.get_multi([key]) == {key: value} else 'none', flush=True)
    elif verb == 'exist':
        print('exist' if key in client else 'none', flush=True)
    else:
        print(client.get(key) or 'nothing', flush=True)
"""

SETTINGS = {
    "TOWER_LAYERS": "memory, memcached, redis",
    "TOWER_REDIS_URL": "unix://" + REDIS,
    "TOWER_MEMORY_TTL": "1h",
    "TOWER_REDIS_TIMEOUT": "20s",
    "TOWER_REDIS_CONNECT_TIMEOUT": "20s",
}
ENVIRONMENT = dict(os.environ, **SETTINGS)


class Client:
    def __init__(self):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-c", CLIENT, MEMCACHED], text=True,
            env=dict(ENVIRONMENT, LD_PRELOAD=BUILD + "/libtower.so"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, verb, key, value="-"):
        self.process.stdin.write(f"{verb} {key} {value}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(timeout=20)


def memcached(command):
    return raw_memcached.ask(MEMCACHED, command)


def reads():
    stats = raw_memcached.stats(MEMCACHED)
    return int(stats["cmd_get"]) + int(stats.get("cmd_meta", 0)) + int(stats["cmd_set"])


def whence(client, verb, key, value="-"):
    """The answer, and whether memcached was asked for it."""
    before = reads()
    answer = client.ask(verb, key, value)
    return f"{answer} {'memory' if reads() == before else 'memcached'}"


def tower(*words):
    done = subprocess.run([BUILD + "/tower", *words], env=ENVIRONMENT, text=True, check=True,
                          stdout=subprocess.PIPE)
    return done.stdout


def switch(*words):
    print(*words, end=": ")
    print(tower(*words).strip().split(": ")[1])


def passed_on():
    return json.loads(tower("stat", "--json"))["total"]["passed"].get("disabled", 0)


def main():
    reader, writer = Client(), Client()
    reader.ask("set", "k", "one")
    reader.ask("get", "k")
    print("on:", whence(reader, "get", "k") + ",", whence(reader, "get", "k"))

    switch("disable", "memory")
    first, second = whence(reader, "get", "k"), whence(reader, "get", "k")
    writer.ask("set", "k", "two")
    print(f"{first}, {second}, {whence(reader, 'get', 'k')}")
    # What the reader would find in its memory now is the first value.
    switch("enable", "memory")
    print("written while memory was off:", reader.ask("get", "k"))
    print("then:", whence(reader, "get", "k"))

    writer.ask("set", "d", "three")
    switch("disable", "redis")
    memcached("delete d")
    print("lost by memcached:", reader.ask("get", "d"))
    writer.ask("set", "d", "four")
    switch("enable", "redis")
    memcached("delete d")
    # Redis still has the third value.
    print("written while redis was off, lost by memcached:", Client().ask("get", "d"))
    writer.ask("set", "d", "six")
    memcached("delete d")
    print("written since, lost by memcached:", Client().ask("get", "d"))

    writer.ask("set", "k", "seven")
    reader.ask("get", "k")
    switch("disable")
    before = passed_on()
    seen = [whence(reader, "get", "k"), whence(reader, "many", "k", "seven"),
            whence(reader, "exist", "k")]
    print("reads:", ", ".join(seen) + "; passed on", passed_on() - before)
    late = Client()
    late.ask("get", "k")
    print("a program that starts now:", whence(late, "get", "k"))
    late.end()
    writer.ask("set", "k", "eight")
    switch("enable")
    print("written while all was off:", reader.ask("get", "k"))
    print("then:", whence(reader, "get", "k") + ",", whence(reader, "many", "k", "eight"))
    print(reader.end(), writer.end())


main()
