"""The protocol's steps on control record and records, each in one transaction.

A driver provides transactions with ``get``, ``peek``, ``put`` and ``delete`` on a map from byte names to byte values.
The steps for events are in ``event_steps``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from parbake.errors import DamagedRecord, StoreError
from parbake.ports.generations import NewGeneration
from parbake.ports.named_values import NOTED
from parbake.ports.records import StoreState
from parbake.protocol import control as rules
from parbake.protocol.check import killed_by, may_replace, newness
from parbake.protocol.control import Control, JournalMark, Number, Promotion, Quarantine
from parbake.protocol.record import FUTURE_S, Record, Stamp, decode, encode
from parbake.stores.steps import lookups
from parbake.stores.steps.item_names import (
    CONTROL,
    NAMED,
    NOTES,
    SEQUENCE,
    base_key,
    entries_of,
    is_below,
    overlay_key,
)
from parbake.stores.steps.lookups import Parsed

_NUMBERS_SPREAD = 1 << 20


def _now_us() -> int:
    return time.time_ns() // 1000


class Txn(Protocol):
    """A transaction. A driver's own object can implement it without a wrapper."""

    def get(self, key: bytes, /) -> bytes | None:
        """Read one item, which must still hold at the commit."""
        ...

    def peek(self, key: bytes, /) -> bytes | None:
        """Read one item that may change before the commit; safety must not depend on it."""
        ...

    def put(self, key: bytes, value: bytes, /) -> object:
        """Write one item."""
        ...

    def delete(self, key: bytes, /) -> object:
        """Remove one item."""
        ...


def numbers(now_us: Callable[[], int] = _now_us, random: Callable[[], float] = random.random) -> Number:
    """Create numbers from the time (``now_us``, microseconds) and a random part (0 to 1), as clocks may be slow."""
    return lambda above: max(above, now_us()) + 1 + int(random() * _NUMBERS_SPREAD)


