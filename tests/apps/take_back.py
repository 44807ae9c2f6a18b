"""Redis closes the connection just when a value that an mget found there was put back into
memcached: it is taken out again, and the mget has all that Redis had.  See take_back.sh.

usage: take_back.py BUILD MEMCACHED REDIS RELAY
"""
import os
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import raw_memcached # noqa: E402

BUILD, MEMCACHED, REDIS, RELAY = sys.argv[1:]
KEYS = [f"key{i}" for i in range(5)]
N_BYTES = 20000

CLIENT = """
import sys, pylibmc
client = pylibmc.Client([sys.argv[1]])
keys, n = sys.argv[3:], int(sys.argv[2])
for key in keys:
    client.set(key, key * n)
print('set', flush=True)
sys.stdin.readline()
found = client.get_multi(keys)
print(*[key for key in keys if found.get(key) == key * n], flush=True)
"""

is_armed = threading.Event()
n_closed = 0


def pump(source, sink, is_question):
    global n_closed
    try:
        while some := source.recv(65536):
            if is_question and is_armed.is_set() and b"\r\nGET\r\n" in some and b":generation" in some:
                n_closed += 1
                break
            sink.sendall(some)
    except OSError:
        pass
    for end in source, sink:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def relay(listener):
    while True:
        client, _ = listener.accept()
        redis = socket.socket(socket.AF_UNIX)
        redis.connect(REDIS)
        threading.Thread(target=pump, args=(client, redis, True), daemon=True).start()
        threading.Thread(target=pump, args=(redis, client, False), daemon=True).start()


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(RELAY)
    listener.listen(16)
    threading.Thread(target=relay, args=(listener,), daemon=True).start()
    client = subprocess.Popen(
        ["/usr/bin/python3", "-c", CLIENT, MEMCACHED, str(N_BYTES), *KEYS], text=True,
        env=dict(os.environ, LD_PRELOAD=BUILD + "/libtower.so"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    client.stdout.readline()
    for key in KEYS:
        raw_memcached.ask(MEMCACHED, "delete " + key)
    is_armed.set()
    client.stdin.write("\n")
    client.stdin.flush()
    print("found", client.stdout.readline().strip())
    print("status", client.wait(timeout=20))
    print("closed", n_closed)
    print("taken back", int(raw_memcached.stats(MEMCACHED)["delete_hits"]) - len(KEYS))
    print("left in memcached",
          *[key for key in KEYS if "VALUE" in raw_memcached.ask(MEMCACHED, "get " + key)])


main()
