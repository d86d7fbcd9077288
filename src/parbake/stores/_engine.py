"""What the embedded stores share: the protocol's steps over any ordered byte map with transactions.

A driver gives a transaction with ``get``, ``put``, ``delete`` and ``items(prefix)``; the steps below are the same
code for a file and for memory, so that both keep the same guarantee.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol

import msgspec

from parbake.artifact import Record, Stamp, decode, encode
from parbake.fence.check import killed_by, may_replace, newness
from parbake.fence.control import Control, Promotion, abandon, begin, promote, rollback
from parbake.ports import Ack, Change, Lookup, Raised

CONTROL, SEQUENCE, BEATS = b"c", b"q", b"h"
MARK, OVERLAY, BASE, LOG, APPLIED, SEEN, NAMED = b"w", b"o", b"b", b"e", b"a", b"s", b"n"
PARKED = b"p"
LISTED = (OVERLAY, BASE, LOG, MARK, PARKED)
SEEN_LIMIT = 100_000


class ReadTxn(Protocol):
    """What a read of one key needs of a transaction; a driver's own object will do, without a wrapper."""

    def get(self, key: bytes, /) -> bytes | None:
        """Read one key."""
        ...


class Txn(ReadTxn, Protocol):
    """A transaction over an ordered byte map."""

    def put(self, key: bytes, value: bytes, /) -> object:
        """Write one key."""
        ...

    def delete(self, key: bytes, /) -> object:
        """Remove one key."""
        ...

    def items(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys with a prefix in order, from ``start`` on when given."""
        ...


class Parsed:
    """Decodes the control record and heartbeats only when their bytes change."""

    def __init__(self) -> None:
        """Start with nothing parsed."""
        self._control: tuple[bytes, Control] | None = None
        self._beats: tuple[bytes, dict[str, float]] | None = None
        self._as_control = msgspec.msgpack.Decoder(Control).decode
        self._as_beats = msgspec.msgpack.Decoder(dict[str, float]).decode

    def control(self, raw: bytes) -> Control:
        """The control record."""
        kept = self._control
        if kept is None or kept[0] != raw:
            kept = self._control = (raw, self._as_control(raw))
        return kept[1]

    def beats(self, raw: bytes | None) -> Mapping[str, float]:
        """The heartbeats."""
        if raw is None:
            return {}
        kept = self._beats
        if kept is None or kept[0] != raw:
            kept = self._beats = (raw, self._as_beats(raw))
        return kept[1]


def is_listed(name: bytes) -> bool:
    """Whether an item, or a prefix, is one of those that are ever listed in order: results, the log, what is parked."""
    return name[:1] in LISTED


def overlay_key(task: str, key: bytes) -> bytes:
    """Where an event or on-demand result lies."""
    return OVERLAY + task.encode() + b"\0" + key


def base_key(generation: int, key: bytes) -> bytes:
    """Where a batch result lies."""
    return BASE + generation.to_bytes(8, "big") + key


def initialise(txn: Txn, incarnation: int) -> None:
    """Write an empty store's control record: a new incarnation has lost nothing, so it is blessed."""
    txn.put(CONTROL, msgspec.msgpack.encode(Control(incarnation=incarnation, blessed=incarnation)))
    txn.put(SEQUENCE, (0).to_bytes(8, "big"))


def read(txn: ReadTxn, parsed: Parsed, task: str, key: bytes, generation: int) -> Lookup:
    """One snapshot of a key: records, watermarks, control, heartbeats."""
    control = parsed.control(txn.get(CONTROL) or b"")
    current = generation or control.pointer(task)
    raws = [txn.get(overlay_key(task, key)), txn.get(base_key(current, key)) if current else None]
    records = tuple(decode(raw) for raw in raws if raw is not None)
    return Lookup(control, records, marks_of(txn, records), parsed.beats(txn.get(BEATS)))


def marks_of(txn: ReadTxn, records: Sequence[Record]) -> dict[str, bytes]:
    """The watermarks of all tags of some records; a tag never raised is absent."""
    marks: dict[str, bytes] = {}
    for record in records:
        tags = record.meta.tags
        for tag in tags.fences:
            _mark(txn, marks, tag)
        for tag, _ in tags.refreshes:
            _mark(txn, marks, tag)
    return marks


def _mark(txn: ReadTxn, marks: dict[str, bytes], tag: str) -> None:
    raw = txn.get(MARK + tag.encode())
    if raw is not None:
        marks[tag] = raw


def stamp(txn: ReadTxn, parsed: Parsed) -> tuple[Stamp, Control]:
    """The counter and the control record."""
    control = parsed.control(txn.get(CONTROL) or b"")
    return Stamp(control.incarnation, int.from_bytes(txn.get(SEQUENCE) or b"", "big")), control


def write(txn: Txn, parsed: Parsed, task: str, key: bytes, record: Record, *, now: float) -> bool:
    """A conditional write: a live record is never replaced by one with a lower or equal stamp."""
    lookup = read(txn, parsed, task, key, 0)
    for stored in lookup.records:
        alive = killed_by(stored, lookup.control, lookup.marks, now=now) is None
        is_overlay = stored.meta.generation == 0
        if is_overlay and not may_replace(stored, record, stored_is_alive=alive):
            return False
        if not is_overlay and alive and newness(stored) > newness(record):
            return False
    txn.put(overlay_key(task, key), encode(record))
    return True


def save_control(txn: Txn, control: Control) -> None:
    """Replace the control record."""
    txn.put(CONTROL, msgspec.msgpack.encode(control))


def begin_run(txn: Txn, parsed: Parsed) -> tuple[int, Stamp, Control]:
    """Allocate a generation and read what it starts from."""
    at, control = stamp(txn, parsed)
    updated, generation = begin(control)
    save_control(txn, updated)
    return generation, at, updated


def promote_run(txn: Txn, parsed: Parsed, promotion: Promotion) -> Control:
    """Move pointers, or raise."""
    updated = promote(stamp(txn, parsed)[1], promotion)
    save_control(txn, updated)
    return updated


def roll_back(txn: Txn, parsed: Parsed, task: str, now: float, built_with: Sequence[str]) -> int:
    """Withdraw the current generation."""
    updated, generation = rollback(stamp(txn, parsed)[1], task, now, built_with)
    save_control(txn, updated)
    return generation


def apply(
    txn: Txn, parsed: Parsed, changes: Sequence[Change], now: float, position: tuple[str, int, int] | None
) -> Ack:
    """Raise tags: one step of the counter per change, all in one transaction with the source's position."""
    at, control = stamp(txn, parsed)
    sequence, raised, duplicates = at.sequence, {}, 0
    if position is not None:
        changes = _unapplied(txn, changes, position)
    for change in changes:
        sequence += 1
        duplicates += _seen(txn, change, sequence)
        mark = Stamp(control.incarnation, sequence).pack()
        for tag in change.tags:
            txn.put(MARK + tag.encode(), mark)
            raised[tag] = sequence
        txn.put(LOG + sequence.to_bytes(8, "big"), msgspec.msgpack.encode(Raised(sequence, change.tags, now)))
        txn.delete(LOG + (sequence - SEEN_LIMIT).to_bytes(8, "big", signed=True))
    txn.put(SEQUENCE, sequence.to_bytes(8, "big"))
    return Ack(Stamp(control.incarnation, sequence), raised, duplicates)


def _unapplied(txn: Txn, changes: Sequence[Change], position: tuple[str, int, int]) -> Sequence[Change]:
    """Drop the changes another process applied first; the applied position ends a contiguous prefix."""
    source, first, last = position
    name = APPLIED + source.encode()
    done = int.from_bytes(txn.get(name) or b"", "big")
    if done >= last:
        return ()
    txn.put(name, last.to_bytes(8, "big"))
    return changes[max(0, done - first + 1) :] if len(changes) == last - first + 1 else changes


def _seen(txn: Txn, change: Change, sequence: int) -> int:
    """Count a repeated (source, id). Only the count depends on this memory: its tags are raised again either way."""
    if not change.id:
        return 0
    name = SEEN + blake2b(msgspec.msgpack.encode((change.source, change.id)), digest_size=16).digest()
    known = txn.get(name) is not None
    txn.put(name, sequence.to_bytes(8, "big"))
    txn.put(SEEN + b"\0" + sequence.to_bytes(8, "big"), name)
    old = max(0, sequence - SEEN_LIMIT).to_bytes(8, "big")
    forgotten = txn.get(SEEN + b"\0" + old)
    if forgotten is not None:
        txn.delete(SEEN + b"\0" + old)
        if txn.get(forgotten) == old:
            txn.delete(forgotten)
    return int(known)


def beat(txn: Txn, parsed: Parsed, source: str, at: float) -> None:
    """Keep the newest heartbeat of a source."""
    beats = dict(parsed.beats(txn.get(BEATS)))
    beats[source] = max(at, beats.get(source, 0.0))
    txn.put(BEATS, msgspec.msgpack.encode(beats))


def event_log(txn: Txn, after: int, limit: int) -> list[Raised]:
    """Log entries after a sequence."""
    entries: list[Raised] = []
    for _, raw in txn.items(LOG, LOG + (after + 1).to_bytes(8, "big")):
        entries.append(msgspec.msgpack.decode(raw, type=Raised))
        if len(entries) == limit:
            break
    return entries


def swap(txn: Txn, name: str, expected: bytes | None, new: bytes) -> bool:
    """Compare and swap a small named value."""
    if txn.get(NAMED + name.encode()) != expected:
        return False
    txn.put(NAMED + name.encode(), new)
    return True


def scan(txn: Txn, parsed: Parsed, task: str) -> Iterator[tuple[bytes, Lookup]]:
    """All keys of a task, overlay and current base together."""
    control = parsed.control(txn.get(CONTROL) or b"")
    beats = parsed.beats(txn.get(BEATS))
    prefix, current = overlay_key(task, b""), control.pointer(task)
    base_prefix = base_key(current, b"")
    seen: set[bytes] = set()
    for name, raw in txn.items(prefix):
        key = name[len(prefix) :]
        seen.add(key)
        base = txn.get(base_key(current, key)) if current else None
        records = tuple(decode(r) for r in (raw, base) if r is not None)
        yield key, Lookup(control, records, marks_of(txn, records), beats)
    for name, raw in txn.items(base_prefix) if current else ():
        key = name[len(base_prefix) :]
        if key not in seen:
            records = (decode(raw),)
            yield key, Lookup(control, records, marks_of(txn, records), beats)


def sweep(txn: Txn, parsed: Parsed, abandoned: Collection[int]) -> int:
    """Delete base rows of generations that nothing points to and that no running batch may still promote."""
    control = abandon(parsed.control(txn.get(CONTROL) or b""), abandoned)
    save_control(txn, control)
    retained = {g for p in control.pointers.values() for g in (p.generation, *p.history)} | set(control.running)
    doomed = [name for name, _ in txn.items(BASE) if int.from_bytes(name[1:9], "big") not in retained]
    for name in doomed:
        txn.delete(name)
    return len(doomed)
