"""The steps for events: raise tags, append to the log, move positions and heartbeats, and park events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import msgspec

from parbake.errors import StoreError
from parbake.ports.event_log import Ack, Advance, Applied, Change, Parked, Raised
from parbake.ports.records import StoreState
from parbake.protocol.control import SEQUENCE_LIMIT, Control, renumber
from parbake.protocol.record import Stamp
from parbake.stores.steps import record_steps as engine
from parbake.stores.steps.record_steps import APPLIED, BEATS, LOG, PARKED, RING, SEEN, SEQUENCE, Parsed, ReadTxn, Txn

SEEN_LIMIT = 100_000
ITEMS_PER_CHANGE = 6
"""Most items that a change needs in a commit besides its tags: two of the log and four of the duplicate check."""
ITEMS_PER_PARKED = 3
"""Items that parking adds: the event, its place in the ring, and the event that it displaces."""
PARKED_LIMIT = 10_000
SKEW_S = 5.0
"""A heartbeat this many seconds later than the next one came from a wrong clock."""
ID_KEPT = 64
"""Length of the stored prefix of the last applied event's id, which identifies its log."""


def apply(txn: Txn, parsed: Parsed, changes: Sequence[Change], now: float, advance: Advance | None) -> Ack:
    """Raise tags: one step of the counter per change, in one transaction with the source's position and heartbeat.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        changes: The changes with their tags.
        now: The current time, in epoch seconds.
        advance: The source's new position; ``None`` if it stays.
    """
    at, control = engine.stamp(txn, parsed)
    is_sane = True
    if advance is not None:
        changes = _unapplied(txn, changes, advance)
        if advance.heard_at is not None:
            is_sane = beat(txn, parsed, advance.source, advance.heard_at)
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
        if change.parked is not None:
            park(txn, change.parked)
        txn.put(LOG + mark, msgspec.msgpack.encode(Raised(stamp, change.tags, now)))
        if sequence > SEEN_LIMIT:
            txn.delete(LOG + Stamp(control.incarnation, sequence - SEEN_LIMIT).pack())
    if changes:
        txn.put(SEQUENCE, sequence.to_bytes(8, "big"))
    at = Stamp(control.incarnation, sequence)
    return Ack(at, raised, duplicates, trusted=control.is_trusted, clock_skew=not is_sane)


def _next_incarnation(txn: Txn, control: Control) -> StoreState:
    """Start the next incarnation with a new counter, because the counter is at its limit. All its stamps are higher."""
    control = renumber(control)
    engine.save_control(txn, control)
    return StoreState(Stamp(control.incarnation, 0), control)


def _unapplied(txn: Txn, changes: Sequence[Change], advance: Advance) -> Sequence[Change]:
    """Drop the changes that another process applied first.

    The applied position ends a contiguous prefix of the changes. Raises :class:`StoreError` if the store has lost the
    changes that these follow.
    """
    source, after, last = advance.source, advance.after, advance.last
    done = applied(txn, source).position
    if done >= last:
        return ()
    if done < after:
        raise StoreError(
            f"the store has applied {source} up to {done} only, not {after}: it lost its last writes; poll again",
            field="store",
        )
    told = changes[-1].id[:ID_KEPT] if changes else ""
    txn.put(APPLIED + source.encode(), last.to_bytes(8, "big") + told.encode("utf-8", "surrogatepass"))
    return changes[done - after :] if len(changes) == last - after else changes


def applied(txn: ReadTxn, source: str) -> Applied:
    """The last applied position of a source, and the begin of that event's id."""
    raw = txn.get(APPLIED + source.encode()) or b""
    return Applied(int.from_bytes(raw[:8], "big"), raw[8:].decode("utf-8", "surrogatepass"))


