"""The port of a store's generations: their allocation, promotion and withdrawal, and quarantines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from parbake.protocol.control import Control, JournalMark, Promotion, Quarantine
from parbake.protocol.record import Stamp


class NewGeneration(NamedTuple):
    """A generation that was allocated, with the stamp and the control record that its run starts from."""

    generation: int
    stamp: Stamp
    control: Control


class Generations(Protocol):
    """Allocates, promotes and withdraws generations; every change of the control record is a compare-and-swap."""

    async def begin(self) -> NewGeneration:
        """Allocate a generation, and read in the same step what its run starts from."""
        ...

    async def rows(self, generation: int) -> int:
        """Count the rows of a generation that lie in the store, whether it is promoted or not."""
        ...

    async def promote(self, promotion: Promotion) -> Control:
        """Move pointers by compare-and-swap; raises :class:`parbake.errors.PromotionConflict`."""
        ...

    async def rollback(self, task: str, now: float, built_with: Sequence[str] = ()) -> int:
        """Withdraw the current generation of a task, and make the previous one current.

        Args:
            task: The ref of the task.
            now: Epoch seconds.
            built_with: The refs of the tasks that were promoted together with it; they are rolled back, too.

        Returns:
            The number of the generation that is current now.
        """
        ...

    async def withdraw(self, generations: Collection[int]) -> None:
        """Repeat withdrawals that the store has lost."""
        ...

    async def quarantine(self, task: str, entry: Quarantine | None) -> Control:
        """Put a task in quarantine, or with ``None`` take it out; returns the new control record.

        Raises :class:`parbake.errors.UnknownResource` if the task to take out is not in quarantine.
        """
        ...

    async def mark_journal(self, expected: JournalMark | None, new: JournalMark | None) -> Control:
        """Replace the mark of the store's journal, if it is the expected one; returns the control record.

        Only a store in which no tag was ever raised, and which keeps nothing from before a loss, gets its first mark.

        Args:
            expected: The mark that the store should have; ``None`` if none.
            new: The new mark; ``None`` removes it for good.
        """
        ...

    async def bless(self, seen: int, *, raise_floor: bool) -> Control:
        """Trust the incarnation ``seen``; raises :class:`parbake.errors.BlessingConflict` if there is a newer one.

        ``raise_floor`` discards all earlier records, which is needed if no outbox can replay what was lost.
        """
        ...

    async def distrust_store(self, seen: int) -> Control:
        """Start a new incarnation, because the store lacks what it has acknowledged; returns the control record.

        Call it with what only the caller knows of the store, such as a note outside it that is ahead of the store.
        Nothing is served then before the outboxes were replayed, as after a failover. If the store is in another
        incarnation than ``seen`` by now, nothing changes, and the caller compares again: somebody else may have called
        this, or the counter was at its limit.

        Args:
            seen: The incarnation that was current when the caller compared.
        """
        ...

    async def raise_floor(self, to: Stamp) -> int:
        """Declare all records below a stamp dead, then delete them and the watermarks that are not needed any more.

        Returns the number of items deleted.
        """
        ...

    async def sweep(self, abandoned: Collection[int], retired: Collection[str] = ()) -> int:
        """Delete generations that are neither current, retained nor still being built; returns the number of rows.

        ``abandoned`` are generations whose run ended without a promotion; of ``retired`` tasks all generations are
        deleted.
        """
        ...


class Journal(Protocol):
    """Keeps withdrawn generations outside the store, so that they survive a loss of the store."""

    def append(self, generations: list[int]) -> None:
        """Add withdrawn generations; durable when this returns; blocking."""
        ...

    def read(self) -> list[int]:
        """Every generation ever added; blocking."""
        ...


@runtime_checkable
class QuarantineJournal(Protocol):
    """An optional part of a journal: quarantines, which an emptied store would lose."""

    def note_quarantine(self, task: str, entry: Quarantine | None) -> None:
        """Record that a task was put in quarantine, or cleared (``None``); durable when this returns; blocking."""
        ...

    def quarantines(self) -> dict[str, Quarantine]:
        """The recorded quarantines that were not cleared, by task; blocking."""
        ...


class StoreNote(NamedTuple):
    """What a journal notes of a store that has its mark; see :class:`parbake.protocol.control.JournalMark`.

    Attributes:
        store: The number of the store.
        word: A random number, which the store's mark has next.
        is_ended: Whether a change is about to be acknowledged that no outbox holds.
    """

    store: int
    word: int
    is_ended: bool = False


@runtime_checkable
class StoreJournal(Protocol):
    """An optional part of a journal: whether every change of a store can be read again from the outboxes."""

    def note_store(self, note: StoreNote) -> None:
        """Record a note; durable when this returns; blocking."""
        ...

    def store_notes(self) -> Sequence[StoreNote]:
        """Every note ever recorded, in their order; blocking."""
        ...


class StoreOpening(NamedTuple):
    """An opening of a store in a file: the number that the store shares with all its copies, and the opening's word."""

    store: int
    word: int


@runtime_checkable
class OpeningJournal(Protocol):
    """An optional part of a journal: the openings of a store in a file; see :class:`RemembersOpenings`."""

    def note_opening(self, opening: StoreOpening) -> None:
        """Record an opening; durable when this returns; blocking."""
        ...

    def openings(self) -> dict[int, int]:
        """The word of the opening that was recorded last, by the number of its store; blocking."""
        ...


@runtime_checkable
class RemembersOpenings(Protocol):
    """An optional part of a store in a file: it gives each of its openings a word, and remembers the last ones."""

    def confirm_opening(self, words: Mapping[int, int]) -> StoreOpening:
        """Start a new incarnation, unless the store has lived through the opening that somebody else remembers of it.

        Args:
            words: The words of openings, by the numbers of their stores.

        Returns:
            The current opening.

        Raises:
            StoreError: The store cannot be opened or written.
        """
        ...
