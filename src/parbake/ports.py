"""The ports: what parbake asks of stores, sources, models and clocks. Adapters import only this and what is below."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from parbake.artifact import Header, Record, Stamp
from parbake.cause import Reason
from parbake.fence import acks
from parbake.fence.control import Control, Promotion, Quarantine

ViewT = TypeVar("ViewT")


class Lookup(msgspec.Struct, frozen=True, gc=False):
    """One consistent read: the records of a key (overlay first), the watermarks of their tags, and the control record.

    ``heartbeats`` maps a source's name to the time (epoch seconds) before the last poll that was applied to its end.
    ``damaged`` counts records of the key that are not as they were written; they are not among the others.
    """

    control: Control
    records: tuple[Record, ...]
    marks: Mapping[str, bytes]
    heartbeats: Mapping[str, float]
    damaged: int = 0


class Glimpse(msgspec.Struct, frozen=True, gc=False):
    """A key's newest record, not made into one, with what it is judged by; see :class:`Lookup`."""

    control: Control
    header: Header
    payload: bytes
    marks: Mapping[str, bytes]
    heartbeats: Mapping[str, float]


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
    """What was made durable: the stamp of the last change, each tag's new sequence, and how many were seen before.

    Without ``trusted`` the store is still being recovered: the tags are raised, but the event counts as acknowledged
    only once the incarnation is blessed. ``unknown`` are the families that no task and no source of the app knows:
    mostly a typing error. An app adds the ``seal`` that signs its ticket; a store adds none.
    """

    stamp: Stamp
    raised: dict[str, int]
    duplicates: int = 0
    trusted: bool = True
    unknown: tuple[str, ...] = ()
    seal: acks.Seal | None = None

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


class Raised(msgspec.Struct, frozen=True, array_like=True):
    """One entry of the store's event log."""

    stamp: Stamp
    tags: tuple[str, ...]
    at: float


class Store(Protocol):
    """Keeps records, watermarks and the control record; safe for several processes.

    Writes return only once they are durable. Every method raises :class:`parbake.errors.StoreError`.
    """

    async def read(self, task: str, key: bytes, *, generation: int = 0) -> Lookup:
        """Read a key's records in one snapshot. ``generation`` overrides the pointer (a run reading its own output)."""
        ...

    async def stamp(self) -> tuple[Stamp, Control]:
        """Read the counter and the control record, before a computation's first input."""
        ...

    async def write(self, task: str, key: bytes, record: Record, *, now: float) -> bool:
        """Write an event or on-demand result under the write rule; ``False`` when a better one is stored."""
        ...

    async def write_base(self, task: str, generation: int, rows: Sequence[tuple[bytes, Record]]) -> None:
        """Write rows of an unpromoted generation."""
        ...

    async def begin(self) -> tuple[int, Stamp, Control]:
        """Allocate a generation; returns it with the stamp and control record it starts from."""
        ...

    async def promote(self, promotion: Promotion) -> Control:
        """Move pointers by compare-and-swap; raises :class:`parbake.errors.PromotionConflict`."""
        ...

    async def rollback(self, task: str, now: float, built_with: Sequence[str] = ()) -> int:
        """Withdraw the current generation and return what was built with it too; returns the one now current."""
        ...

    async def withdraw(self, generations: Collection[int]) -> None:
        """Mark generations withdrawn again that a lost tail had forgotten."""
        ...

    async def quarantine(self, task: str, entry: Quarantine | None) -> Control:
        """Serve nothing stored of a task from now on, or again (``None``); returns the control record then.

        Raises :class:`parbake.errors.UnknownResource` when there is nothing to take out.
        """
        ...

    async def bless(self, seen: int, *, raise_floor: bool) -> Control:
        """Trust the incarnation ``seen``; raises :class:`parbake.errors.BlessingConflict` when it has moved on.

        With ``raise_floor`` what the store held before is dead: for losses that no outbox can tell again.
        """
        ...

    async def raise_floor(self, to: Stamp) -> int:
        """Declare everything below a stamp dead, then delete it with the watermarks it no longer needs.

        Returns the number of items deleted.
        """
        ...

    async def sweep(self, abandoned: Collection[int], retired: Collection[str] = ()) -> int:
        """Delete generations that are neither current, retained nor still being built; returns the number of rows.

        ``abandoned`` are those whose run has ended without a promotion, ``retired`` the tasks of which none is kept.
        """
        ...

    async def apply(
        self, changes: Sequence[Change], *, now: float, position: tuple[str, int, int] | None = None
    ) -> Ack:
        """Raise tags durably.

        ``position`` is (source, after, last): the changes follow the applied position ``after`` and reach ``last``.
        What is applied already is skipped; a store that has gone back to before ``after`` refuses with
        :class:`parbake.errors.StoreError`, so that nothing between is passed over.
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
        """Forget how far a source was applied and raise tags, as one step: it will be heard from its beginning."""
        ...

    async def log(self, after: Stamp, limit: int) -> list[Raised]:
        """Entries of the event log after a stamp, oldest first."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Read a small named value (a cursor, an alert's state)."""
        ...

    async def swap(self, name: str, expected: bytes | None, new: bytes | None) -> bool:
        """Replace a small named value, or delete it, if it is still what it was; ``None`` stands for none."""
        ...

    async def look_again(self, record: Record) -> Lookup:
        """A record that was made or read before, with what it is judged by in one snapshot as of now."""
        ...

    def scan(self, task: str) -> AsyncIterator[tuple[bytes, Lookup]]:
        """Go through a task's keys, each with its records and watermarks, without the values being decoded."""
        ...

    async def close(self) -> None:
        """Release the store."""
        ...


