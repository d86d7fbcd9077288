"""What every store must do with what lanes keep in it by name: values, lists and logs."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from pathlib import Path

from parbake.ports.store import Store
from parbake.protocol.record import Stamp


class NamedValuesSuite(ABC):
    """The part of :class:`parbake.testing.StoreSuite` for named values, lists and logs."""

    @abstractmethod
    def open_store(self, tmp_path: Path) -> Store:
        """Open an empty store."""

    async def test_a_named_value_is_swapped_only_from_what_it_was(self, tmp_path: Path) -> None:
        """Cursors and alert states are compared and swapped."""
        store = self.open_store(tmp_path)
        assert await store.get("cursor") is None
        assert await store.swap("cursor", None, b"1")
        assert not await store.swap("cursor", None, b"2")
        assert await store.swap("cursor", b"1", b"")
        assert await store.get("cursor") == b""
        assert not await store.swap("cursor", b"1", None)
        assert await store.swap("cursor", b"", None)
        assert await store.get("cursor") is None
        assert await store.swap("cursor", None, None)
        await store.close()

    async def test_a_list_grows_by_entries_and_is_cleared_as_a_whole(self, tmp_path: Path) -> None:
        """Entries are read by key, whatever their number; another list is left alone."""
        store = self.open_store(tmp_path)
        await store.stamp()  # the first use of a store is a look at its control record
        for n in range(20):
            await store.append("runs/a", b"\0%d\xff" % n, b"%d" % n)
        await store.append("runs/a", b"\x003\xff", b"again")
        await store.append("runs/ab", b"k", b"other")
        expected = {b"\0%d\xff" % n: b"%d" % n for n in range(20)} | {b"\x003\xff": b"again"}
        assert await store.entries("runs/a") == expected
        await store.clear("runs/a")
        assert await store.entries("runs/a") == {}
        assert await store.entries("runs/ab") == {b"k": b"other"}
        await store.close()

    async def test_a_log_is_followed_from_any_place(self, tmp_path: Path) -> None:
        """Entries have one number each, whoever adds them, and are read on from a place; another log counts alone."""
        store = self.open_store(tmp_path)
        incarnation = (await store.stamp()).stamp.incarnation
        places = await asyncio.gather(*(store.note("news/a", b"%d" % n) for n in range(5)))
        assert await store.note("news/ab", b"other") == Stamp(incarnation, 1)
        assert sorted(places) == [Stamp(incarnation, n) for n in range(1, 6)]
        expected = sorted((place, b"%d" % n) for n, place in enumerate(places))
        assert await store.noted("news/a", Stamp(0, 0), 10) == expected
        assert await store.noted("news/a", Stamp(incarnation, 2), 2) == expected[2:4]
        assert await store.noted("news/a", Stamp(incarnation, 5), 2) == []
        await store.close()