def rewind(txn: Txn, parsed: Parsed, source: str, tags: Sequence[str], now: float) -> Ack:
    """Drop a source's applied position, and raise tags to cover the events that the source may replay.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        source: The source's name.
        tags: The tags to raise.
        now: The current time, in epoch seconds.
    """
    txn.delete(APPLIED + source.encode())
    return apply(txn, parsed, [Change(tuple(tags))], now, None)


def park(txn: Txn, parked: Parked) -> None:
    """Store an event that cannot be read. The event parked 10,000 events earlier is dropped."""
    name = parked_key(parked.source, parked.position)
    kept = txn.get(name)
    if kept is not None:
        number = msgspec.msgpack.decode(kept, type=Parked).number
    else:
        number = 1 + int.from_bytes(txn.get(RING) or b"", "big")
        txn.put(RING, number.to_bytes(8, "big"))
        _displace(txn, RING + (number % PARKED_LIMIT).to_bytes(8, "big"), name, number - PARKED_LIMIT)
    txn.put(name, msgspec.msgpack.encode(msgspec.structs.replace(parked, number=number)))


def _displace(txn: Txn, place: bytes, name: bytes, number: int) -> None:
    """Take a place in the ring and drop its previous event, unless that event was parked again since."""
    old = txn.peek(place)
    raw = txn.peek(old) if old is not None else None
    if old is not None and raw is not None and msgspec.msgpack.decode(raw, type=Parked).number == number:
        txn.delete(old)
    txn.put(place, name)


def unpark(txn: Txn, source: str, position: int) -> bool:
    """Forget a parked event.

    Args:
        txn: The transaction.
        source: The source's name.
        position: The event's position in the source.

    Returns:
        Whether it was parked.
    """
    name = parked_key(source, position)
    if txn.get(name) is None:
        return False
    txn.delete(name)
    return True


def parked_key(source: str, position: int) -> bytes:
    """The name of a parked event."""
    return PARKED + source.encode() + b"\0" + position.to_bytes(8, "big")


def _seen(txn: Txn, change: Change, sequence: int) -> int:
    """Record a (source, id) and count it if it is repeated.

    Only this count depends on it: tags are raised either way.
    """
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
    changes: Sequence[Change], advance: Advance | None, limit: int
) -> Iterator[tuple[Sequence[Change], Advance | None]]:
    """Cut changes into commits of at most ``limit`` items, in order.

    Within positions without gaps, each part gets its own position. Otherwise only the last part moves the position, so
    that an interrupted sequence is applied again.

    Args:
        changes: The changes with their tags.
        advance: The source's new position; ``None`` if it stays.
        limit: The greatest number of items in a commit.
    """
    start = weight = 0
    for n, change in enumerate(changes):
        more = len(change.tags) + ITEMS_PER_CHANGE + (ITEMS_PER_PARKED if change.parked else 0)
        if n > start and weight + more > limit:
            yield changes[start:n], _part(changes, advance, start, n)
            start, weight = n, 0
        weight += more
    last = _part(changes, advance, start, len(changes))
    yield changes[start:], msgspec.structs.replace(last, heard_at=advance.heard_at) if advance and last else advance


def _part(changes: Sequence[Change], advance: Advance | None, start: int, end: int) -> Advance | None:
    if advance is None or len(changes) != advance.last - advance.after:
        return None
    return Advance(advance.source, advance.after + start, advance.after + end)


def beat(txn: Txn, parsed: Parsed, source: str, at: float) -> bool:
    """Store the newest heartbeat of a source. A heartbeat from the future is replaced, because it would hide silence.

    Args:
        txn: The transaction.
        parsed: The cache of decoded records.
        source: The source's name.
        at: Time of the heartbeat, in epoch seconds.

    Returns:
        ``False`` if the replaced heartbeat came from the future.
    """
    beats = dict(parsed.beats(txn.get(BEATS)))
    known = beats.get(source, 0.0)
    is_sane = known <= at + SKEW_S
    beats[source] = max(at, known) if is_sane else at
    txn.put(BEATS, msgspec.msgpack.encode(beats))
    return is_sane
