"""Another process that has an LMDB store open, and what a test asks of a store."""

import subprocess
import sys

CHILD = """
import asyncio, os, sys
from parbake.errors import StoreError
from parbake.ports.event_log import Change
from parbake.stores import _lmdb_memory, open_store

_lmdb_memory.FOLDER = sys.argv[2] or _lmdb_memory.FOLDER

async def obey(store, word):
    if word == "touch":
        return (await store.apply([Change(("policy/a", "policy/*"))], now=1.0)).stamp.sequence
    if word == "read":
        return (await store.read("t@1", b"k")).control.incarnation
    if word == "trust":
        return (await store.stamp()).control.is_trusted
    await store.close()

async def main():
    store = open_store(f"lmdb://{sys.argv[1]}?map_size=16MiB")
    print("opened", flush=True)
    for word in map(str.strip, sys.stdin):
        if word == "fork":
            child = os.fork()
            if not child:
                loop = asyncio.new_event_loop()
                asyncio._set_running_loop(None)
                loop.run_until_complete(obey(store, "touch"))
                os._exit(0)
            print(os.waitpid(child, 0)[1], flush=True)
            continue
        if word == "leave":
            return
        try:
            print(await obey(store, word), flush=True)
        except StoreError as error:
            print(type(error).__name__, flush=True)

asyncio.run(main())
"""


class Child:
    """Another process that has the store open, and does what it is told."""

    def __init__(self, place, folder=""):
        """Start it, and wait until it has opened the store; ``folder`` is its memory of the machine."""
        command = [sys.executable, "-c", CHILD, str(place), str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "opened\n"

    def tell(self, word):
        """Let it do something, and return what it answers."""
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def kill(self):
        """Kill it."""
        self.process.kill()
        self.process.communicate()


async def incarnation(store):
    """Return the incarnation of a store, negative if it is not trusted."""
    stamp, control = await store.stamp()
    return stamp.incarnation if control.is_trusted else -stamp.incarnation
