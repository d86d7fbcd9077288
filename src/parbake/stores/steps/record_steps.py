"""What all stores share: the protocol's steps, each as one transaction on a map from byte names to byte values.

A driver provides transactions with ``get``, ``peek``, ``put`` and ``delete``. The steps for events are in ``events``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import msgspec

from parbake.errors import DamagedRecord, ForeignStore, StoreError
from parbake.ports.generations import NewGeneration
from parbake.ports.records import Lookup, RecordSnapshot, StoreState
from parbake.protocol import control as rules
from parbake.protocol.check import killed_by, may_replace, newness
from parbake.protocol.control import Control, Number, Promotion, Quarantine
from parbake.protocol.record import FORMAT, FUTURE_S, STAMP_AT, WATERMARK, Header, Record, Stamp, decode, encode, split

CONTROL, SEQUENCE, BEATS = b"c", b"q", b"h"
MARK, OVERLAY, BASE, LOG, APPLIED, SEEN, NAMED, PARKED = WATERMARK, b"o", b"b", b"e", b"a", b"s", b"n", b"p"
RING = b"k"
"""Prefix of the ring that records which event was parked as the n-th."""
LISTED = (OVERLAY, BASE, LOG, MARK, PARKED)
TASKS_KEPT = 1024
COMMON_ITEMS = 5
"""Items that every application of events may write: counter, control record, position, heartbeats, parked count."""
NUMBERS_SPREAD = 1 << 20
_UNHEARD: Mapping[str, float] = {}


Get = Callable[[bytes], bytes | None]


def _now_us() -> int:
    return time.time_ns() // 1000


class ReadTxn(Protocol):
    """What reading one key needs from a transaction. A driver's own object can implement it without a wrapper."""

    def get(self, key: bytes, /) -> bytes | None:
        """Read one item."""
        ...


class Txn(ReadTxn, Protocol):
    """A transaction. What ``get`` reads must still hold at the commit."""

    def peek(self, key: bytes, /) -> bytes | None:
        """Read one item that may change before the commit; safety must not depend on it."""
        ...

    def put(self, key: bytes, value: bytes, /) -> object:
        """Write one item."""
        ...

    def delete(self, key: bytes, /) -> object:
        """Remove one item."""
        ...


class Parsed:
    """Caches the control record and the heartbeats, and decodes them only when their bytes change."""

    def __init__(self) -> None:
        self._common: tuple[int, Control, Mapping[str, float]] | None = None
        self._control: tuple[bytes, Control] | None = None
        self._beats: tuple[bytes, dict[str, float]] | None = None
        self._as_control = msgspec.msgpack.Decoder(Control).decode
        self._as_beats = msgspec.msgpack.Decoder(dict[str, float]).decode

    def common(self, get: Get, snapshot: int) -> tuple[int, Control, Mapping[str, float]]:
        """The control record and the heartbeats of a snapshot; the same snapshot number means the same values."""
        kept = self._common
        if kept is None or kept[0] != snapshot:
            kept = self._common = (snapshot, self.control(get(CONTROL) or b""), self.beats(get(BEATS)))
        return kept

    def control(self, raw: bytes) -> Control:
        """Decode the control record; raises :class:`ForeignStore` for a store of another format."""
        kept = self._control
        if kept is None or kept[0] != raw:
            kept = self._control = (raw, self._as_control(of_this_format(raw)))
        return kept[1]

    def beats(self, raw: bytes | None) -> Mapping[str, float]:
        """Decode the heartbeats."""
        if raw is None:
            return _UNHEARD
        kept = self._beats
        if kept is None or kept[0] != raw:
            kept = self._beats = (raw, self._as_beats(raw))
        return kept[1]


class _Format(msgspec.Struct):
    """The format number in a control record. The first format did not record one."""

    format: int = 1


_as_format = msgspec.msgpack.Decoder(_Format).decode


def of_this_format(raw: bytes) -> bytes:
    """Return a stored control record if the store's records have this version's format."""
    found = _as_format(raw).format
    if found != FORMAT:
        raise ForeignStore(
            f"this store was created by another version of parbake: its records have format {found}, and this "
            f"version uses {FORMAT}; choose another store=, or delete this one to have everything computed again",
            field="store",
        )
    return raw


