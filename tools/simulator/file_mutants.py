"""Mutants of a store in a file, in whose place older copies are put; each docstring says what the mutant gets wrong."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from parbake.stores import _lmdb_openings as openings
from simulator.patches import everywhere, method, mutant


@mutant
def file_told_by_its_number(stack: ExitStack) -> None:
    """A file is taken for an earlier one of the same number, because its time of birth is not compared."""
    everywhere(stack, openings.name_file, lambda inode, *_: f"file {inode}")


@mutant
def witnessed_only_at_openings(stack: ExitStack) -> None:
    """The side file and the note in memory are written when a store is opened and closed, and not at its commits."""
    everywhere(stack, openings.witness_commit, lambda *_: False)


@mutant
def side_file_not_compared(stack: ExitStack) -> None:
    """A store that is older than what its side file says is taken for the last state."""
    lacks = openings.RecordedOpening.lacks

    def trusting(self: Any, witness: Any, counter: int) -> bool:
        return witness[openings.INCARNATION] == 0 and lacks(self, witness, counter)

    method(stack, openings.RecordedOpening, "lacks", trusting)
    everywhere(stack, openings.is_overwritten, lambda *_: False)


@mutant
def memory_not_compared(stack: ExitStack) -> None:
    """A store that was closed is trusted, although the memory of the machine knows a later state."""
    everywhere(stack, openings.find_note, lambda *_: None)
    everywhere(stack, openings.is_end_known, lambda _, side, __: side[openings.END] != openings.IS_OPEN)


@mutant
def journal_not_compared(stack: ExitStack) -> None:
    """A store that does not know the opening that a journal elsewhere tells of is taken for the last state."""
    everywhere(stack, openings.remembers, lambda *_: True)


@mutant
def unclean_end_believed(stack: ExitStack) -> None:
    """A store that was not closed is trusted, although nothing tells what came after its last known state."""
    everywhere(stack, openings.is_end_known, lambda *_: True)


@mutant
def replacement_not_noted(stack: ExitStack) -> None:
    """A file that was replaced, and is put back as it was then, is taken for the last state."""
    everywhere(stack, openings.retire_note, lambda _: None)


@mutant
def unwitnessed_opening_trusted(stack: ExitStack) -> None:
    """A snapshot from between the begin of an opening and its witness is trusted as a store that was closed."""

    def is_closed(_: Any, side: Any, note: Any) -> bool:
        end = side[openings.END]
        return end == openings.IS_CLOSED or (end == openings.IS_REMEMBERED and note is not None)

    everywhere(stack, openings.is_end_known, is_closed)
