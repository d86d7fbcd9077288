"""An LMDB file that is overwritten, or replaced by a copy, while processes have it open."""

import asyncio

import pytest
from tests.store_files import copy_of, copy_over, overwrite, side_numbers
from tests.store_process import incarnation

from parbake.errors import DamagedStore, StoreError
from parbake.ports.event_log import Change
from parbake.stores import _lmdb_file, _lmdb_openings
from parbake.stores._lmdb_openings import DAMAGED, END, IS_CLOSED
from parbake.testing.store_suite import make_record


async def test_a_file_of_unknown_layout_is_read_without_the_check(place, opened, monkeypatch):
    """If the meta pages are not where they are expected, reads and commits go on, without the comparison."""
    monkeypatch.setattr(_lmdb_file, "_COMMIT_AT", 3)
    store = opened()
    await store.apply([Change(("policy/a",))], now=1.0)
    assert await store.write("t@1", b"k", make_record((await store.stamp()).stamp), now=1.0)
    assert store.glimpse("t@1", b"k") is not None
    assert store._file.counter > _lmdb_openings.MARGIN
    await store.close()
    assert side_numbers(place)[END] == IS_CLOSED
    assert await incarnation(opened()) > 0


async def test_reads_go_on_while_another_process_commits(opened, child):
    """Commits of another process during a read are not taken for a file that was overwritten."""
    store, other = opened(), child()
    assert await store.write("t@1", b"k", make_record((await store.stamp()).stamp), now=1.0)
    is_over = asyncio.Event()

    async def commit():
        for _ in range(300):
            await asyncio.to_thread(other.tell, "touch")
        is_over.set()

    committing = asyncio.create_task(commit())
    while not is_over.is_set():
        assert (await store.read("t@1", b"k")).records
        assert store.glimpse("t@1", b"k") is not None
        await store.get("name")
        await asyncio.sleep(0)
    await committing
    assert (await store.stamp()).stamp.sequence == 300


async def test_an_overwritten_file_is_refused_by_all_and_set_aside(place, opened, child):
    """Processes that have it open refuse it, one that opens it does, too, and a worker puts an empty store in place."""
    store, other = opened(), child()
    copy = copy_of(place)
    assert other.tell("touch") == "1"
    overwrite(place, copy)
    late = child()
    assert late.tell("read") == other.tell("read") == "DamagedStore"
    for use in (store.stamp(), store.apply([Change(("policy/b",))], now=1.0)):
        with pytest.raises(DamagedStore):
            await use
    assert store._place.side[DAMAGED] == (place / "data.mdb").stat().st_ino
    assert "damaged" in await store.heal()
    after = await incarnation(store)
    assert after > 0
    assert int(late.tell("read")) == int(other.tell("read")) == after
    assert other.tell("touch") == "1"
    await store.apply([Change(("policy/b",))], now=1.0)


async def test_a_process_under_which_a_file_is_emptied_and_written_serves_nothing_old(place, opened, child):
    """While ``cp`` writes, a process ends with SIGBUS or refuses; the next opening finds an older copy, or damage."""
    other = child()
    before = int(other.tell("read"))
    copy = copy_of(place)
    other.tell("touch")
    copy_over(place, copy)
    assert other.tell("read") in {"", "DamagedStore"}
    other.kill()
    store = opened()
    try:
        assert await incarnation(store) < -before
    except DamagedStore:
        assert await store.heal()
        assert await incarnation(store) > before


async def test_an_overwritten_file_is_still_refused_after_a_restart(place, opened, child):
    """What a process has found overwritten waits for a worker, whatever is in it, since it may be a mixture."""
    other = child()
    copy = copy_of(place)
    other.tell("touch")
    overwrite(place, copy)
    assert other.tell("read") == "DamagedStore"
    other.kill()
    store = opened()
    with pytest.raises(DamagedStore):
        await store.stamp()
    assert await store.heal()
    assert await incarnation(store) > 0


async def test_a_file_that_is_overwritten_during_a_commit_is_not_acknowledged(place, opened):
    """The commit lands in a file that was not there when it began: it fails, and nobody opens what came of it."""
    store = opened()
    await store.write("t@1", b"k", make_record((await store.stamp()).stamp), now=1.0)
    copy = copy_of(place)
    await store.apply([Change(("policy/a",))], now=1.0)

    def write(txn):
        txn.put(b"x", b"y")
        overwrite(place, copy)

    with pytest.raises(StoreError):
        await store._step(write)
    with pytest.raises(DamagedStore):
        await store.read("t@1", b"k")
    await store.close()
    store = opened()
    with pytest.raises(DamagedStore):
        await store.stamp()


async def test_a_copy_under_running_processes_is_followed_at_once(place, opened, child):
    """A process that opens the copy begins a new incarnation, and the next read of every other one is in it."""
    store, other = opened(), child()
    copy = copy_of(place)
    await store.apply([Change(("policy/a",))], now=1.0)
    before = await incarnation(store)
    for path in place.iterdir():
        path.unlink()
    copy_over(place, copy)
    late = child()
    assert late.tell("trust") == "False"
    lookup = await store.read("t@1", b"k")
    assert lookup.control.incarnation > before
    assert not lookup.control.is_trusted
    assert int(other.tell("read")) == lookup.control.incarnation
