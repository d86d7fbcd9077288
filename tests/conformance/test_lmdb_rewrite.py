"""An LMDB store that is rewritten holds nothing of deleted items, and other processes go on with the new file."""

import asyncio
import subprocess
import sys

import pytest

from parbake.errors import StoreError
from parbake.ports.event_log import Change
from parbake.stores import open_store
from parbake.testing.store_suite import make_record

CANARY = b"zq-canary-4711"
CHILD = """
import asyncio, sys
from parbake.ports.event_log import Change
from parbake.stores import open_store

async def main():
    store = open_store(sys.argv[1])
    print((await store.apply([Change(("policy/a", "policy/*"))], now=1.0)).stamp.sequence, flush=True)
    sys.stdin.readline()
    print((await store.apply([Change(("policy/a", "policy/*"))], now=2.0)).stamp.sequence, flush=True)
    await store.close()

asyncio.run(main())
"""


BUSY_CHILD = """
import asyncio, sys, threading
from parbake.ports.event_log import Change
from parbake.stores import open_store

async def main():
    store, written, is_over = open_store(sys.argv[1]), 0, threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
    print("began", flush=True)
    while not is_over.is_set():
        writes = [store.apply([Change(("policy/a",))], now=1.0) for _ in range(3)]
        acks = await asyncio.gather(*writes, return_exceptions=True)
        written += sum(not isinstance(ack, Exception) for ack in acks)
    print(written, flush=True)
    await store.close()

asyncio.run(main())
"""


def bytes_in(folder):
    """Return the contents of every file in and beside a folder."""
    return b"".join(path.read_bytes() for path in folder.parent.rglob("*") if path.is_file())


@pytest.fixture
def place(tmp_path):
    """Return the folder of a store."""
    return tmp_path / "store"


async def filled(place):
    """Return a store with thousands of rows, among them keys and values with the canary on every page."""
    store = open_store(f"lmdb://{place}?map_size=64MiB")
    stamp, _ = await store.stamp()
    rows = [(b"%05d" % n, make_record(stamp, b"x" * 200)) for n in range(3000)]
    rows += [(b"%05d" % n + CANARY, make_record(stamp, CANARY * (n % 600))) for n in range(0, 3000, 7)]
    await store.write_base("t@1", 1, rows)
    return store


async def test_nothing_of_what_was_erased_is_in_any_file(place):
    """Keys, values, separators in inner pages and free pages: after the rewriting, no file has the canary."""
    store = await filled(place)
    assert await store.erase([CANARY.decode()], [], (await store.stamp()).stamp) == len(range(0, 3000, 7))
    assert CANARY in bytes_in(place)  # LMDB itself overwrites nothing
    await store.compact()
    assert CANARY not in bytes_in(place)
    assert [path.name for path in sorted(place.parent.iterdir())] == ["store", "store.incarnation"]
    assert (await store.read("t@1", b"00001", generation=1)).records
    await store.close()


async def test_a_second_process_writes_to_the_new_file(place):
    """A process that had the store open finds the new file by itself, and what it writes is seen by the first."""
    store = await filled(place)
    with subprocess.Popen(  # noqa: ASYNC220  # the child is what is tested
        [sys.executable, "-c", CHILD, f"lmdb://{place}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        first = int(child.stdout.readline())
        before = (await store.stamp()).control
        await store.compact()
        after = (await store.stamp()).control
        assert after.incarnation > before.incarnation  # so that no read of another process stays with the old file
        assert after.is_trusted  # because nothing was lost
        child.stdin.write("\n")
        child.stdin.flush()
        second = int(child.stdout.readline())
    assert child.returncode == 0
    raised = await store.log((await store.stamp()).stamp._replace(sequence=second - 1), 10)
    assert first < second
    assert [entry.tags for entry in raised] == [("policy/a", "policy/*")]
    await store.close()


async def test_no_acknowledged_write_is_lost_to_a_rewriting(place):
    """A process writes as fast as it can while the file is rewritten ten times; each acknowledged event is there."""
    store = await filled(place)
    start = (await store.stamp()).stamp
    with subprocess.Popen(  # noqa: ASYNC220  # the child is what is tested
        [sys.executable, "-c", BUSY_CHILD, f"lmdb://{place}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "began\n"
        for _ in range(10):
            await store.compact()
            assert (await store.apply([Change(("policy/b",))], now=1.0)).trusted
            own = (await store.stamp()).stamp.sequence
            while (await store.stamp()).stamp.sequence == own:  # noqa: ASYNC110  # another process writes on
                await asyncio.sleep(0)
        child.stdin.close()
        written = int(child.stdout.readline())
    raised, after = [], start
    while page := await store.log(after, 500):
        raised, after = [*raised, *(entry.tags for entry in page)], page[-1].stamp
    assert raised.count(("policy/a",)) == written >= 10
    assert raised.count(("policy/b",)) == 10
    await store.close()


async def test_a_folder_without_room_keeps_the_store(place, monkeypatch):
    """A rewriting that fails leaves the store as it was, says why, and leaves nothing beside it."""
    store = await filled(place)
    monkeypatch.setattr("parbake.stores._lmdb_place.StorePlace.swap", no_room)
    with pytest.raises(StoreError, match="room for a second file"):
        await store.compact()
    assert [path.name for path in sorted(place.parent.iterdir())] == ["store", "store.incarnation"]
    assert (await store.apply([Change(("policy/a",))], now=1.0)).raised
    assert (await store.read("t@1", b"00001", generation=1)).records
    await store.close()


def no_room(*_):
    """Fail as a full disk does."""
    raise OSError(28, "No space left on device")