def whole(raws: Iterable[bytes | None]) -> tuple[tuple[Record, ...], int]:
    """The undamaged ones among some stored records, and the number of damaged ones."""
    records: list[Record] = []
    damaged = 0
    for raw in raws:
        if raw is None:
            continue
        try:
            records.append(decode(raw))
        except DamagedRecord:
            damaged += 1
    return tuple(records), damaged


def is_listed(name: bytes) -> bool:
    """Whether an item, or a prefix, is one of those that are listed in order."""
    return name[:1] in LISTED


@lru_cache(TASKS_KEPT)
def overlay_of(task: str) -> bytes:
    """The prefix of the names of a task's event and on-demand results."""
    return OVERLAY + task.encode() + b"\0"


def overlay_key(task: str, key: bytes) -> bytes:
    """The name of an event or on-demand result."""
    return overlay_of(task) + key


@lru_cache(TASKS_KEPT)
def base_of(generation: int) -> bytes:
    """The prefix of the names of a generation's batch results."""
    return BASE + generation.to_bytes(8, "big")


def base_key(generation: int, key: bytes) -> bytes:
    """The name of a batch result."""
    return base_of(generation) + key


def mark_key(tag: str) -> bytes:
    """The name of a tag's watermark."""
    return MARK + tag.encode()


def numbers(now_us: Callable[[], int] = _now_us, random: Callable[[], float] = random.random) -> Number:
    """Create numbers from the time (``now_us``, microseconds) and a random part (0 to 1), as clocks may be slow."""
    return lambda above: max(above, now_us()) + 1 + int(random() * NUMBERS_SPREAD)


def initialise(txn: Txn, incarnation: int, host: str = "") -> None:
    """Write the control record and the counter of an empty store.

    Args:
        txn: The transaction.
        incarnation: The number of the store's first incarnation.
        host: The copy of the data, as the driver identifies it.
    """
    save_control(txn, rules.start(incarnation, host))
    txn.put(SEQUENCE, (0).to_bytes(8, "big"))


def settle(txn: Txn, parsed: Parsed, host: str, number: Number) -> Control:
    """Start the store at its first use, or start a new incarnation if its data is now on another host.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        host: The copy of the data, as the driver identifies it.
        number: Creates numbers for incarnations.
    """
    if txn.get(CONTROL) is None:
        initialise(txn, number(0), host)
    control = parsed.control(txn.get(CONTROL) or b"")
    if control.host != host:
        control = rules.adopt(control, host, number)
        save_control(txn, control)
    return control


def read(txn: ReadTxn, parsed: Parsed, task: str, key: bytes, generation: int) -> Lookup:
    """Read one snapshot of a key: records, watermarks, control record and heartbeats.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        task: The task's name.
        key: The encoded key.
        generation: The generation to read instead of the current one; 0 for the current one.
    """
    get = txn.get
    control = parsed.control(get(CONTROL) or b"")
    current = generation or control.pointer(task)
    records, damaged = whole([get(overlay_of(task) + key), get(base_key(current, key)) if current else None])
    return Lookup(control, records, marks_of(get, records), parsed.beats(get(BEATS)), damaged)


def glimpse(get: Get, common: tuple[int, Control, Mapping[str, float]], task: str, key: bytes) -> RecordSnapshot | None:
    """Read the newest record of a key in one snapshot; ``None`` if a full :func:`read` is needed.

    Args:
        get: Reads one item.
        common: Number, control record and heartbeats of the snapshot.
        task: The task's name.
        key: The encoded key.
    """
    _, control, beats = common
    try:
        raw = get(overlay_of(task) + key)
        found = None if raw is None else split(raw)
        current = control.pointers.get(task)
        if current is not None and (raw := get(base_of(current.generation) + key)) is not None:
            base = split(raw)
            if found is None or newness(base[0]) > newness(found[0]):
                found = base
    except DamagedRecord:  # a full read finds the undamaged records, and counts the damaged ones
        return None
    if found is None:
        return None
    header, payload = found
    marks: dict[str, bytes] = {}
    for tag, name in header.meta.tags.named:
        mark = get(name)
        if mark is not None:
            marks[tag] = mark
    return RecordSnapshot(control, header, payload, marks, beats)


