"""The openings of an LMDB store: whether its file is the one that was used last, or an older copy of it. Pure.

An opening begins when a process finds that no other one has the store open. It gets a random word. The store holds the
word, so a copy of the store holds the word of its own time. Two places outside of it hold the word, too, with the
store's counter at its last commit: a side file beside the folder, and a note in the memory of the machine, which a copy
of a disk does not contain. Both are *witnesses* of the last opening: a list of numbers, of which each has a place.

Whoever opens the store compares. A store that lacks what a witness has seen starts a new incarnation, and nothing in it
is served before its outboxes were replayed. The simulator runs this module, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from parbake.ports.generations import StoreOpening
from parbake.protocol.control import Control, Number
from parbake.stores.steps.item_names import CONTROL, OPENING
from parbake.stores.steps.lookups import Parsed
from parbake.stores.steps.record_steps import RecordSteps, Txn

INCARNATION, DAMAGED, WORD, COUNTER, END = range(5)
"""Places in a witness: the valid incarnation, the inode of a damaged file, the word, the counter, and one of the ends.
A note in memory has only word and counter."""
IS_OPEN, IS_REMEMBERED, IS_CLOSED = range(3)
"""Ends of an opening: none yet; none yet, but every process of it writes to the note in memory; closed."""
REPLACED = 1 << 63
"""The word of a note about a file in whose place another one was put. No opening has it."""
MARGIN = 1 << 20
"""How far a new file's counter begins above the one beside it, because a process may still record an earlier commit."""
_REMEMBERED_WORDS = 32


class Witness(Protocol):
    """The numbers of a witness, in memory that several processes share."""

    def __getitem__(self, place: int, /) -> int:
        """Read one number."""
        ...

    def __setitem__(self, place: int, number: int, /) -> None:
        """Write one number."""
        ...


class OverwrittenFile(Exception):
    """The file was overwritten while processes had it open."""


class RecordedOpening(msgspec.Struct, frozen=True, array_like=True):
    """What a store holds about its openings, in one item.

    Attributes:
        word: The random number that names the current opening.
        store: The number that the store and all copies of it have: the word of its first opening.
        base: What the store's counter is above LMDB's number of the last commit.
        begin: The counter after the commit that began this opening.
        end: The counter at the end of the opening before.
        has_witness: Whether every process of this opening writes to the side file.
        earlier: The words of earlier openings, the last one at the end.
        answered: A word that the store did not know, and for which it has started a new incarnation.
    """

    word: int
    store: int
    base: int = 0
    begin: int = 0
    end: int = 0
    has_witness: bool = True
    earlier: tuple[int, ...] = ()
    answered: int = 0

    def counter_in(self, word: int, counter: int) -> int | None:
        """The counter that the store has reached in an opening; ``None`` if the opening cannot be the last one.

        That is the current one, or the one before if the current one was interrupted before it was witnessed.

        Args:
            word: The word of the opening.
            counter: The counter now.
        """
        if word == self.word:
            return counter
        return self.end if word in self.earlier[-1:] and counter <= self.begin else None

    def lacks(self, witness: Witness, counter: int) -> bool:
        """Whether a witness has seen more than the store holds.

        Args:
            witness: The witness.
            counter: The counter now.
        """
        reached = self.counter_in(witness[WORD], counter)
        return reached is None or witness[COUNTER] > reached


class FoundFile(msgspec.Struct, frozen=True):
    """What a process that opens a store has found.

    Attributes:
        identity: The name of the file, which no other file gets; empty if there is none.
        commits: LMDB's number of the last commit in the file.
        is_first: Whether no other process has the store open.
        side: The side file; ``None`` if it cannot be written.
        note: The note in memory; ``None`` if there can be none.
    """

    identity: str
    commits: int
    is_first: bool
    side: Witness | None
    note: Witness | None


class SettledOpening(msgspec.Struct, frozen=True):
    """An opening that the store holds.

    Attributes:
        opening: The store's record of its openings.
        counter: Its counter.
        control: Its control record.
        loss: Why its incarnation is new; empty if it is not.
        replaced: The identity of the file in whose place this one was put; empty if it is the same. The caller retires
            the note about it.
    """

    opening: RecordedOpening
    counter: int
    control: Control
    loss: str = ""
    replaced: str = ""


