"""Every embedded store passes the public suite; LMDB also with several processes, full maps and foreign files."""

import shutil
import subprocess
import sys

import pytest

from parbake.errors import ForeignStore, StoreError, StoreFull
from parbake.ports.event_log import Advance, Change
from parbake.protocol.record import Stamp
from parbake.stores import open_store
from parbake.stores.memory import MemoryStore
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.testing.item_suite import DictItems
from parbake.testing.store_suite import StoreSuite, make_record


class TestMemory(StoreSuite):
    """``memory://``."""

    def open_store(self, tmp_path):
        """Open the store."""
        return MemoryStore()


class TestSnapshotItems(StoreSuite):
    """The optimistic store where a fetch is one snapshot."""

    def open_store(self, tmp_path):
        """Open the store."""
        return OptimisticStore(DictItems(is_snapshot=True))


class TestSingleItems(StoreSuite):
    """The optimistic store where every item is read on its own."""

    def open_store(self, tmp_path):
        """Open the store."""
        return OptimisticStore(DictItems(is_snapshot=False))


@pytest.mark.parametrize("is_snapshot", [True, False])
async def test_a_scan_asks_for_a_page_of_keys_at_once(is_snapshot, monkeypatch):
    """A scan of a hundred keys needs at most eight fetches."""
    items, fetches = DictItems(is_snapshot=is_snapshot), []
    store = OptimisticStore(items)
    stamp, _ = await store.stamp()
    for n in range(100):
        await store.write("t@1", b"%d" % n, make_record(stamp), now=1.0)
    fetch = items.fetch
    monkeypatch.setattr(items, "fetch", lambda names: fetches.append(names) or fetch(names))
    assert len([key async for key, _ in store.scan("t@1")]) == 100
    assert len(fetches) <= 8


async def test_a_sweep_keeps_a_generation_that_begins_as_it_lists_them(monkeypatch):
    """What a sweep may delete was decided before it lists the generations, so a newer one is not among them."""
    store = MemoryStore()
    listed, begun = store._range, []

    async def after_a_begin(*asked):
        if not begun:
            generation, stamp, _ = await store.begin()
            begun.append(generation)
            await store.write_base("t@1", generation, [(b"k", make_record(stamp, generation=generation))])
        return await listed(*asked)

    monkeypatch.setattr(store, "_range", after_a_begin)
    assert await store.sweep(()) == 0
    assert await store.rows(begun[0]) == 1


