"""The steps for events: raise tags, append to the log, move positions and heartbeats, and park events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import msgspec

from parbake.errors import StoreError
from parbake.ports.event_log import Ack, Advance, Applied, Change, Move, Parked, Raised, Step
from parbake.ports.records import StoreState
from parbake.protocol.control import SEQUENCE_LIMIT, STORE_FORMAT, Control, renumber
from parbake.protocol.record import Stamp
from parbake.stores.steps.item_names import APPLIED, BEATS, LOG, RING, SEEN, SEQUENCE, mark_key, parked_key
from parbake.stores.steps.lookups import Get
from parbake.stores.steps.record_steps import RecordSteps
from parbake.values.words import Words

SEEN_LIMIT = 100_000
COMMON_ITEMS = 5
"""Items that every application of events may write: counter, control record, position, heartbeats, parked count."""
_ITEMS_PER_CHANGE = 6
"""Most items that a change needs in a commit besides its tags: two of the log and four of the duplicate check."""
_ITEMS_PER_PARKED = 3
"""Items that parking adds: the event, its place in the ring, and the event that it displaces."""
PARKED_LIMIT = 10_000
SKEW_S = 5.0
"""A heartbeat this many seconds later than the next one came from a wrong clock."""
_ID_KEPT = 64
"""Length of the stored prefix of the last applied event's id, which identifies its log."""


_CURSOR = b"\xff"
"""The first byte of a stored cursor. A position is lower than 2**63 and does not begin with it."""


def applied(get: Get, source: str) -> Applied:
    """The last applied position of a source and the begin of that event's id, or its cursor."""
    raw = get(APPLIED + source.encode()) or b""
    if raw.startswith(_CURSOR):
        return Applied(cursor=raw[1:])
    return Applied(int.from_bytes(raw[:8], "big"), raw[8:].decode("utf-8", "surrogatepass"))


def split(
    changes: Sequence[Change], advance: Step | None, limit: int
) -> Iterator[tuple[Sequence[Change], Step | None]]:
    """Cut changes into commits of at most ``limit`` items, in order.

    Within positions without gaps, each part gets its own position. Otherwise only the last part moves the position or
    the cursor, so that an interrupted sequence is applied again.

    Args:
        changes: The changes with their tags.
        advance: The source's new position; ``None`` if it stays.
        limit: The greatest number of items in a commit.
    """
    start = weight = 0
    for n, change in enumerate(changes):
        more = len(change.tags) + _ITEMS_PER_CHANGE + (_ITEMS_PER_PARKED if change.parked else 0)
        if n > start and weight + more > limit:
            yield changes[start:n], _part(changes, advance, start, n)
            start, weight = n, 0
        weight += more
    last = _part(changes, advance, start, len(changes))
    yield changes[start:], msgspec.structs.replace(last, heard_at=advance.heard_at) if advance and last else advance


def _part(changes: Sequence[Change], advance: Step | None, start: int, end: int) -> Advance | None:
    if not isinstance(advance, Advance) or len(changes) != advance.last - advance.after:
        return None
    return Advance(advance.source, advance.after + start, advance.after + end)