@runtime_checkable
class Glimpses(Protocol):
    """What a store may offer besides: embedded ones do, whose reads wait for nothing."""

    def glimpse(self, task: str, key: bytes) -> Glimpse | None:
        """The newest record of a key in one snapshot, at once; ``None`` when there is none."""
        ...

    def review(self, record: Record) -> Lookup | None:
        """A record that was read before, with what it is judged by in one snapshot as of now; ``None`` to read it."""
        ...


class Journal(Protocol):
    """Keeps withdrawn generations outside the store, where what the store loses is not lost."""

    def append(self, generations: list[int]) -> None:
        """Add generations; durable when it returns; blocking."""
        ...

    def read(self) -> list[int]:
        """Every generation ever added; blocking."""
        ...


@runtime_checkable
class QuarantineJournal(Protocol):
    """What a journal may offer besides: quarantines, which a store that is emptied would forget."""

    def note_quarantine(self, task: str, entry: Quarantine | None) -> None:
        """A task was put in quarantine, or cleared (``None``); durable when it returns; blocking."""
        ...

    def quarantines(self) -> dict[str, Quarantine]:
        """What is in quarantine, by task; blocking."""
        ...


class Tracker(Protocol):
    """Where a view notes what it reads."""

    def entity(self, tag: str) -> None:
        """One entity was read, or looked for and not found."""
        ...

    def whole_set(self, name: str) -> None:
        """The result depends on every member of a family."""
        ...

    def query(self, view: type[Any], statement: str, parameters: Mapping[str, Any], rows: Sequence[Any]) -> None:
        """A query was asked through a view, and found these rows."""
        ...

    def unnamed(self, view: type[Any], method: str) -> None:
        """A method of a view returned rows and named neither an entity nor a set that they belong to."""
        ...


class SourceEvent(msgspec.Struct, frozen=True):
    """One event of an ordered log, such as a row of an outbox.

    ``source`` and ``at`` (epoch seconds, 0 when unknown) are the event's own, where it has them. An event that could
    not be read at all says why in ``problem``; ``raw`` is what was there, kept so that it can be tried again.
    """

    position: int
    id: str
    subject: str
    type: str
    source: str = ""
    at: float = 0.0
    problem: str = ""
    raw: bytes = b""


