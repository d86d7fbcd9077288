"""What all stores share: the protocol's steps, each over one transaction on a map from byte names to byte values.

A driver gives transactions with ``get``, ``peek``, ``put`` and ``delete``; the steps below are the same code for a
file, for memory and for a server, so that all keep the same guarantee. The steps of events are in ``events``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import msgspec

from parbake.errors import DamagedRecord, ForeignStore, StoreError
from parbake.fence import control as rules
from parbake.fence.check import killed_by, may_replace, newness
from parbake.fence.control import Control, Number, Promotion, Quarantine
from parbake.fence.record import FORMAT, FUTURE_S, STAMP_AT, WATERMARK, Header, Record, Stamp, decode, encode, split
from parbake.ports.records import Lookup, RecordSnapshot

CONTROL, SEQUENCE, BEATS = b"c", b"q", b"h"
MARK, OVERLAY, BASE, LOG, APPLIED, SEEN, NAMED, PARKED = WATERMARK, b"o", b"b", b"e", b"a", b"s", b"n", b"p"
RING = b"k"
"""Where it is written which event was parked as the n-th."""
LISTED = (OVERLAY, BASE, LOG, MARK, PARKED)
TASKS_KEPT = 1024
COMMON_ITEMS = 5
"""Items that any application of events may touch: counter, control record, position, heartbeats, number of parked."""
NUMBERS_SPREAD = 1 << 20
_UNHEARD: Mapping[str, float] = {}


Get = Callable[[bytes], bytes | None]


def _now_us() -> int:
    return time.time_ns() // 1000


class ReadTxn(Protocol):
    """What a read of one key needs of a transaction; a driver's own object will do, without a wrapper."""

    def get(self, key: bytes, /) -> bytes | None:
        """Read one item."""
        ...


class Txn(ReadTxn, Protocol):
    """A transaction. What is read by ``get`` must still hold when it commits."""

    def peek(self, key: bytes, /) -> bytes | None:
        """Read one item that may have changed by the time of the commit: safety does not rest on it."""
        ...

    def put(self, key: bytes, value: bytes, /) -> object:
        """Write one item."""
        ...

    def delete(self, key: bytes, /) -> object:
        """Remove one item."""
        ...


class Parsed:
    """Decodes the control record and heartbeats only when their bytes change."""

    def __init__(self) -> None:
        """Start with nothing parsed."""
        self._common: tuple[int, Control, Mapping[str, float]] | None = None
        self._control: tuple[bytes, Control] | None = None
        self._beats: tuple[bytes, dict[str, float]] | None = None
        self._as_control = msgspec.msgpack.Decoder(Control).decode
        self._as_beats = msgspec.msgpack.Decoder(dict[str, float]).decode

    def common(self, get: Get, snapshot: int) -> tuple[int, Control, Mapping[str, float]]:
        """The control record and the heartbeats of a snapshot; those with the same number are the same."""
        kept = self._common
        if kept is None or kept[0] != snapshot:
            kept = self._common = (snapshot, self.control(get(CONTROL) or b""), self.beats(get(BEATS)))
        return kept

    def control(self, raw: bytes) -> Control:
        """The control record; raises :class:`ForeignStore` for a store of another format."""
        kept = self._control
        if kept is None or kept[0] != raw:
            kept = self._control = (raw, self._as_control(of_this_format(raw)))
        return kept[1]

    def beats(self, raw: bytes | None) -> Mapping[str, float]:
        """The heartbeats."""
        if raw is None:
            return _UNHEARD
        kept = self._beats
        if kept is None or kept[0] != raw:
            kept = self._beats = (raw, self._as_beats(raw))
        return kept[1]


class _Format(msgspec.Struct):
    """What a control record says of the store's records; the first format was not noted."""

    format: int = 1


_as_format = msgspec.msgpack.Decoder(_Format).decode


def of_this_format(raw: bytes) -> bytes:
    """Return a stored control record, unless the store's records are of another format."""
    found = _as_format(raw).format
    if found != FORMAT:
        raise ForeignStore(
            f"this store was begun by another version of parbake: its records are of format {found}, and this "
            f"version writes {FORMAT}; name another place in store=, or delete this one, and it is computed again",
            field="store",
        )
    return raw


def whole(raws: Iterable[bytes | None]) -> tuple[tuple[Record, ...], int]:
    """Those of some stored records that are as they were written, and how many are damaged."""
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
    """Whether an item, or a prefix, is one of those that are ever listed in order."""
    return name[:1] in LISTED


