"""What every store must do with the mark of its journal; see :class:`parbake.protocol.control.JournalMark`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from parbake.ports.event_log import Advance, Change, Move
from parbake.ports.store import Store
from parbake.protocol.control import STORE_FORMAT, JournalMark

FIRST = JournalMark(1, 7, ("shop",))
OTHER = JournalMark(2, 8, ("shop",))


class JournalMarkSuite(ABC):
    """The part of :class:`parbake.testing.StoreSuite` for the mark of a store's journal."""

    @abstractmethod
    def open_store(self, tmp_path: Path) -> Store:
        """Open an empty store."""

    async def test_a_new_store_gets_one_mark(self, tmp_path: Path) -> None:
        """The first one stays, until somebody replaces it who knows it; without a mark a store is as it was before."""
        store = self.open_store(tmp_path)
        assert (await store.stamp()).control.journal is None
        marked = await store.mark_journal(None, FIRST)
        assert marked == (await store.stamp()).control
        assert (marked.journal, marked.format > STORE_FORMAT) == (FIRST, True)
        assert (await store.mark_journal(None, OTHER)).journal == FIRST
        assert (await store.mark_journal(OTHER, None)).journal == FIRST
        assert (await store.mark_journal(FIRST, OTHER)).journal == OTHER
        removed = await store.mark_journal(OTHER, None)
        assert (removed.journal, removed.format) == (None, STORE_FORMAT)
        await store.close()

    async def test_a_mark_raises_nothing_and_outlives_changes(self, tmp_path: Path) -> None:
        """The counter stays where it is. Changes, positions and cursors of sources leave the mark and its format."""
        store = self.open_store(tmp_path)
        await store.mark_journal(None, FIRST)
        assert (await store.stamp()).stamp.sequence == 0
        await store.apply([Change(("policy/a",), "shop", "1")], now=1.0, advance=Advance("shop", 0, 1))
        await store.apply([Change(("policy/a",))], now=1.0, advance=Move("log", b"", b"one"))
        control = (await store.stamp()).control
        assert (control.journal, control.format > STORE_FORMAT) == (FIRST, True)
        assert (await store.mark_journal(FIRST, OTHER)).journal == OTHER
        await store.close()

    async def test_a_store_that_was_used_gets_no_mark(self, tmp_path: Path) -> None:
        """A change may have been acknowledged before that nobody has noted: after an event, or in an earlier life."""
        store = self.open_store(tmp_path)
        at = (await store.apply([Change(("policy/a",))], now=1.0)).stamp
        assert (await store.mark_journal(None, FIRST)).journal is None
        await store.distrust_store(at.incarnation)
        assert (await store.mark_journal(None, FIRST)).journal is None
        await store.close()

    async def test_a_store_that_may_have_lost_something_gets_no_mark(self, tmp_path: Path) -> None:
        """Its counter may be back at its beginning. Once it has discarded everything, it is as good as new."""
        store = self.open_store(tmp_path)
        control = await store.distrust_store((await store.stamp()).stamp.incarnation)
        assert (await store.mark_journal(None, FIRST)).journal is None
        await store.bless(control.incarnation, raise_floor=False)
        assert (await store.mark_journal(None, FIRST)).journal is None
        control = await store.distrust_store(control.incarnation)
        await store.bless(control.incarnation, raise_floor=True)
        assert (await store.mark_journal(None, FIRST)).journal == FIRST
        await store.close()

    async def test_a_mark_stays_when_a_store_is_trusted_again(self, tmp_path: Path) -> None:
        """It tells what was acknowledged in all of the store's incarnations."""
        store = self.open_store(tmp_path)
        first = (await store.mark_journal(None, FIRST)).incarnation
        control = await store.distrust_store(first)
        assert control.journal == FIRST
        assert (await store.bless(control.incarnation, raise_floor=False)).journal == FIRST
        assert (await store.mark_journal(FIRST, None)).journal is None
        assert (await store.mark_journal(None, FIRST)).journal is None
        await store.close()