def review(get: Get, common: tuple[int, Control, Mapping[str, float]], record: Record) -> Lookup:
    """Look up what a record that was read before is judged by, in one snapshot.

    Args:
        get: Reads one item.
        common: Number, control record and heartbeats of the snapshot.
        record: The record.
    """
    _, control, beats = common
    return Lookup(control, (record,), marks_of(get, (record,)), beats)


def look_again(txn: ReadTxn, parsed: Parsed, record: Record) -> Lookup:
    """Look up what an already read record is judged by, for a store whose snapshots have no number.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        record: The record.
    """
    marks = marks_of(txn.get, (record,))
    beats = parsed.beats(txn.get(BEATS))
    return Lookup(parsed.control(txn.get(CONTROL) or b""), (record,), marks, beats)


def tags_of(records: Sequence[Header]) -> dict[str, None]:
    """All tags of some records, without duplicates."""
    return {tag: None for record in records for tag, _ in record.meta.tags.named}


def marks_of(get: Get, records: Sequence[Header]) -> dict[str, bytes]:
    """The watermarks of all tags of some records; a tag that was never raised is absent."""
    marks: dict[str, bytes] = {}
    for record in records:
        for tag, name in record.meta.tags.named:
            raw = get(name)
            if raw is not None:
                marks[tag] = raw
    return marks


def stamp(txn: ReadTxn, parsed: Parsed) -> StoreState:
    """The counter and the control record."""
    control = parsed.control(txn.get(CONTROL) or b"")
    return StoreState(Stamp(control.incarnation, int.from_bytes(txn.get(SEQUENCE) or b"", "big")), control)


def write(txn: Txn, parsed: Parsed, task: str, key: bytes, record: Record, *, now: float) -> bool:
    """Write a record, unless a live record has a higher or an equal stamp; returns whether it was written.

    A record from an incarnation whose last writes were lost replaces nothing. Only the replaced record must be
    unchanged at the commit: what an event or a rollback overtakes is never served, or computed again.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        task: The task's name.
        key: The encoded key.
        record: The record to write.
        now: The current time, in epoch seconds.
    """
    name = overlay_key(task, key)
    overlay = txn.get(name)  # before the control record: an older one could make a newer record look dead
    control = parsed.control(txn.peek(CONTROL) or b"")
    if not control.is_trusted:  # a record that is not served now may be served again once the incarnation is blessed
        control = msgspec.structs.replace(control, blessed=control.incarnation)
    if not rules.has_lived_through(control, record.stamp):
        return False
    current = control.pointer(task)
    base = txn.peek(base_key(current, key)) if current else None
    for raw in (overlay, base):
        if raw is None:
            continue
        try:
            stored = decode(raw)
        except DamagedRecord:
            continue
        alive = killed_by(stored, control, marks_of(txn.peek, [stored]), now=now) is None
        alive = alive and stored.computed_at <= now + FUTURE_S
        if raw is overlay and not may_replace(stored, record, stored_is_alive=alive):
            return False
        if raw is base and alive and newness(stored) > newness(record):
            return False
    txn.put(name, encode(record))
    return True


def save_control(txn: Txn, control: Control) -> None:
    """Replace the control record."""
    txn.put(CONTROL, msgspec.msgpack.encode(control))


def begin(txn: Txn, parsed: Parsed) -> NewGeneration:
    """Allocate a generation, and read the stamp and the control record that it starts from."""
    at, control = stamp(txn, parsed)
    save_control(txn, updated := rules.begin(control))
    return NewGeneration(control.next_generation, at, updated)


def promote(txn: Txn, parsed: Parsed, promotion: Promotion) -> Control:
    """Make generations current, or raise if that is not possible.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        promotion: Which generations become current.
    """
    updated = rules.promote(stamp(txn, parsed)[1], promotion)
    save_control(txn, updated)
    return updated


