"""Stores at their limits: a counter at its end, parked events, records from the future and missing permissions."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from parbake.ports.event_log import Advance, Change, Parked
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.check import killed_by
from parbake.protocol.control import SEQUENCE_LIMIT
from parbake.protocol.record import Stamp
from parbake.stores import open_store
from parbake.stores.memory import MemoryStore
from parbake.stores.steps import event_steps as events
from parbake.stores.steps.item_names import SEQUENCE
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.testing.item_suite import DictItems
from parbake.testing.store_suite import make_record

EMBEDDED = {
    "memory": lambda folder: MemoryStore(),
    "lmdb": lambda folder: open_store(f"lmdb://{folder}/store?map_size=32MiB"),
    "snapshot": lambda folder: OptimisticStore(DictItems(is_snapshot=True)),
    "single": lambda folder: OptimisticStore(DictItems(is_snapshot=False)),
}


@pytest.fixture(params=EMBEDDED)
async def embedded(request, tmp_path):
    """Return each kind of store in turn."""
    store = EMBEDDED[request.param](tmp_path)
    yield store
    await store.close()


async def test_the_counter_passes_its_limit_in_order(embedded):
    """At the counter's limit a new incarnation begins; stamps, log and watermarks keep rising."""
    await embedded.stamp()
    await embedded._step(lambda txn: txn.put(SEQUENCE, (SEQUENCE_LIMIT - 3).to_bytes(8, "big")))
    before, control = await embedded.stamp()
    await embedded.write("t@1", b"k", make_record(before), now=1.0)
    stamps = [(await embedded.apply([Change(("noise/x",), "s", "1")], now=1.0)).stamp for _ in range(2)]
    assert [s.sequence for s in stamps] == [SEQUENCE_LIMIT - 2, SEQUENCE_LIMIT - 1]
    lookup = await embedded.read("t@1", b"k")
    assert killed_by(lookup.records[0], lookup.control, lookup.marks, now=1.0) is None
    rows = [Change(("policy/a", "policy/*"), "s", str(n)) for n in range(3)]
    ack = await embedded.apply(rows, now=1.0, advance=Advance("s", 0, 3))
    assert ack.stamp == Stamp(control.incarnation + 1, 3)
    assert ack.trusted
    assert before < stamps[0] < stamps[1] < ack.stamp == (await embedded.stamp())[0]
    log = [entry.stamp for entry in await embedded.log(before, 100)]
    assert log == sorted(log)
    assert log[-1] == ack.stamp
    assert len(log) == 5
    lookup = await embedded.read("t@1", b"k")
    killed = killed_by(lookup.records[0], lookup.control, lookup.marks, now=1.0)
    assert killed == Reason(Cause.TAG_CHANGED, "policy/a")
    assert await embedded.write("t@1", b"other", make_record(ack.stamp), now=1.0)
    lookup = await embedded.read("t@1", b"other")
    assert killed_by(lookup.records[0], lookup.control, lookup.marks, now=1.0) is None
    assert (await embedded.applied("s")).position == 3
    assert (await embedded.apply(rows, now=1.0, advance=Advance("s", 0, 3))).raised == {}


async def test_parked_events_are_bounded(embedded, monkeypatch):
    """Beyond the limit the oldest parked event is dropped; one that is parked again counts as new."""
    monkeypatch.setattr(events, "PARKED_LIMIT", 3)

    async def park(position):
        await embedded.park(Parked("s", position, "why", 1.0, b""))

    for position in (9, 8, 7):
        await park(position)
    assert await embedded.unpark("s", 9)
    await park(9)
    await park(6)
    assert [p.position for p in await embedded.parked(10)] == [6, 7, 9]
    for position in range(20, 30):
        await park(position)
    assert [p.position for p in await embedded.parked(10)] == [27, 28, 29]


async def test_a_record_from_the_future_is_replaced(embedded):
    """A record from the future is replaced by one with the same stamp and a current time."""
    stamp, _ = await embedded.stamp()
    assert await embedded.write("t@1", b"k", make_record(stamp, b"future", computed_at=5000.0), now=100.0)
    assert await embedded.write("t@1", b"k", make_record(stamp, b"now", computed_at=100.0), now=100.0)
    assert (await embedded.read("t@1", b"k")).records[0].payload == b"now"
    assert not await embedded.write("t@1", b"k", make_record(stamp, b"again", computed_at=90.0), now=100.0)


WRITE_NOTHING = """
import asyncio, os, sys
from parbake.errors import ForeignStore, StoreError
from parbake.stores import lmdb, open_store

if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    open_store(sys.argv[1])
except ForeignStore as error:
    print("FOREIGN", error)
except StoreError as error:
    print(error.field, error)
"""


@pytest.fixture
def folder():
    """Return a path for a store that other users can reach, unlike pytest's folders."""
    with tempfile.TemporaryDirectory(prefix="parbake-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name) / "store"
        Path(name).chmod(0o755)


async def store_in(folder):
    """Create a store that every user may write to."""
    await open_store(f"lmdb://{folder}?map_size=16MiB").close()
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777)


def complaint(folder):
    """Open a store as an unprivileged user; return the error's text."""
    words = [sys.executable, "-c", WRITE_NOTHING, f"lmdb://{folder}?map_size=16MiB"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", ["data.mdb", "lock.mdb"])
async def test_a_file_that_may_not_be_written_is_named(folder, name):
    """A file without write permission is reported as such, and not as damaged."""
    await store_in(folder)
    (folder / name).chmod(0o444)
    assert re.match(r"store .*/store cannot be written .* check its owner, its mode", complaint(folder))


def test_a_folder_that_may_not_be_made_is_named(folder):
    """A folder that cannot be created is reported in the same way."""
    folder.parent.chmod(0o555)
    assert "cannot be written" in complaint(folder)


async def test_where_all_may_be_written_nothing_is_wrong(folder):
    """A store that the user may write opens without an error."""
    await store_in(folder)
    assert complaint(folder) == ""
