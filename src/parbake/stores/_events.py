"""The steps that events take in a store: tags are raised, the log grows, positions and heartbeats move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import msgspec

from parbake.artifact import Stamp
from parbake.errors import StoreError
from parbake.fence.control import SEQUENCE_LIMIT, Control, renumber
from parbake.ports import Ack, Change, Raised
from parbake.stores import _engine as engine
from parbake.stores._engine import APPLIED, BEATS, LOG, SEEN, SEQUENCE, Parsed, Txn

SEEN_LIMIT = 100_000
ITEMS_PER_CHANGE = 6
"""At most so many items of a commit belong to a change besides its tags: the log's two and the memory's four."""
Position = tuple[str, int, int]
"""A source's name, the applied position that some changes were polled after, and the last position they reach."""


def apply(txn: Txn, parsed: Parsed, changes: Sequence[Change], now: float, position: Position | None) -> Ack:
    """Raise tags: one step of the counter per change, all in one transaction with the source's position."""
    at, control = engine.stamp(txn, parsed)
    if position is not None:
        changes = _unapplied(txn, changes, position)
    if at.sequence + len(changes) >= SEQUENCE_LIMIT:
        at, control = _next_incarnation(txn, control)
    sequence, raised, duplicates = at.sequence, {}, 0
    for change in changes:
        sequence += 1
        duplicates += _seen(txn, change, sequence)
        stamp = Stamp(control.incarnation, sequence)
        mark = stamp.pack()
        for tag in change.tags:
            txn.put(engine.mark_key(tag), mark)
            raised[tag] = sequence
        txn.put(LOG + mark, msgspec.msgpack.encode(Raised(stamp, change.tags, now)))
        if sequence > SEEN_LIMIT:
            txn.delete(LOG + Stamp(control.incarnation, sequence - SEEN_LIMIT).pack())
    if changes:
        txn.put(SEQUENCE, sequence.to_bytes(8, "big"))
    return Ack(Stamp(control.incarnation, sequence), raised, duplicates, trusted=control.is_trusted)


def _next_incarnation(txn: Txn, control: Control) -> tuple[Stamp, Control]:
    """The counter is at its limit: it starts again in the next incarnation, whose stamps are all higher."""
    control = renumber(control)
    engine.save_control(txn, control)
    return Stamp(control.incarnation, 0), control


def _unapplied(txn: Txn, changes: Sequence[Change], position: Position) -> Sequence[Change]:
    """Drop the changes another process applied first; the applied position ends a contiguous prefix.

    Raises :class:`StoreError` when the store has gone back to before what these changes follow.
    """
    source, after, last = position
    name = APPLIED + source.encode()
    done = int.from_bytes(txn.get(name) or b"", "big")
    if done >= last:
        return ()
    if done < after:
        raise StoreError(
            f"the store has applied {source} up to {done} only, not {after}: it lost its last writes; poll again",
            field="store",
        )
    txn.put(name, last.to_bytes(8, "big"))
    return changes[done - after :] if len(changes) == last - after else changes


def _seen(txn: Txn, change: Change, sequence: int) -> int:
    """Count a repeated (source, id). Only the count depends on this memory: its tags are raised again either way."""
    if not change.id:
        return 0
    name = SEEN + blake2b(msgspec.msgpack.encode((change.source, change.id)), digest_size=16).digest()
    known = txn.peek(name) is not None
    txn.put(name, sequence.to_bytes(8, "big"))
    txn.put(SEEN + b"\0" + sequence.to_bytes(8, "big"), name)
    if sequence > SEEN_LIMIT:
        _forget(txn, (sequence - SEEN_LIMIT).to_bytes(8, "big"))
    return int(known)


def _forget(txn: Txn, old: bytes) -> None:
    forgotten = txn.peek(SEEN + b"\0" + old)
    if forgotten is not None:
        txn.delete(SEEN + b"\0" + old)
        if txn.peek(forgotten) == old:
            txn.delete(forgotten)


def split(
    changes: Sequence[Change], position: Position | None, limit: int
) -> Iterator[tuple[Sequence[Change], Position | None]]:
    """Cut changes into commits of at most ``limit`` items, in order.

    A cut within positions without gaps keeps each part's own; otherwise only the last part moves the position, so that
    what is interrupted is applied again.
    """
    start = weight = 0
    for n, change in enumerate(changes):
        more = len(change.tags) + ITEMS_PER_CHANGE
        if n > start and weight + more > limit:
            yield changes[start:n], _part(changes, position, start, n)
            start, weight = n, 0
        weight += more
    yield changes[start:], _part(changes, position, start, len(changes)) or position


def _part(changes: Sequence[Change], position: Position | None, start: int, end: int) -> Position | None:
    if position is None or len(changes) != position[2] - position[1] + 1:
        return None
    return position[0], position[1] + start, position[1] + end


def beat(txn: Txn, parsed: Parsed, source: str, at: float) -> None:
    """Keep the newest heartbeat of a source."""
    beats = dict(parsed.beats(txn.get(BEATS)))
    beats[source] = max(at, beats.get(source, 0.0))
    txn.put(BEATS, msgspec.msgpack.encode(beats))