@lru_cache(TASKS_KEPT)
def overlay_of(task: str) -> bytes:
    """How the names of a task's event and on-demand results begin."""
    return OVERLAY + task.encode() + b"\0"


def overlay_key(task: str, key: bytes) -> bytes:
    """Where an event or on-demand result lies."""
    return overlay_of(task) + key


@lru_cache(TASKS_KEPT)
def base_of(generation: int) -> bytes:
    """How the names of a generation's batch results begin."""
    return BASE + generation.to_bytes(8, "big")


def base_key(generation: int, key: bytes) -> bytes:
    """Where a batch result lies."""
    return base_of(generation) + key


def mark_key(tag: str) -> bytes:
    """Where a tag's watermark lies."""
    return MARK + tag.encode()


def numbers(now_us: Callable[[], int] = _now_us, random: Callable[[], float] = random.random) -> Number:
    """Numbers for incarnations and generations: by the time, and spread, since those who draw may have slow clocks.

    ``now_us`` gives microseconds since the epoch, ``random`` 0 to 1.
    """
    return lambda above: max(above, now_us()) + 1 + int(random() * NUMBERS_SPREAD)


def initialise(txn: Txn, incarnation: int, host: str = "") -> None:
    """Write an empty store's control record and counter."""
    save_control(txn, rules.start(incarnation, host))
    txn.put(SEQUENCE, (0).to_bytes(8, "big"))


def settle(txn: Txn, parsed: Parsed, host: str, number: Number) -> Control:
    """Start the store at its first use; start a new incarnation when it turned up on another host."""
    if txn.get(CONTROL) is None:
        initialise(txn, number(0), host)
    control = parsed.control(txn.get(CONTROL) or b"")
    if control.host != host:
        control = rules.adopt(control, host, number)
        save_control(txn, control)
    return control


def read(txn: ReadTxn, parsed: Parsed, task: str, key: bytes, generation: int) -> Lookup:
    """One snapshot of a key: records, watermarks, control, heartbeats."""
    get = txn.get
    control = parsed.control(get(CONTROL) or b"")
    current = generation or control.pointer(task)
    records, damaged = whole([get(overlay_of(task) + key), get(base_key(current, key)) if current else None])
    return Lookup(control, records, marks_of(get, records), parsed.beats(get(BEATS)), damaged)


def glimpse(get: Get, common: tuple[int, Control, Mapping[str, float]], task: str, key: bytes) -> RecordSnapshot | None:
    """The newest record of a key in one snapshot: the one to serve, if it may be served at all."""
    _, control, beats = common
    try:
        raw = get(overlay_of(task) + key)
        found = None if raw is None else split(raw)
        current = control.pointers.get(task)
        if current is not None and (raw := get(base_of(current.generation) + key)) is not None:
            base = split(raw)
            if found is None or newness(base[0]) > newness(found[0]):
                found = base
    except DamagedRecord:  # a read in full sees what is left, and counts it
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
    """A record that was read before, with what it is judged by in a snapshot."""
    _, control, beats = common
    return Lookup(control, (record,), marks_of(get, (record,)), beats)


def look_again(txn: ReadTxn, parsed: Parsed, record: Record) -> Lookup:
    """The same where no snapshot has a number."""
    marks = marks_of(txn.get, (record,))
    beats = parsed.beats(txn.get(BEATS))
    return Lookup(parsed.control(txn.get(CONTROL) or b""), (record,), marks, beats)


def tags_of(records: Sequence[Header]) -> dict[str, None]:
    """All tags that bind some records, each once."""
    return {tag: None for record in records for tag, _ in record.meta.tags.named}


def marks_of(get: Get, records: Sequence[Header]) -> dict[str, bytes]:
    """The watermarks of all tags of some records; a tag never raised is absent."""
    marks: dict[str, bytes] = {}
    for record in records:
        for tag, name in record.meta.tags.named:
            raw = get(name)
            if raw is not None:
                marks[tag] = raw
    return marks


def stamp(txn: ReadTxn, parsed: Parsed) -> tuple[Stamp, Control]:
    """The counter and the control record."""
    control = parsed.control(txn.get(CONTROL) or b"")
    return Stamp(control.incarnation, int.from_bytes(txn.get(SEQUENCE) or b"", "big")), control