class TestLmdb(StoreSuite):
    """``lmdb://``."""

    def open_store(self, tmp_path):
        """Open the store."""
        return open_store(f"lmdb://{tmp_path}/store?map_size=16MiB")

    async def test_what_was_written_is_there_after_a_reopen(self, tmp_path):
        """Records, watermarks, positions and the control record are durable, and the incarnation stays."""
        store = self.open_store(tmp_path)
        stamp, control = await store.stamp()
        await store.write("t@1", b"k", make_record(stamp), now=1.0)
        ack = await store.apply([Change(("policy/a",), "s", "1")], now=1.0, advance=Advance("s", 0, 1))
        await store.close()
        store = self.open_store(tmp_path)
        assert (await store.stamp()) == (ack.stamp, control)
        lookup = await store.read("t@1", b"k")
        assert (len(lookup.records), lookup.marks["policy/a"]) == (1, ack.stamp.pack())
        assert (await store.applied("s")).position == 1
        await store.close()

    async def test_another_processs_event_is_seen_at_once(self, tmp_path):
        """The next read sees a tag that another process raised."""
        store = self.open_store(tmp_path)
        stamp, _ = await store.stamp()
        await store.write("t@1", b"k", make_record(stamp), now=1.0)
        assert dict((await store.read("t@1", b"k")).marks) == {}
        done = raise_elsewhere(tmp_path)
        mark = (await store.read("t@1", b"k")).marks["policy/a"]
        assert mark == Stamp(stamp.incarnation, done).pack()
        await store.close()

    async def test_one_path_is_one_environment(self, tmp_path):
        """A path opened twice in a process is one object, which closes with its last user."""
        one, two = self.open_store(tmp_path), self.open_store(tmp_path)
        assert one is two
        await one.close()
        assert (await two.stamp())[0].sequence == 0
        await two.close()

    @pytest.mark.parametrize("url", ["lmdb://", "lmdb:///", "lmdb:///x?mapsize=1GiB"])
    def test_a_url_that_cannot_be_meant_is_refused(self, url, tmp_path, monkeypatch):
        """A URL without a path or with a misspelt option is refused, and nothing is created."""
        monkeypatch.chdir(tmp_path)
        with pytest.raises(StoreError) as caught:
            open_store(url)
        assert caught.value.field == "store"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("what", ["moved", "deleted"])
    async def test_a_file_that_is_no_longer_in_place_is_not_read_on(self, tmp_path, what):
        """If its file was moved or deleted, a store refuses reads and writes."""
        store = self.open_store(tmp_path)
        stamp, _ = await store.stamp()
        await store.write("t@1", b"k", make_record(stamp), now=1.0)
        if what == "moved":
            (tmp_path / "store").rename(tmp_path / "old")
        else:
            shutil.rmtree(tmp_path / "store")
        with pytest.raises(StoreError, match="moved or deleted"):
            await store.apply([Change(("policy/a",))], now=1.0)
        with pytest.raises(StoreError, match="moved or deleted"):
            store.glimpse("t@1", b"k")
        with pytest.raises(StoreError, match="moved or deleted"):
            await store.read("t@1", b"k")
        await store.close()

    async def test_a_copy_that_takes_the_files_place_is_recovered_before_it_is_trusted(self, tmp_path):
        """A copy may lack what was acknowledged: it begins a new incarnation, which nobody trusts yet."""
        store = self.open_store(tmp_path)
        before, _ = await store.stamp()
        folder = tmp_path / "store"
        shutil.copy(folder / "data.mdb", folder / "copy")
        (folder / "copy").replace(folder / "data.mdb")
        await store.applied("s")
        stamp, control = await store.stamp()
        assert stamp.incarnation > before.incarnation
        assert not control.is_trusted
        await store.close()

    async def test_every_commit_is_synced(self, tmp_path):
        """Commits are synced to disk."""
        store = self.open_store(tmp_path)
        flags = store._opened().flags()
        assert flags["sync"]
        assert flags["metasync"]
        await store.close()

    async def test_a_full_map_can_be_swept(self, tmp_path):
        """Rows are deleted from a map that takes no further write, and what they took is free again."""
        store = open_store(f"lmdb://{tmp_path}/store?map_size=4MiB")
        stamp, _ = await store.stamp()
        generation = (await store.begin()).generation

        async def build(pages):
            for page in pages:
                rows = [(b"%d" % (page * 20 + n), make_record(stamp, b"x" * 3000)) for n in range(20)]
                await store.write_base("t@1", generation, rows)

        async def write(numbers):
            for n in numbers:
                await store.write("t@1", b"%d" % n, make_record(stamp, b"x" * 100), now=1.0)

        with pytest.raises(StoreFull):
            await build(range(1000))
        with pytest.raises(StoreFull):
            await write(range(5000))
        assert await store.sweep([generation]) > 500
        await write(range(5000, 6000))
        await store.close()

    async def test_a_full_map_names_its_setting_and_loses_nothing(self, tmp_path):
        """A write to a full map fails as a whole, old data stays, and a larger map accepts writes."""
        url = f"lmdb://{tmp_path}/store?map_size="
        store = open_store(url + "256KiB")
        stamp, _ = await store.stamp()
        await store.write("t@1", b"first", make_record(stamp), now=1.0)
        rows = [(b"%d" % n, make_record(stamp, b"x" * 10_000)) for n in range(1000)]
        with pytest.raises(StoreFull, match="map_size") as caught:
            await store.write_base("t@1", 1, rows)
        assert (await store.read("t@1", b"0", generation=1)).records == ()
        assert (caught.value.field, caught.value.status) == ("store.map_size", 503)
        assert (await store.read("t@1", b"first")).records
        with pytest.raises(StoreFull):
            await store.apply([Change((f"policy/{n}",)) for n in range(5000)], now=1.0)
        assert (await store.stamp())[0] == stamp
        await store.close()
        store = open_store(url + "16MiB")
        assert (await store.read("t@1", b"first")).records
        assert await store.write("t@1", b"more", make_record(stamp, b"x" * 10_000), now=1.0)
        await store.close()

    @pytest.mark.parametrize("content", [b"garbage" * 4096, b"SQLite format 3\x00" + bytes(8192)])
    def test_a_corrupt_or_foreign_file_is_refused(self, tmp_path, content):
        """A corrupt or foreign file is refused with advice and not changed."""
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "data.mdb").write_bytes(content)
        with pytest.raises(ForeignStore, match="move it away"):
            self.open_store(tmp_path)
        assert (tmp_path / "store" / "data.mdb").read_bytes() == content

    def test_somebody_elses_environment_is_refused(self, tmp_path):
        """An LMDB file that parbake did not write, and a plain file, are refused and not changed."""
        import lmdb

        with lmdb.open(str(tmp_path / "store")) as env, env.begin(write=True) as txn:
            txn.put(b"theirs", b"data")
        with pytest.raises(ForeignStore, match="did not write"):
            self.open_store(tmp_path)
        with lmdb.open(str(tmp_path / "store")) as env, env.begin() as txn:
            assert txn.get(b"theirs") == b"data"
        (tmp_path / "plain").write_text("x")
        with pytest.raises(ForeignStore):
            open_store(f"lmdb://{tmp_path}/plain")


RAISE = """
import asyncio, sys
from parbake.ports.event_log import Advance, Change
from parbake.stores import open_store

async def main():
    store = open_store(f"lmdb://{sys.argv[1]}/store?map_size=16MiB")
    print((await store.apply([Change(("policy/a", "policy/*"))], now=1.0)).stamp.sequence)
    await store.close()

asyncio.run(main())
"""


def raise_elsewhere(folder):
    """Raise ``policy/a`` in another process; return the sequence."""
    done = subprocess.run([sys.executable, "-c", RAISE, str(folder)], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.parametrize(
    "url", ["nowhere", "none://x", "_engine://x", "lmdb:///tmp/x?map_size=big", "lmdb:///x?map_size=0"]
)
def test_a_store_that_cannot_be_meant_is_refused(url):
    """An unknown scheme, a private module or an invalid size is refused by field."""
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert caught.value.field.startswith("store")


@pytest.mark.parametrize("scheme", ["nowhere1", "No-where", ""])
def test_a_refused_url_keeps_its_password(scheme):
    """The error shows the URL without its credentials."""
    with pytest.raises(StoreError) as caught:
        open_store(f"{scheme}://me:se/cr@et@host")
    assert (f"{scheme}://***@host" if scheme else "'***@host'") in str(caught.value)
    assert "et@" not in str(caught.value)
