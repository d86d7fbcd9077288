"""The port of a store's event log: raised tags, the applied position of each source, and parked events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from parbake.protocol import acks
from parbake.protocol.record import Stamp


class Parked(msgspec.Struct, frozen=True):
    """An event that could not be read: its source and position, the reason, the time (epoch seconds), and its bytes.

    ``number`` counts the parked events; the store assigns it.
    """

    source: str
    position: int
    reason: str
    at: float
    event: bytes
    number: int = 0


class Change(msgspec.Struct, frozen=True):
    """One event as the store applies it: the tags it raises, and for dedupe the CloudEvent's (source, id).

    An event that cannot be read is ``parked`` in the same commit. ``trace`` is the ``traceparent`` that it belongs to,
    which the event log keeps, and ``at`` is when it took effect, in epoch seconds (0 if unknown).
    """

    tags: tuple[str, ...]
    source: str = ""
    id: str = ""
    parked: Parked | None = None
    trace: str = ""
    at: float = 0.0


class Ack(msgspec.Struct, frozen=True):
    """The acknowledgement of changes that a store has made durable.

    Attributes:
        stamp: The stamp of the last change.
        raised: Each tag with its new sequence.
        duplicates: How many of the events the store had already applied.
        trusted: False while the store is being recovered: the tags are raised, but the event counts as acknowledged
            only once the incarnation is blessed.
        unknown: The families that no task and no source of the app declares, mostly because of a typing error.
        seal: Signs the ticket; an app adds it, a store does not.
        clock_skew: The heartbeat that was replaced in the same commit came from the future, so some clock is wrong.
    """

    stamp: Stamp
    raised: dict[str, int]
    duplicates: int = 0
    trusted: bool = True
    unknown: tuple[str, ...] = ()
    seal: acks.Seal | None = None
    clock_skew: bool = False

    @classmethod
    def together(cls, acks: Iterable[Ack]) -> Ack | None:
        """Merge acknowledgements, given in their order; those of an earlier incarnation are dropped."""
        last, raised, duplicates, trusted, unknown, seal = None, dict[str, int](), 0, True, set[str](), None
        for ack in acks:
            if last is not None and last.incarnation != ack.stamp.incarnation:
                raised.clear()
            last = ack.stamp
            raised.update(ack.raised)
            duplicates, trusted = duplicates + ack.duplicates, trusted and ack.trusted
            unknown.update(ack.unknown)
            seal = ack.seal or seal
        return None if last is None else cls(last, raised, duplicates, trusted, tuple(sorted(unknown)), seal)

    @property
    def tags(self) -> acks.Acks:
        """Each tag's new stamp, packed."""
        return {tag: Stamp(self.stamp.incarnation, sequence).pack() for tag, sequence in self.raised.items()}

    @property
    def ticket(self) -> str:
        """The acknowledgement as signed text, for later reads by its caller (``request(after=)``, ``parbake-after``).

        Raises :class:`parbake.errors.BadInput` unless an app of this process has returned the acknowledgement.
        """
        return acks.ticket(self.tags, self.seal)


class Applied(msgspec.Struct, frozen=True):
    """How far a source was applied.

    Attributes:
        position: The last applied position of an ordered log; 0 at the start.
        event_id: The beginning of that event's id, if known.
        cursor: The cursor of a log without an order; empty at the start.
    """

    position: int = 0
    event_id: str = ""
    cursor: bytes = b""


class Advance(msgspec.Struct, frozen=True):
    """The step in a source's position that a commit of changes makes.

    Attributes:
        source: The source's name.
        after: The applied position that the changes were polled after.
        last: The position that they reach.
        heard_at: When a poll that reached the end of the source began, in epoch seconds: its heartbeat, written in the
            same commit. ``None`` if the end was not reached.
    """

    source: str
    after: int
    last: int
    heard_at: float | None = None


class Move(msgspec.Struct, frozen=True):
    """The step in the cursor of a log without an order that a commit of changes makes.

    The changes are applied only if the store still has the cursor that they were read after. If it does not, another
    process has applied them, or some of them, and nothing is written.

    Attributes:
        source: The source's name.
        after: The cursor that the changes were read after; empty at the start.
        cursor: The cursor behind them.
        heard_at: As in :class:`Advance`.
    """

    source: str
    after: bytes
    cursor: bytes
    heard_at: float | None = None


Step = Advance | Move
"""How far a commit of changes takes their source."""


class Raised(msgspec.Struct, frozen=True, array_like=True):
    """One entry of the store's event log: a change with its stamp, its tags, its time, and its trace if it has one."""

    stamp: Stamp
    tags: tuple[str, ...]
    at: float
    trace: str = ""


class EventLog(Protocol):
    """Raises tags durably, and remembers how far each source was applied."""

    async def apply(self, changes: Sequence[Change], *, now: float, advance: Step | None = None) -> Ack:
        """Raise tags durably.

        Args:
            changes: The changes, in the order in which they took effect. Those up to the source's applied position are
                skipped, and so are all of them if the source's cursor is not the one that they were read after.
            now: Epoch seconds, for the event log.
            advance: How far the changes take their source, if they come from one.

        Raises:
            StoreError: The store is at an earlier position than ``advance.after``, so that events would be skipped.
        """
        ...

    async def applied(self, source: str) -> Applied:
        """The last applied position of a source with its event, read together, so that they match after a loss."""
        ...

    async def beat(self, source: str, at: float, *, now: float) -> bool:
        """Record the time at which a poll began that reached the end of a source.

        Args:
            source: The source's name.
            at: When the poll began, in epoch seconds; an earlier time than the recorded one changes nothing.
            now: The current time, in epoch seconds.

        Returns:
            ``False`` if the replaced heartbeat was later than ``now``, so that some clock is wrong.
        """
        ...

    async def park(self, parked: Parked) -> None:
        """Keep an event that cannot be read, or a new reason for a parked one; the oldest of too many are dropped."""
        ...

    async def parked(self, limit: int, after: tuple[str, int] = ("", 0)) -> list[Parked]:
        """At most ``limit`` parked events by source and position, beginning after ``after``."""
        ...

    async def unpark(self, source: str, position: int) -> bool:
        """Drop a parked event; ``False`` if it was not parked."""
        ...

    async def rewind(self, source: str, tags: Sequence[str], *, now: float) -> Ack:
        """Reset the position of a source and raise tags, in one step; the source is then read from its beginning.

        Args:
            source: The source's name.
            tags: The tags to raise, because the lost events are unknown.
            now: Epoch seconds, for the event log.
        """
        ...

    async def log(self, after: Stamp, limit: int) -> list[Raised]:
        """At most ``limit`` entries of the event log after a stamp, oldest first."""
        ...