def write(txn: Txn, parsed: Parsed, task: str, key: bytes, record: Record, *, now: float) -> bool:
    """A conditional write: a live record is never replaced by one with a lower or equal stamp.

    Nor is anything by what was stamped in an incarnation whose end was lost: whatever its number, it says nothing here.
    Only the record that is replaced must still be the one that was judged. A judgement that an event has overtaken
    keeps a dead record, which nobody is served; one that a rollback has overtaken may replace a record that is alive
    again by then, and the next read computes it.
    """
    name = overlay_key(task, key)
    overlay = txn.get(name)  # before the control record: one from before it could take what is newer for dead
    control = parsed.control(txn.peek(CONTROL) or b"")
    if not control.is_trusted:  # what is not served now may be again once the incarnation is blessed
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


def begin(txn: Txn, parsed: Parsed) -> tuple[int, Stamp, Control]:
    """Allocate a generation and read what it starts from."""
    at, control = stamp(txn, parsed)
    updated, generation = rules.begin(control)
    save_control(txn, updated)
    return generation, at, updated


def promote(txn: Txn, parsed: Parsed, promotion: Promotion) -> Control:
    """Move pointers, or raise."""
    updated = rules.promote(stamp(txn, parsed)[1], promotion)
    save_control(txn, updated)
    return updated


def rollback(txn: Txn, parsed: Parsed, task: str, now: float, built_with: Sequence[str]) -> int:
    """Withdraw the current generation; a step of the counter dates the withdrawal."""
    at, control = step(txn, parsed)
    updated, generation = rules.rollback(control, task, now, at.pack(), built_with)
    save_control(txn, updated)
    return generation


def quarantine(txn: Txn, parsed: Parsed, task: str, entry: Quarantine | None) -> Control:
    """Put a task in quarantine or clear it; a step of the counter dates it."""
    at, control = step(txn, parsed)
    updated = rules.quarantine(control, task, entry, at.pack())
    save_control(txn, updated)
    return updated


def withdraw(txn: Txn, parsed: Parsed, generations: Collection[int]) -> None:
    """Withdraw generations by number."""
    at, control = step(txn, parsed)
    save_control(txn, rules.withdraw(control, generations, at.pack()))


def step(txn: Txn, parsed: Parsed) -> tuple[Stamp, Control]:
    """Advance the counter by one."""
    at, control = stamp(txn, parsed)
    at = Stamp(at.incarnation, at.sequence + 1)
    txn.put(SEQUENCE, at.sequence.to_bytes(8, "big"))
    return at, control


def bless(txn: Txn, parsed: Parsed, seen: int, *, raise_floor: bool) -> Control:
    """Trust an incarnation."""
    control = rules.bless(stamp(txn, parsed)[1], seen, raise_floor=raise_floor)
    save_control(txn, control)
    return control


def raise_floor(txn: Txn, parsed: Parsed, to: bytes) -> None:
    """Declare what is below a stamp dead. Raises :class:`StoreError` for a stamp of an incarnation that was lost."""
    control = stamp(txn, parsed)[1]
    if not rules.has_lived_through(control, to):  # its number may be above everything that is stamped here
        raise StoreError("the store has lost the writes that this floor was taken from; try again", field="store")
    save_control(txn, rules.raise_floor(control, to))


def abandon(txn: Txn, parsed: Parsed, abandoned: Collection[int], retired: Collection[str]) -> set[int]:
    """Forget runs that will promote nothing, and retired places; returns the generations whose rows must stay."""
    control = rules.abandon(stamp(txn, parsed)[1], abandoned, retired)
    save_control(txn, control)
    return {g for p in control.pointers.values() for g in (p.generation, *p.history)} | set(control.running)


def drop_below(txn: Txn, parsed: Parsed, names: Sequence[bytes]) -> int:
    """Delete those of some watermarks and overlay records that are still at or below, or below, the floor.

    The floor as it is now: a loss may have taken back the one that they were listed under.
    """
    floor, dropped = parsed.control(txn.get(CONTROL) or b"").floor, 0
    for name in names:
        raw = txn.get(name)
        if raw is not None and is_below(name, raw, floor):
            txn.delete(name)
            dropped += 1
    return dropped


def is_below(name: bytes, raw: bytes, floor: bytes) -> bool:
    """Whether the floor makes an item needless: a watermark at or below it, a record below it."""
    return raw <= floor if name[:1] == MARK else raw[STAMP_AT] < floor


def swap(txn: Txn, name: str, expected: bytes | None, new: bytes | None) -> bool:
    """Compare and swap a small named value; ``None`` stands for none."""
    item = NAMED + name.encode()
    if txn.get(item) != expected:
        return False
    if new is not None:
        txn.put(item, new)
    elif expected is not None:
        txn.delete(item)
    return True