class StoreSteps(RecordSteps):
    """All steps that one transaction can take: those on records, and those for events."""

    def apply(self, changes: Sequence[Change], now: float, advance: Step | None) -> Ack:
        """Raise tags: one step of the counter per change, in one transaction with the source's position and heartbeat.

        Args:
            changes: The changes with their tags.
            now: The current time, in epoch seconds.
            advance: The source's new position or cursor; ``None`` if it stays.
        """
        at, control = self.stamp()
        is_sane = True
        if isinstance(advance, Move) and not self._moved(advance, control):
            return Ack(at, {}, trusted=control.is_trusted)
        if isinstance(advance, Advance):
            changes = self._unapplied(changes, advance)
        if advance is not None and advance.heard_at is not None:
            is_sane = self.beat(advance.source, advance.heard_at, now)
        if at.sequence + len(changes) >= SEQUENCE_LIMIT:
            at, control = self._next_incarnation(control)
        sequence, raised, duplicates = at.sequence, {}, 0
        for change in changes:
            sequence += 1
            duplicates += self._seen(change, sequence)
            stamp = Stamp(control.incarnation, sequence)
            mark = stamp.pack()
            for tag in change.tags:
                self._txn.put(mark_key(tag), mark)
                raised[tag] = sequence
            if change.parked is not None:
                self.park(change.parked)
            self._txn.put(LOG + mark, msgspec.msgpack.encode(Raised(stamp, change.tags, now, change.trace)))
            if sequence > SEEN_LIMIT:
                self._txn.delete(LOG + Stamp(control.incarnation, sequence - SEEN_LIMIT).pack())
        if changes:
            self._txn.put(SEQUENCE, sequence.to_bytes(8, "big"))
        at = Stamp(control.incarnation, sequence)
        return Ack(at, raised, duplicates, trusted=control.is_trusted, clock_skew=not is_sane)

    def _next_incarnation(self, control: Control) -> StoreState:
        """Start the next incarnation, because the counter is at its limit; all stamps of it are higher."""
        control = self.save(renumber(control))
        return StoreState(Stamp(control.incarnation, 0), control)

    def _moved(self, move: Move, control: Control) -> bool:
        """Move a source's cursor; ``False`` if another process has moved it since the changes were read."""
        if applied(self._get, move.source).cursor != move.after:
            return False
        if control.format < STORE_FORMAT:  # earlier versions would read the cursor as a position
            self.save(msgspec.structs.replace(control, format=STORE_FORMAT))
        self._txn.put(APPLIED + move.source.encode(), _CURSOR + move.cursor)
        return True

    def _unapplied(self, changes: Sequence[Change], advance: Advance) -> Sequence[Change]:
        """Drop the changes that another process applied first.

        The applied position ends a contiguous prefix of the changes. Raises :class:`StoreError` if the store has lost
        the changes that these follow.
        """
        source, after, last = advance.source, advance.after, advance.last
        done = applied(self._get, source).position
        if done >= last:
            return ()
        if done < after:
            raise StoreError(
                f"the store has applied {source} up to {done} only, not {after}: it lost its last writes; poll again",
                field="store",
            )
        told = changes[-1].id[:_ID_KEPT] if changes else ""
        self._txn.put(APPLIED + source.encode(), last.to_bytes(8, "big") + told.encode("utf-8", "surrogatepass"))
        return changes[done - after :] if len(changes) == last - after else changes

    def rewind(self, source: str, tags: Sequence[str], now: float) -> Ack:
        """Drop a source's applied position, and raise tags to cover the events that the source may replay.

        The heartbeat is dropped, too: until the source was read to its end again, nothing is known of it.

        Args:
            source: The source's name.
            tags: The tags to raise.
            now: The current time, in epoch seconds.
        """
        self._forget_source(source)
        return self.apply([Change(tuple(tags))], now, None)

    def forget_cursors(self, applied_items: Sequence[tuple[bytes, bytes]]) -> None:
        """Forget how far sources without an order were read, and their heartbeats.

        Args:
            applied_items: The items that say how far sources were read, each with its name.
        """
        for name, raw in applied_items:
            if raw.startswith(_CURSOR):
                self._forget_source(name.removeprefix(APPLIED).decode())

    def _forget_source(self, source: str) -> None:
        self._txn.delete(APPLIED + source.encode())
        beats = dict(self._parsed.beats(self._get(BEATS)))
        if beats.pop(source, None) is not None:
            self._txn.put(BEATS, msgspec.msgpack.encode(beats))

    def park(self, parked: Parked) -> None:
        """Store an event that cannot be read. The event parked 10,000 events earlier is dropped."""
        name = parked_key(parked.source, parked.position)
        kept = self._get(name)
        if kept is not None:
            number = msgspec.msgpack.decode(kept, type=Parked).number
        else:
            number = 1 + int.from_bytes(self._get(RING) or b"", "big")
            self._txn.put(RING, number.to_bytes(8, "big"))
            self._displace(RING + (number % PARKED_LIMIT).to_bytes(8, "big"), name, number - PARKED_LIMIT)
        self._txn.put(name, msgspec.msgpack.encode(msgspec.structs.replace(parked, number=number)))

    def _displace(self, place: bytes, name: bytes, number: int) -> None:
        """Take a place in the ring and drop its previous event, unless that event was parked again since."""
        old = self._txn.peek(place)
        raw = self._txn.peek(old) if old is not None else None
        if old is not None and raw is not None and msgspec.msgpack.decode(raw, type=Parked).number == number:
            self._txn.delete(old)
        self._txn.put(place, name)

    def unpark(self, source: str, position: int) -> bool:
        """Forget a parked event.

        Args:
            source: The source's name.
            position: The event's position in the source.

        Returns:
            Whether it was parked.
        """
        name = parked_key(source, position)
        if self._get(name) is None:
            return False
        self._txn.delete(name)
        return True

    def _seen(self, change: Change, sequence: int) -> int:
        """Record a (source, id) and count it if it is repeated.

        Only this count depends on it: tags are raised either way.
        """
        if not change.id:
            return 0
        name = SEEN + blake2b(msgspec.msgpack.encode((change.source, change.id)), digest_size=16).digest()
        known = self._txn.peek(name) is not None
        self._txn.put(name, sequence.to_bytes(8, "big"))
        self._txn.put(SEEN + b"\0" + sequence.to_bytes(8, "big"), name)
        if sequence > SEEN_LIMIT:
            self._forget((sequence - SEEN_LIMIT).to_bytes(8, "big"))
        return int(known)

    def _forget(self, old: bytes) -> None:
        forgotten = self._txn.peek(SEEN + b"\0" + old)
        if forgotten is not None:
            self._txn.delete(SEEN + b"\0" + old)
            if self._txn.peek(forgotten) == old:
                self._txn.delete(forgotten)

    def beat(self, source: str, at: float, now: float) -> bool:
        """Store the newest heartbeat of a source.

        A heartbeat from the future is replaced, because it would hide silence.

        Args:
            source: The source's name.
            at: Time of the heartbeat, in epoch seconds: a poll that took long brings an old one.
            now: The current time, in epoch seconds.

        Returns:
            ``False`` if the replaced heartbeat came from the future.
        """
        beats = dict(self._parsed.beats(self._get(BEATS)))
        known = beats.get(source, 0.0)
        is_sane = known <= now + SKEW_S
        beats[source] = max(at, known) if is_sane else at
        self._txn.put(BEATS, msgspec.msgpack.encode(beats))
        return is_sane


def without(entry: bytes, words: Words) -> bytes | None:
    """An entry of the event log without the tags that have one of some words; ``None`` if it has none.

    Args:
        entry: The encoded entry.
        words: The words.
    """
    raised = msgspec.msgpack.decode(entry, type=Raised)
    tags = tuple(tag for tag in raised.tags if not words.in_text(tag))
    return None if tags == raised.tags else msgspec.msgpack.encode(msgspec.structs.replace(raised, tags=tags))
