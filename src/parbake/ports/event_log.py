"""What a store keeps of changes: raised tags, how far each source was applied, and events not understood."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from parbake.fence import acks
from parbake.fence.record import Stamp


class Parked(msgspec.Struct, frozen=True):
    """An event that was passed without being understood: where it stood, why, when (epoch seconds), and its bytes.

    ``number`` counts the parked events of a store; it is the store's own.
    """

    source: str
    position: int
    reason: str
    at: float
    event: bytes
    number: int = 0


class Change(msgspec.Struct, frozen=True):
    """One event as the store applies it: the tags it raises, and for dedupe the CloudEvent's (source, id).

    An event that was not understood is ``parked`` in the same commit.
    """

    tags: tuple[str, ...]
    source: str = ""
    id: str = ""
    parked: Parked | None = None


class Ack(msgspec.Struct, frozen=True):
    """What was made durable.

    Attributes:
        stamp: The stamp of the last change.
        raised: Each tag with its new sequence.
        duplicates: How many events the store had seen before.
        trusted: False while the store is being recovered: the tags are raised, but the event counts as acknowledged
            only once the incarnation is blessed.
        unknown: The families that no task and no source of the app knows, mostly because of a typing error.
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
        """What some acknowledgements say, in their order; what an earlier incarnation raised says nothing now."""
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
        """The same as signed text, for a later read of this caller (``app.request(after=)``, header ``parbake-after``).

        Raises :class:`parbake.errors.BadInput` unless an app of this process has returned the acknowledgement.
        """
        return acks.ticket(self.tags, self.seal)


class Applied(msgspec.Struct, frozen=True):
    """How far a source was applied: 0 at the start; ``event_id`` is how the id of the event there begins, if known."""

    position: int = 0
    event_id: str = ""


class Advance(msgspec.Struct, frozen=True):
    """How far some changes take a source.

    Attributes:
        source: The source's name.
        after: The applied position that the changes were polled after.
        last: The position that they reach.
        heard_at: When a poll that reached the end of the source began, in epoch seconds: its heartbeat, which is kept
            in the same commit. ``None`` where the end was not reached.
    """

    source: str
    after: int
    last: int
    heard_at: float | None = None


class Raised(msgspec.Struct, frozen=True, array_like=True):
    """One entry of the store's event log."""

    stamp: Stamp
    tags: tuple[str, ...]
    at: float


class EventLog(Protocol):
    """Raises tags durably, and remembers how far each source was applied."""

    async def apply(self, changes: Sequence[Change], *, now: float, advance: Advance | None = None) -> Ack:
        """Raise tags durably.

        Args:
            changes: What to raise, in the order in which it took effect. What a source's position says is applied
                already is skipped.
            now: Epoch seconds, for the event log.
            advance: How far the changes take their source, if they come from one.

        Raises:
            StoreError: The store has gone back to before ``advance.after``, so that something between would be passed
                over.
        """
        ...

    async def applied(self, source: str) -> Applied:
        """How far a source was applied, with the event there: one reading, since both can go back together."""
        ...

    async def beat(self, source: str, at: float) -> bool:
        """Record that a source was polled to its end at a time read before the poll.

        ``False`` when the heartbeat that it replaced came from the future: some clock is wrong.
        """
        ...

    async def park(self, parked: Parked) -> None:
        """Keep an event that was not understood, or a new reason for one that is kept; the oldest of many go."""
        ...

    async def parked(self, limit: int, after: tuple[str, int] = ("", 0)) -> list[Parked]:
        """Parked events by source and position, those after one."""
        ...

    async def unpark(self, source: str, position: int) -> bool:
        """Forget a parked event; ``False`` when there was none."""
        ...

    async def rewind(self, source: str, tags: Sequence[str], *, now: float) -> Ack:
        """Forget how far a source was applied and raise tags, in one step: it will be read from its beginning.

        Args:
            source: The source's name.
            tags: What to raise, since what the source lost is not known.
            now: Epoch seconds, for the event log.
        """
        ...

    async def log(self, after: Stamp, limit: int) -> list[Raised]:
        """Entries of the event log after a stamp, oldest first."""
        ...
