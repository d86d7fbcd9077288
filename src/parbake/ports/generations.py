"""What a store keeps of batch runs: generations, their promotion and withdrawal, and quarantines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from parbake.fence.control import Control, Promotion, Quarantine
from parbake.fence.record import Stamp


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

    async def promote(self, promotion: Promotion) -> Control:
        """Move pointers by compare-and-swap; raises :class:`parbake.errors.PromotionConflict`."""
        ...

    async def rollback(self, task: str, now: float, built_with: Sequence[str] = ()) -> int:
        """Withdraw the current generation of a task, and return to the one before.

        Args:
            task: The ref of the task.
            now: Epoch seconds.
            built_with: The refs of the tasks that were promoted together with it; they return as well.

        Returns:
            The number of the generation that is current now.
        """
        ...

    async def withdraw(self, generations: Collection[int]) -> None:
        """Mark generations withdrawn again that a lost tail had forgotten."""
        ...

    async def quarantine(self, task: str, entry: Quarantine | None) -> Control:
        """Serve nothing stored of a task from now on, or again (``None``); returns the control record then.

        Raises :class:`parbake.errors.UnknownResource` when there is nothing to take out.
        """
        ...

    async def bless(self, seen: int, *, raise_floor: bool) -> Control:
        """Trust the incarnation ``seen``; raises :class:`parbake.errors.BlessingConflict` when it has moved on.

        With ``raise_floor`` what the store held before is dead: for losses that no outbox can tell again.
        """
        ...

    async def raise_floor(self, to: Stamp) -> int:
        """Declare everything below a stamp dead, then delete it with the watermarks it no longer needs.

        Returns the number of items deleted.
        """
        ...

    async def sweep(self, abandoned: Collection[int], retired: Collection[str] = ()) -> int:
        """Delete generations that are neither current, retained nor still being built; returns the number of rows.

        ``abandoned`` are those whose run has ended without a promotion, ``retired`` the tasks of which none is kept.
        """
        ...


class Journal(Protocol):
    """Keeps withdrawn generations outside the store, where what the store loses is not lost."""

    def append(self, generations: list[int]) -> None:
        """Add generations; durable when it returns; blocking."""
        ...

    def read(self) -> list[int]:
        """Every generation ever added; blocking."""
        ...


@runtime_checkable
class QuarantineJournal(Protocol):
    """What a journal may offer besides: quarantines, which a store that is emptied would forget."""

    def note_quarantine(self, task: str, entry: Quarantine | None) -> None:
        """A task was put in quarantine, or cleared (``None``); durable when it returns; blocking."""
        ...

    def quarantines(self) -> dict[str, Quarantine]:
        """What is in quarantine, by task; blocking."""
        ...