def rollback(txn: Txn, parsed: Parsed, task: str, now: float, built_with: Sequence[str]) -> int:
    """Withdraw a task's current generation at a new stamp, and return the generation that is current then.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        task: The task's name.
        now: The current time, in epoch seconds.
        built_with: Tasks promoted with it. Each returns to its newest generation from before the withdrawn one.
    """
    at, control = step(txn, parsed)
    updated = rules.rollback(control, task, now, at.pack(), built_with)
    save_control(txn, updated)
    return updated.pointer(task)


def quarantine(txn: Txn, parsed: Parsed, task: str, entry: Quarantine | None) -> Control:
    """Put a task in quarantine at a new stamp, or release it.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        task: The task's name.
        entry: The quarantine; ``None`` releases the task.
    """
    at, control = step(txn, parsed)
    updated = rules.quarantine(control, task, entry, at.pack())
    save_control(txn, updated)
    return updated


def withdraw(txn: Txn, parsed: Parsed, generations: Collection[int]) -> None:
    """Withdraw generations by number.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        generations: Their numbers.
    """
    at, control = step(txn, parsed)
    save_control(txn, rules.withdraw(control, generations, at.pack()))


def step(txn: Txn, parsed: Parsed) -> StoreState:
    """Advance the counter by one."""
    at, control = stamp(txn, parsed)
    at = Stamp(at.incarnation, at.sequence + 1)
    txn.put(SEQUENCE, at.sequence.to_bytes(8, "big"))
    return StoreState(at, control)


def bless(txn: Txn, parsed: Parsed, seen: int, *, raise_floor: bool) -> Control:
    """Trust an incarnation, so that its values may be served.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        seen: The number of the incarnation that was checked.
        raise_floor: Whether everything from before it is declared dead.
    """
    control = rules.bless(stamp(txn, parsed)[1], seen, raise_floor=raise_floor)
    save_control(txn, control)
    return control


def raise_floor(txn: Txn, parsed: Parsed, to: bytes) -> None:
    """Declare everything below a stamp dead; raises :class:`StoreError` for a stamp from a lost incarnation.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        to: The stamp.
    """
    control = stamp(txn, parsed)[1]
    if not rules.has_lived_through(control, to):  # its number may be above all stamps of this incarnation
        raise StoreError("the store has lost the writes that this floor is based on; try again", field="store")
    save_control(txn, rules.raise_floor(control, to))


def abandon(txn: Txn, parsed: Parsed, abandoned: Collection[int], retired: Collection[str]) -> set[int]:
    """Remove abandoned runs and retired tasks, and return the generations whose rows must stay.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        abandoned: Generations of runs that have ended without a promotion.
        retired: Tasks that no program uses any more.
    """
    control = rules.abandon(stamp(txn, parsed)[1], abandoned, retired)
    save_control(txn, control)
    return {g for p in control.pointers.values() for g in (p.generation, *p.history)} | set(control.running)


def drop_below(txn: Txn, parsed: Parsed, names: Sequence[bytes]) -> int:
    """Delete watermarks at or below the current floor, and overlay records below it; returns how many.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        names: The candidates, listed under a floor that a loss may have reverted since.
    """
    floor, dropped = parsed.control(txn.get(CONTROL) or b"").floor, 0
    for name in names:
        raw = txn.get(name)
        if raw is not None and is_below(name, raw, floor):
            txn.delete(name)
            dropped += 1
    return dropped


def is_below(name: bytes, raw: bytes, floor: bytes) -> bool:
    """Whether the floor makes an item unnecessary: a watermark at or below it, or a record below it.

    Args:
        name: The item's name.
        raw: The item's value.
        floor: The floor, as an encoded stamp.
    """
    return raw <= floor if name[:1] == MARK else raw[STAMP_AT] < floor


def swap(txn: Txn, name: str, expected: bytes | None, new: bytes | None) -> bool:
    """Compare and swap a small named value; returns whether the value was as expected.

    Args:
        txn: The transaction.
        name: The name.
        expected: The expected value; ``None`` if it must be absent.
        new: The new value; ``None`` deletes it.
    """
    item = NAMED + name.encode()
    if txn.get(item) != expected:
        return False
    if new is not None:
        txn.put(item, new)
    elif expected is not None:
        txn.delete(item)
    return True
