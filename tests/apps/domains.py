"""Who shares a coherence domain with whom: users, groups, mounts of /dev/shm.

Two workers run under tower with a memory.ttl of an hour, so that what memory
holds is never old by itself.  One reads a key, the other one writes it, the
first reads again: it sees the new value where both are in one domain, and in
no case an error.  Prints what was seen.

usage: domains.py LIBRARY SOCKET NAME
"""
import os
import subprocess
import sys

WORKER = """
import sys, pylibmc
client = pylibmc.Client([sys.argv[1]])
for line in sys.stdin:
    verb, key, value = line.split()
    if verb == 'set':
        client.set(key, value)
        print('set', flush=True)
    else:
        print(client.get(key), flush=True)
"""


class Worker:
    def __init__(self, library, socket, name, user, groups, unshare, settings):
        command = ["setpriv", "--reuid", str(user), "--regid", str(user), "--inh-caps=-all"]
        command += ["--groups", groups] if groups else ["--clear-groups"]
        command += ["/usr/bin/python3", "-c", WORKER, socket]
        if unshare:
            # In a chroot "/" is no mount point, but /dev/shm is.
            command = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c",
                       "{ mount --make-rprivate / 2>/dev/null || mount --make-private /dev/shm; } &&"
                       ' mount -t tmpfs tmpfs /dev/shm && exec "$@"', "sh"] + command
        environment = {
            "PATH": os.environ["PATH"],
            "LD_PRELOAD": library,
            "TOWER_NAME": name,
            "TOWER_MEMORY_TTL": "1h",
        }
        environment.update(settings)
        self.process = subprocess.Popen(command, env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, verb, key, value="-"):
        self.process.stdin.write(f"{verb} {key} {value}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(timeout=20)


def meet(title, reader, writer):
    """What the reader sees after the writer wrote; first it has the value in memory."""
    writer.ask("set", title, "old")
    seen = [reader.ask("get", title) for _ in range(3)]
    writer.ask("set", title, "new")
    seen.append(reader.ask("get", title))
    statuses = reader.end(), writer.end()
    print(title, *seen, *statuses)


def main():
    library, socket, name = sys.argv[1:]
    group = {"TOWER_COHERENCE_GROUP": "users"}

    def worker(suffix, user, groups="", unshare=False, settings=None):
        return Worker(library, socket, f"{name}-{suffix}", user, groups, unshare, settings or {})

    meet("same-user", worker("a", 4001), worker("a", 4001))
    meet("group", worker("b", 4001, "users", settings=group),
         worker("b", 4002, "users", settings=group))
    meet("two-users", worker("c", 4001), worker("c", 4002))
    meet("own-shm", worker("d", 4001, unshare=True), worker("d", 4001))


main()
