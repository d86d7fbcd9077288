"""A damaged LMDB store is set aside and replaced; a store that another has replaced is refused."""

import asyncio
import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parbake.errors import DamagedStore, ForeignStore, OutdatedStore, StoreError
from parbake.ports.event_log import Change
from parbake.protocol.record import Stamp
from parbake.testing.store_suite import make_record

PAGE = 4096
ROWS = 400


async def fill(store):
    """Write many rows of 1,000 bytes, and return the stamp that they carry."""
    stamp, _ = await store.stamp()
    await store.write_base("t@1", 1, [(b"%03d" % n, make_record(stamp, b"x" * 1000)) for n in range(ROWS)])
    return stamp


def overwrite(place, pages):
    """Overwrite some pages of the file with zeros."""
    with (place / "data.mdb").open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(bytes(PAGE))


async def damage(store, place):
    """Overwrite the pages of rows, one by one, until a read meets one; the control record stays readable."""
    await fill(store)
    pages = (place / "data.mdb").stat().st_size // PAGE
    for page in range(pages // 2, pages):
        overwrite(place, [page])
        if await damaged_rows(store):
            return
    raise AssertionError("no read has met a damaged page")


async def damaged_rows(store):
    """Count the rows whose read meets a damaged page."""
    found = 0
    for n in range(ROWS):
        try:
            await store.read("t@1", b"%03d" % n, generation=1)
        except DamagedStore:
            found += 1
    return found


async def test_a_damaged_store_is_set_aside_by_the_worker(place, opened):
    """A read of a damaged page is a typed error; then a worker puts an empty store in place and keeps the old one."""
    store = opened()
    before = await store.stamp()
    assert await store.heal() == ""
    await damage(store, place)
    assert "damaged" in await store.heal()
    stamp, control = await store.stamp()
    assert stamp.incarnation > before.stamp.incarnation
    assert control.is_trusted
    assert (await store.read("t@1", b"000", generation=1)).records == ()
    assert len(list(place.parent.glob("store.damaged-*/data.mdb"))) == 1
    assert await store.heal() == ""
    assert (await store.apply([Change(("policy/a",))], now=1.0)).stamp == Stamp(stamp.incarnation, 1)


FOLLOW = """
import asyncio, sys
from parbake.errors import StoreError
from parbake.stores import open_store

async def main():
    store = open_store(f"lmdb://{sys.argv[1]}?map_size=16MiB")
    print((await store.stamp()).stamp.incarnation, flush=True)
    for line in sys.stdin:  # each line asks for one read, which looks at the note only
        try:
            found = await store.read("t@1", b"000", generation=1)
            print(found.control.incarnation, len(found.records), flush=True)
        except StoreError as error:
            print(type(error).__name__, 0, flush=True)

asyncio.run(main())
"""


class Follower:
    """Another process that has the store open."""

    def __init__(self, place):
        """Start it."""
        command = [sys.executable, "-c", FOLLOW, str(place)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first = self.process.stdout.readline()

    def read(self):
        """Let it read a row; return its incarnation or the error, and the number of records."""
        self.process.stdin.write("read\n")
        self.process.stdin.flush()
        found, records = self.process.stdout.readline().split()
        return found, int(records)


@pytest.fixture
def follower(place):
    """Return a function that starts another process."""
    started = []

    def start():
        started.append(Follower(place))
        return started[-1]

    yield start
    for one in started:
        one.process.communicate()


async def test_other_processes_read_nothing_more_from_a_store_that_was_set_aside(place, opened, follower):
    """The first read after the replacement, of a process that was not told, is made in the new store."""
    store = opened()
    await fill(store)
    other = follower()
    assert other.read() == (str((await store.stamp()).stamp.incarnation), 1)
    await damage(store, place)
    await store.heal()
    assert other.read() == (str((await store.stamp()).stamp.incarnation), 0)


async def test_damage_that_another_process_has_found_is_healed(place, opened, follower):
    """A worker that has met no damaged page replaces the store because a server has."""
    store = opened()
    await fill(store)
    other = follower()
    place_of_rows = range(4, (place / "data.mdb").stat().st_size // PAGE)
    for page in place_of_rows:
        overwrite(place, [page])
        if other.read()[0] == "DamagedStore":
            break
    assert await store.heal()
    assert other.read() == (str((await store.stamp()).stamp.incarnation), 0)


async def test_a_truncated_store_is_replaced_at_the_next_start(place, opened):
    """A process starts on a truncated store all the same, and a worker replaces it."""
    store = opened()
    await fill(store)
    await store.close()
    with (place / "data.mdb").open("r+b") as file:
        file.truncate(PAGE * 6)
    store = opened()
    with pytest.raises(DamagedStore):
        await store.stamp()
    assert await store.heal()
    assert (await store.stamp()).control.is_trusted


async def test_two_workers_replace_a_store_once(place, opened):
    """Whoever comes second finds the new store in place and leaves it alone."""
    store = opened()
    await damage(store, place)
    await asyncio.gather(store.heal(), store.heal())
    assert len(list(place.parent.glob("store.damaged-*"))) == 1


async def test_a_folder_that_is_moved_away_and_back_is_used_again(place, opened, follower):
    """Without a restart, the same incarnation goes on, with everything that it had acknowledged."""
    store = opened()
    await fill(store)
    other = follower()
    ack = await store.apply([Change(("policy/a",))], now=1.0)
    place.rename(place.with_name("away"))
    with pytest.raises(StoreError, match="moved or deleted"):
        await store.apply([Change(("policy/b",))], now=1.0)
    place.with_name("away").rename(place)
    again = await store.apply([Change(("policy/b",))], now=1.0)
    assert again.stamp == Stamp(ack.stamp.incarnation, 2)
    assert other.read() == (str(ack.stamp.incarnation), 1)


async def test_an_earlier_store_that_comes_back_is_refused(place, opened, follower):
    """A store that was set aside is refused when it is moved back; the newer one still holds what it acknowledged."""
    store = opened()
    other = follower()
    await damage(store, place)
    await store.heal()
    ack = await store.apply([Change(("policy/a",))], now=1.0)
    place.rename(place.with_name("newer"))
    (aside,) = place.parent.glob("store.damaged-*")
    aside.rename(place)
    for _ in range(2):
        with pytest.raises(OutdatedStore, match="may have acknowledged changes"):
            await store.apply([Change(("policy/b",))], now=1.0)
    with pytest.raises(OutdatedStore):
        await store.read("t@1", b"000")
    assert other.read() == ("OutdatedStore", 0)
    place.rename(aside)
    place.with_name("newer").rename(place)
    again = await store.apply([Change(("policy/b",))], now=1.0)
    assert again.stamp == Stamp(ack.stamp.incarnation, 2)
    assert other.read() == (str(ack.stamp.incarnation), 0)


async def test_a_copy_of_an_earlier_store_is_recovered(place, opened):
    """A copy is another file: it is not refused, and not trusted before its outboxes were replayed."""
    store = opened()
    shutil.copytree(place, place.with_name("backup"))
    await damage(store, place)
    await store.heal()
    newer = (await store.stamp()).stamp.incarnation
    await store.close()
    shutil.rmtree(place)
    shutil.copytree(place.with_name("backup"), place)
    store = opened()
    stamp, control = await store.stamp()
    assert not control.is_trusted
    assert stamp.incarnation > newer


async def test_a_file_where_no_store_was_before_is_left_alone(place, opened):
    """Without a note of an earlier store nobody knows whose file it is: it is refused, and not set aside."""
    place.mkdir()
    (place / "data.mdb").write_bytes(b"theirs" * PAGE)
    with pytest.raises(ForeignStore):
        opened()
    assert (place / "data.mdb").read_bytes() == b"theirs" * PAGE


async def test_a_replacement_that_was_interrupted_is_finished(place, opened):
    """If a worker dies after the renaming, the next one puts the empty store in place."""
    store = opened()
    await damage(store, place)
    note = store._place
    with note.locked():
        assert note.set_aside() is not None
    assert await store.heal()
    assert (await store.stamp()).control.is_trusted


async def test_a_store_that_cannot_be_set_aside_is_used_as_far_as_it_can(place, opened, monkeypatch):
    """If the folder cannot be renamed, such as a mount point, that is an error; what is readable is read on."""
    store = opened()
    await damage(store, place)
    before = await store.stamp()

    def busy(*_):
        raise OSError(errno.EBUSY, "Device or resource busy")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", busy)
        with pytest.raises(StoreError, match="cannot be set aside"):
            await store.heal()
    assert await store.stamp() == before
    assert await store.heal()


MAGIC_AT, PAGE_SIZE_AT, LAST_PAGE_AT = 16, 40, 136
"""Where a meta page has the magic number, the size of a page, and the last page."""


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize(
    ("at", "written"),
    [
        (0, b"\xa5" * 2 * PAGE),
        (0, b"\xa5" * PAGE),
        (PAGE, b"\xa5" * PAGE),
        (0, bytes(2 * PAGE)),
        (PAGE_SIZE_AT, b"\xa5" * (PAGE - PAGE_SIZE_AT)),
        (LAST_PAGE_AT, b"\xa5" * 8 + b"\xff" * 8),
        (MAGIC_AT, b"\xa5" * 8),
        (MAGIC_AT + 4, b"\xa5" * 4),
    ],
    ids=["both", "first", "second", "zeros", "sizes", "last page", "magic number", "version"],
)
async def test_garbage_in_the_first_pages_is_damage(place, opened, at, written, is_open):
    """Whatever stands where a file names its last commits, a worker replaces the store, or it is read on."""
    store = opened()
    await fill(store)
    if not is_open:
        await store.close()
    with (place / "data.mdb").open("r+b") as file:
        file.seek(at)
        file.write(written)
    if not is_open:
        store = opened()
    try:
        await store.read("t@1", b"000")
        await store.apply([Change(("policy/a",))], now=1.0)
    except DamagedStore:
        assert await store.heal()
    assert await store.heal() == ""
    await store.apply([Change(("policy/a",))], now=1.0)
    assert (await store.stamp()).control.is_trusted


async def test_a_file_that_grew_beyond_the_map_is_not_damaged(place, opened):
    """A process whose map is smaller than what another one has written says so, and sets nothing aside."""
    store = opened()
    await fill(store)
    larger = await asyncio.create_subprocess_exec(sys.executable, "-c", GROW, str(place))
    assert await asyncio.wait_for(larger.wait(), 60) == 0
    with pytest.raises(StoreError) as told:
        await store.stamp()
    assert not isinstance(told.value, DamagedStore)
    assert await store.heal() == ""


GROW = """
import asyncio, sys
from parbake.stores import open_store
from parbake.testing.store_suite import make_record

async def main():
    store = open_store(f"lmdb://{sys.argv[1]}?map_size=256MiB")
    stamp, _ = await store.stamp()
    rows = [(b"%05d" % n, make_record(stamp, b"x" * 100_000)) for n in range(400)]
    await store.write_base("t@1", 2, rows)
    await store.close()

asyncio.run(main())
"""


async def test_what_was_set_aside_is_discarded_and_nothing_else(place, opened):
    """Folders of this store's that were set aside or left by a rewriting go, and those of others stay."""
    store = opened()
    await damage(store, place)
    await store.heal()
    (damaged,) = place.parent.glob("store.damaged-*")
    left = [place.with_name("store.rewritten-1"), place.with_name("store.replaced-2")]
    others = [place.with_name("store.damaged-by-hand"), place.with_name("store2.damaged-1"), place.with_name("xstore")]
    for folder in (*left, *others):
        folder.mkdir()
    assert await store.discard() == sorted(map(str, (damaged, *left)))
    assert await store.discard() == []
    assert all(folder.exists() for folder in others)
    assert (await store.stamp()).control.is_trusted