def name_file(inode: int, birth_ns: int, generation: str = "") -> str:
    """The identity of a file; empty if its file system has nothing that tells it from a later one of the same number.

    Args:
        inode: The number of its inode, which the next file may get when this one is deleted.
        birth_ns: When the file was created, in nanoseconds since the epoch; 0 if that is not known.
        generation: What tells inodes of one number apart; empty if it is not known.
    """
    if birth_ns:
        return f"file {inode} born {birth_ns}"
    return f"file {inode} of {generation}" if generation else ""


def read_opening(txn: Txn) -> RecordedOpening | None:
    """The store's record of its openings; ``None`` in a new store, and in one of an earlier version."""
    raw = txn.get(OPENING)
    return None if raw is None else msgspec.msgpack.decode(raw, type=RecordedOpening)


def continue_counter(txn: Txn, commits: int) -> None:
    """Let the store's counter go on in a new file, into which the items were copied.

    Args:
        txn: A transaction on the new file.
        commits: LMDB's number of the last commit in the file before.
    """
    opening = read_opening(txn)
    if opening is not None:
        txn.put(OPENING, msgspec.msgpack.encode(msgspec.structs.replace(opening, base=opening.base + commits)))


def settle_opening(txn: Txn, found: FoundFile, number: Number, word: int) -> SettledOpening:
    """Begin an opening of a store, or join the one of other processes.

    The caller retires the note about a file that was replaced, commits, and then calls :func:`witness_opening`.

    Args:
        txn: A transaction on the store, which keeps others from writing.
        found: What was found.
        number: Creates numbers for incarnations.
        word: The word of the opening, if this begins one; not 0.

    Raises:
        OverwrittenFile: Other processes have the store open, and this is not what they have written.
    """
    steps = RecordSteps(txn, Parsed())
    before = read_opening(txn)
    is_new = txn.get(CONTROL) is None
    if not found.is_first:
        if before is None:
            raise OverwrittenFile
        return _join_opening(txn, steps, found, before, number)
    base = before.base if before else 0
    host = "" if is_new else steps.stamp().control.host
    loss = "" if is_new else _find_loss(before, base + found.commits, host, found)
    if is_new or loss:
        base = max(base, (found.side[COUNTER] if found.side else 0) + MARGIN - found.commits)
    incarnation = 0 if is_new else steps.stamp().control.incarnation
    control = steps.settle(found.identity or f"opening {word}", number)
    if loss and control.incarnation == incarnation:
        control = steps.distrust(incarnation, number)
    store = before.store if before else word
    opening = RecordedOpening(word, store, base, base + found.commits + 1, has_witness=found.side is not None)
    if before is not None:
        earlier = (*before.earlier, before.word)[-_REMEMBERED_WORDS:]
        end = before.base + found.commits
        opening = msgspec.structs.replace(opening, end=end, earlier=earlier, answered=before.answered)
    txn.put(OPENING, msgspec.msgpack.encode(opening))
    is_known_here = found.side is not None and found.side[WORD] != 0
    replaced = host if is_known_here and host != found.identity else ""
    return SettledOpening(opening, base + found.commits, control, loss, replaced)


def _join_opening(
    txn: Txn, steps: RecordSteps, found: FoundFile, opening: RecordedOpening, number: Number
) -> SettledOpening:
    """Compare with what others have written, and leave word if this process cannot witness what it commits."""
    counter = opening.base + found.commits
    if found.side is not None and is_overwritten(opening, counter, found.side):
        raise OverwrittenFile
    control = steps.settle(found.identity or steps.stamp().control.host, number)
    if found.side is None and opening.has_witness:
        opening = msgspec.structs.replace(opening, has_witness=False)
        txn.put(OPENING, msgspec.msgpack.encode(opening))
    return SettledOpening(opening, counter, control)


def _find_loss(opening: RecordedOpening | None, counter: int, host: str, found: FoundFile) -> str:
    """Say why a store that nobody has open may lack what it has acknowledged; empty if it is as it was left.

    Args:
        opening: The store's record of its openings.
        counter: The store's counter.
        host: The identity of the file that the store was in.
        found: What was found now.
    """
    if not found.identity:
        return "its file system does not tell one file from another"
    if host != found.identity:
        return "it is in another file"
    if opening is None or not opening.has_witness or found.side is None:
        return "nothing beside it tells whether it is the last state"
    if opening.lacks(found.side, counter):
        return "it is older than what is recorded beside it"
    note = find_note(opening, counter, found.note)
    if note is not None and opening.lacks(note, counter):
        return "it is older than what this machine remembers"
    return "" if is_end_known(opening, found.side, note) else "it was not closed, and nothing tells what came after"