class RecordSteps:
    """The steps on the control record and on records that one transaction can take."""

    def __init__(self, txn: Txn, parsed: Parsed) -> None:
        """Take steps in a transaction.

        Args:
            txn: The transaction.
            parsed: The cache of decoded records.
        """
        self._txn, self._get, self._parsed = txn, txn.get, parsed

    def stamp(self) -> StoreState:
        """The counter and the control record."""
        return lookups.stamp(self._get, self._parsed)

    def settle(self, host: str, number: Number) -> Control:
        """Start the store at its first use, or start a new incarnation if its data is now on another host.

        Args:
            host: The copy of the data, as the driver identifies it.
            number: Creates numbers for incarnations.
        """
        if self._get(CONTROL) is None:
            self.save(rules.start(number(0), host))
            self._txn.put(SEQUENCE, (0).to_bytes(8, "big"))
        control = self._parsed.control(self._get(CONTROL) or b"")
        if control.host != host:
            control = self.save(rules.adopt(control, host, number))
        return control

    def write(self, task: str, key: bytes, record: Record, *, now: float) -> bool:
        """Write a record, unless a live record has a higher or an equal stamp; returns whether it was written.

        A record from an incarnation whose last writes were lost replaces nothing. Only the replaced record must be
        unchanged at the commit: what an event or a rollback overtakes is never served, or computed again.

        Args:
            task: The task's name.
            key: The encoded key.
            record: The record to write.
            now: The current time, in epoch seconds.
        """
        name = overlay_key(task, key)
        overlay = self._get(name)  # before the control record: an older one could make a newer record look dead
        control = self._parsed.control(self._txn.peek(CONTROL) or b"")
        if (
            not control.is_trusted
        ):  # a record that is not served now may be served again once the incarnation is blessed
            control = msgspec.structs.replace(control, blessed=control.incarnation)
        if not rules.has_lived_through(control, record.stamp):
            return False
        current = control.pointer(task)
        base = self._txn.peek(base_key(current, key)) if current else None
        for raw in (overlay, base):
            if raw is None:
                continue
            try:
                stored = decode(raw)
            except DamagedRecord:
                continue
            alive = killed_by(stored, control, lookups.marks_of(self._txn.peek, [stored]), now=now) is None
            alive = alive and stored.computed_at <= now + FUTURE_S
            if raw is overlay and not may_replace(stored, record, stored_is_alive=alive):
                return False
            if raw is base and alive and newness(stored) > newness(record):
                return False
        self._txn.put(name, encode(record))
        return True

    def save(self, control: Control) -> Control:
        """Replace the control record, and return it."""
        self._txn.put(CONTROL, msgspec.msgpack.encode(control))
        return control

    def begin(self) -> NewGeneration:
        """Allocate a generation, and read the stamp and the control record that it starts from."""
        at, control = self.stamp()
        return NewGeneration(control.next_generation, at, self.save(rules.begin(control)))

    def promote(self, promotion: Promotion) -> Control:
        """Make generations current, or raise if that is not possible.

        Args:
            promotion: Which generations become current.
        """
        return self.save(rules.promote(self.stamp()[1], promotion))

    def rollback(self, task: str, now: float, built_with: Sequence[str]) -> int:
        """Withdraw a task's current generation at a new stamp, and return the generation that is current then.

        Args:
            task: The task's name.
            now: The current time, in epoch seconds.
            built_with: Tasks promoted with it. Each returns to its newest generation from before the withdrawn one.
        """
        at, control = self.advance()
        return self.save(rules.rollback(control, task, now, at.pack(), built_with)).pointer(task)

    def quarantine(self, task: str, entry: Quarantine | None) -> Control:
        """Put a task in quarantine at a new stamp, or release it.

        Args:
            task: The task's name.
            entry: The quarantine; ``None`` releases the task.
        """
        at, control = self.advance()
        return self.save(rules.quarantine(control, task, entry, at.pack()))

    def mark_journal(self, expected: JournalMark | None, new: JournalMark | None) -> Control:
        """Replace the mark of the store's journal, if it is the expected one.

        Args:
            expected: The mark that the store should have.
            new: The new one; ``None`` removes it.
        """
        at, control = self.stamp()
        return self.save(rules.mark_journal(control, expected, new, at))

    def withdraw(self, generations: Collection[int]) -> None:
        """Withdraw generations by number.

        Args:
            generations: Their numbers.
        """
        at, control = self.advance()
        self.save(rules.withdraw(control, generations, at.pack()))

    def advance(self) -> StoreState:
        """Advance the counter by one."""
        at, control = self.stamp()
        at = Stamp(at.incarnation, at.sequence + 1)
        self._txn.put(SEQUENCE, at.sequence.to_bytes(8, "big"))
        return StoreState(at, control)

    def bless(self, seen: int, *, raise_floor: bool) -> Control:
        """Trust an incarnation, so that its values may be served.

        Args:
            seen: The number of the incarnation that was checked.
            raise_floor: Whether everything from before it is declared dead.
        """
        return self.save(rules.bless(self.stamp()[1], seen, raise_floor=raise_floor))

    def distrust(self, seen: int, number: Number) -> Control:
        """Start a new incarnation, because the store went back to an earlier state of its data.

        Args:
            seen: The incarnation in which that was noticed; in any other, nothing changes.
            number: Creates numbers for incarnations.
        """
        before = self.stamp()[1]
        after = rules.distrust(before, seen, number)
        return before if after is before else self.save(after)

    def raise_floor(self, to: bytes) -> None:
        """Declare everything below a stamp dead; raises :class:`StoreError` for a stamp from a lost incarnation.

        Args:
            to: The stamp.
        """
        control = self.stamp()[1]
        if not rules.has_lived_through(control, to):  # its number may be above all stamps of this incarnation
            raise StoreError("the store has lost the writes that this floor is based on; try again", field="store")
        self.save(rules.raise_floor(control, to))

    def abandon(self, abandoned: Collection[int], retired: Collection[str]) -> tuple[set[int], int]:
        """Remove abandoned runs and retired tasks, and return which rows must stay.

        Args:
            abandoned: Generations of runs that have ended without a promotion.
            retired: Tasks that no program uses any more.

        Returns:
            The generations whose rows must stay, and the number from which on all of them must: no run has it yet.
        """
        control = self.save(rules.abandon(self.stamp()[1], abandoned, retired))
        kept = {g for p in control.pointers.values() for g in (p.generation, *p.history)} | set(control.running)
        return kept, control.next_generation

    def drop_below(self, names: Sequence[bytes]) -> int:
        """Delete watermarks at or below the current floor, and overlay records below it; returns how many.

        Args:
            names: The candidates, listed under a floor that a loss may have reverted since.
        """
        floor, dropped = self._parsed.control(self._get(CONTROL) or b"").floor, 0
        for name in names:
            raw = self._get(name)
            if raw is not None and is_below(name, raw, floor):
                self._txn.delete(name)
                dropped += 1
        return dropped

    def swap(self, name: str, expected: bytes | None, new: bytes | None) -> bool:
        """Compare and swap a small named value; returns whether the value was as expected.

        Args:
            name: The name.
            expected: The expected value; ``None`` if it must be absent.
            new: The new value; ``None`` deletes it.
        """
        item = NAMED + name.encode()
        if self._get(item) != expected:
            return False
        if new is not None:
            self._txn.put(item, new)
        elif expected is not None:
            self._txn.delete(item)
        return True

    def note(self, name: str, entry: bytes) -> Stamp:
        """Add an entry to a log, and return its place.

        Args:
            name: The name of the log.
            entry: The entry.
        """
        incarnation, counter, entries = self.stamp()[0].incarnation, NAMED + NOTES + name.encode(), entries_of(name)
        number = 1 + int.from_bytes(self._get(counter) or b"", "big")
        place = Stamp(incarnation, number)
        self._txn.put(counter, number.to_bytes(8, "big"))
        self._txn.put(entries + place.pack(), entry)
        if number > NOTED:
            self._txn.delete(entries + Stamp(incarnation, number - NOTED).pack())
        return place