class Extent(msgspec.Struct, frozen=True):
    """How far an ordered log reaches: the last position that is gone from it, and the last that was ever given."""

    gone: int
    last: int


class EventSource(Protocol):
    """An ordered log of events: an outbox, or one partition of a topic.

    Positions begin at 1 and rise in the order in which the events took effect: once one was seen, none below it ever
    appears. ``is_gapless`` says that each position is used, so that a missing one is a lost event.
    """

    name: str
    is_gapless: bool

    @property
    def families(self) -> Collection[str]:
        """The tag families whose changes it tells."""
        ...

    def extent(self) -> Extent:
        """How far it reaches now; blocking. Raises :class:`parbake.errors.SourceError`."""
        ...

    def poll(self, after: int, limit: int) -> list[SourceEvent]:
        """Events after a position in order, none when it is the end; blocking.

        An event that cannot be read is returned with its problem. Raises :class:`parbake.errors.SourceError`.
        """
        ...

    def close(self) -> None:
        """Release the source."""
        ...


class Topic(Protocol):
    """Several event sources that are told of by one name: its families are heard once all of them were."""

    name: str

    @property
    def families(self) -> Collection[str]:
        """The tag families whose changes it tells."""
        ...

    def parts(self) -> Sequence[EventSource]:
        """Its event sources as of now; blocking. Raises :class:`parbake.errors.SourceError`."""
        ...

    def close(self) -> None:
        """Release it and its parts."""
        ...


class Source(EventSource, Protocol):
    """A system of record: versioned views that record what they are read through, and an ordered outbox."""

    def provides(self, view: type[Any]) -> bool:
        """Whether this source opens that view."""
        ...

    def open(self, view: type[ViewT], tracker: Tracker) -> AbstractContextManager[ViewT]:
        """Open a view on a transaction of the primary begun now; blocking."""
        ...


class Clock(Protocol):
    """Wall time. The fence does not use it; ages, schedules and ``valid_until`` do."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...


class Alert(msgspec.Struct, frozen=True):
    """A message to a contract's owner.

    ``kind`` is ``stale``, ``recovered``, ``gate_failed``, ``run_failed``, ``quarantined``, ``reversed``,
    ``complained`` and ``held_back`` (of answers), ``worker_silent`` or ``worker_back``; the last two are of no
    ``task``, and go to every owner once.
    """

    kind: str
    task: str
    owner: str
    message: str
    at: float


class AlertSink(Protocol):
    """Delivers alerts."""

    async def send(self, alert: Alert) -> None:
        """Deliver one alert; a failure is logged by the caller, never fatal."""
        ...


class Hook(Protocol):
    """Sees what the engine does; called on the hot path, so it only counts."""

    def served(self, task: str, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """A read ended."""
        ...

    def computed(self, task: str, key: bytes, lane: str, seconds: float, *, outcome: str, cpu_s: float = 0.0) -> None:
        """A computation ended; ``outcome`` is ``stored``, ``rejected`` or ``failed``; ``cpu_s`` its CPU seconds."""
        ...

    def missed(self, task: str, key: bytes, verdict: str, reason: Reason) -> None:
        """A read found nothing that the contract allows."""
        ...

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """Tags were raised and acknowledged."""
        ...


Progress = Callable[[str, int, int], None]


@runtime_checkable
class Executor(Protocol):
    """Computes partitions of batch runs in other processes, which write the rows to the store themselves.

    Jobs and answers are bytes of names, keys and numbers; no object crosses.
    """

    width: int
    """How many partitions it works on at once."""

    async def run(self, job: bytes) -> bytes:
        """Compute one partition, again if the process that had it dies.

        Raises :class:`parbake.errors.ParbakeError` as the lane itself would.
        """
        ...

    async def close(self) -> None:
        """End its processes."""
        ...