def find_note(opening: RecordedOpening, counter: int, note: Witness | None) -> Witness | None:
    """The note in memory, unless it has no word, or is of an earlier opening, which tells nothing of the last one.

    Args:
        opening: The store's record of its openings.
        counter: The store's counter.
        note: The note, if there can be one.
    """
    if note is None or not note[WORD]:
        return None
    is_earlier = note[WORD] in opening.earlier and opening.counter_in(note[WORD], counter) is None
    return None if is_earlier else note


def is_end_known(opening: RecordedOpening, side: Witness, note: Witness | None) -> bool:
    """Whether the store was closed, or memory tells of all its commits: then its processes were only killed.

    If the side file tells of the end of the opening before, the last one was interrupted before it was witnessed, or a
    snapshot was made between the two. Only memory can tell whether anything followed.

    Args:
        opening: The store's record of its openings.
        side: The side file.
        note: The note in memory, if it tells of the last openings.
    """
    if note is not None:
        return side[END] in (IS_CLOSED, IS_REMEMBERED)
    return side[END] == IS_CLOSED and side[WORD] == opening.word


def is_overwritten(opening: RecordedOpening | None, counter: int, side: Witness) -> bool:
    """Whether an open store is not what its processes have written. A side file without a word was deleted since.

    Args:
        opening: The store's record of its openings.
        counter: The store's counter.
        side: The side file.
    """
    if not side[WORD]:
        return False
    return opening is None or opening.word != side[WORD] or counter < side[COUNTER]


def witness_opening(settled: SettledOpening, side: Witness, note: Witness | None, *, is_first: bool) -> None:
    """Record an opening that the store holds already, first in memory.

    Args:
        settled: The opening.
        side: The side file.
        note: The note in memory, if there can be one.
        is_first: Whether this process has begun the opening.
    """
    word = settled.opening.word
    if is_first and note is not None:
        note[WORD] = word
        note[COUNTER] = settled.counter
    is_remembered = note is not None and note[WORD] == word and (is_first or side[END] == IS_REMEMBERED)
    side[INCARNATION] = settled.control.incarnation
    side[COUNTER] = max(side[COUNTER], settled.counter)
    side[WORD] = word
    side[END] = IS_REMEMBERED if is_remembered else IS_OPEN


def witness_commit(counter: int, side: Witness, note: Witness | None) -> bool:
    """Record the counter of a durable commit, before it is acknowledged.

    Another process may record a higher one between the comparison and the writing here. So the caller does this again
    with the counter that the store has by then, until nothing had to be written. A note that not every process can
    write to is given up.

    Args:
        counter: The store's counter.
        side: The side file.
        note: The note in memory, if there is one.

    Returns:
        Whether something was written.
    """
    is_behind = side[COUNTER] < counter
    if is_behind:
        side[COUNTER] = counter
    if note is None or not note[WORD]:
        return is_behind
    if side[END] != IS_REMEMBERED:
        note[WORD] = 0
    elif note[COUNTER] < counter:
        note[COUNTER] = counter
        return True
    return is_behind


def witness_close(counter: int, side: Witness) -> None:
    """Record that the last process closes the store.

    Args:
        counter: The store's counter.
        side: The side file.
    """
    side[COUNTER] = max(side[COUNTER], counter)
    side[END] = IS_CLOSED


def retire_note(note: Witness | None) -> None:
    """Let the note about a file say that another one takes its place, so that it counts as older if it comes back.

    Args:
        note: The note in memory, if there can be one.
    """
    if note is not None:
        note[WORD] = REPLACED


def confirm_opening(txn: Txn, words: Mapping[int, int], number: Number) -> StoreOpening:
    """Start a new incarnation if somebody else remembers an opening that the store does not; return the current one.

    That is done once for each such opening.

    Args:
        txn: A transaction on the store.
        words: The words of openings that somebody else remembers, by the numbers of their stores.
        number: Creates numbers for incarnations.
    """
    opening = read_opening(txn)
    if opening is None:
        raise OverwrittenFile
    word = words.get(opening.store, 0)
    if not remembers(opening, word):
        steps = RecordSteps(txn, Parsed())
        steps.distrust(steps.stamp().control.incarnation, number)
        txn.put(OPENING, msgspec.msgpack.encode(msgspec.structs.replace(opening, answered=word)))
    return StoreOpening(opening.store, opening.word)


def remembers(opening: RecordedOpening, word: int) -> bool:
    """Whether the store knows an opening, or has answered for it."""
    return not word or word in (opening.word, opening.answered, *opening.earlier)
