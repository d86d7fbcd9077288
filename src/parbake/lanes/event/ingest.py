"""Applies ordered logs of events: in commit order, acknowledged once durable, with a heartbeat at the end of the log.

Outboxes, partitions of a broker, CloudEvents over HTTP and ``touch`` all use this path.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import msgspec

from parbake.errors import (
    BadInput,
    DeclarationError,
    ForeignSource,
    NotAcknowledged,
    ParbakeError,
    SourceError,
    StoreFull,
)
from parbake.lanes.event.parking import everything, parked_change
from parbake.lanes.event.recovery import Recovery
from parbake.lanes.event.unknown_families import UnknownFamilies
from parbake.ports.clock import Clock
from parbake.ports.cloudevents import CloudEvent, read_time
from parbake.ports.event_log import Ack, Advance, Applied, Change
from parbake.ports.observers import tell
from parbake.ports.sources import EventSource, Extent, SourceEvent, Topic
from parbake.ports.store import Store
from parbake.process.counters import Counters
from parbake.process.threads import aside
from parbake.protocol.record import Meta, Stamp, Tags, bond, unpack_stamp
from parbake.protocol.tags import check_tag, family, raised_by
from parbake.serving.tickets import Tickets

T = TypeVar("T")
PAGE = 1000
SKEW_S = 5.0
"""Seconds. An event whose time lies further in the future comes from a wrong clock."""
_log = logging.getLogger("parbake.ingest")


class Drained(msgspec.Struct, frozen=True):
    """The acknowledgements from draining a source; ``is_heard`` says that a commit carried its heartbeat."""

    acks: list[Ack]
    is_heard: bool = False

    @property
    def clock_skew(self) -> bool:
        """Whether the heartbeat that was replaced came from the future."""
        return any(ack.clock_skew for ack in self.acks)


class Ingest:
    """Applies events to the store, whichever way they arrive."""

    def __init__(
        self,
        store: Store,
        sources: Sequence[EventSource | Topic],
        clock: Clock,
        on_event: Sequence[Callable[..., None]],
        recovery: Recovery,
        *,
        counters: Counters,
        unknown: UnknownFamilies,
        tickets: Tickets,
    ) -> None:
        """Any process may ingest, because the store skips positions that it has already applied.

        ``unknown`` knows the families that some task or source declares, and notes others. ``tickets`` seals the
        acknowledgements.

        Raises :class:`DeclarationError` when two sources have one name, since they would share their positions.
        """
        self._recovery = recovery
        self._store = store
        self._sources = tuple(sources)
        self._clock = clock
        self._on_event = tuple(on_event)
        self._counters = counters
        self._tickets = tickets
        self._unknown = unknown
        self._recognised: set[str] = set()
        names = [source.name for source in self._sources]
        for name in names:
            if names.count(name) > 1:
                raise DeclarationError(f"two sources are named {name!r}: give one another name", field="sources")

    async def publish(self, events: Sequence[CloudEvent]) -> Ack:
        """Raise the tags of CloudEvents; returns once that is durable.

        Raises :class:`NotAcknowledged` while the store is being recovered after a loss.
        """
        self._count_skew(read_time(event.time) for event in events)
        return _acknowledged(await self._apply([Change(e.tags, e.source, e.id) for e in events], None))

    async def new_tags(self, events: Sequence[CloudEvent]) -> int:
        """How many of the tags that events raise were never raised in this store."""
        tags = {tag for event in events for tag in event.tags}
        return len(tags - (await self._store.look_again(bond(b"", 0.0, Meta(Tags(tuple(tags)))))).marks.keys())

    async def touch(self, tags: Sequence[str]) -> Ack:
        """Raise tags directly, after the caller's own commit.

        Raises :class:`BadInput` for a tag whose family nobody declares, since it would outdate nothing.
        """
        if not tags:
            raise BadInput("touch() was called without a tag: write touch('policy/returns')", field="tag")
        for tag in tags:
            check_tag(tag)
            if "{" in tag:
                raise BadInput(f"touch({tag[:80]!r}) is a template: write the tag of an entity", field="tag")
            if family(tag) not in self._unknown.known:
                name, known = family(tag), ", ".join(sorted(self._unknown.known)) or "none"
                raise BadInput(
                    f"touch({tag[:80]!r}): no task or source of this app declares the family {name!r} (declared: "
                    f"{known}); correct it, or write App(open=[{name!r}]) if only other apps read it",
                    field="tag",
                )
        return _acknowledged(await self._apply([Change(raised_by(tag, "touch.changed")) for tag in tags], None))

    def named(self, source: str) -> EventSource | Topic:
        """The source of a name; raises :class:`SourceError` if there is none."""
        found = next((one for one in self._sources if one.name == source), None)
        if found is None:
            raise self._unnamed(source)
        return found

    def _unnamed(self, name: str) -> SourceError:
        known = ", ".join(sorted(source.name for source in self._sources)) or "none"
        return SourceError(f"no source is named {name!r}; there are {known}", field="source")

    async def drain(self, only: EventSource | Topic | None = None) -> Ack | None:
        """Poll every source, or one, to its end and apply it all; the heartbeat carries the time before the poll.

        If a source fails, the others are still polled, and its error is raised afterwards. A store that may have lost
        data is trusted again after every source was polled: the polls of the first one poll all of them then.
        """
        try:
            ack = await self._drain(only)
        except StoreFull as error:
            self._counters.store_full = str(error)
            raise
        if self._sources:  # each poll writes a heartbeat
            self._counters.store_full = ""
        return ack

    async def _drain(self, only: EventSource | Topic | None) -> Ack | None:
        acks: list[Ack] = []
        failed = None
        doubted = await self._recovery.doubted()
        polled = self._sources if only is None or (doubted and only is self._sources[0]) else [only]
        for source in polled:
            before = self._clock.now()
            try:
                drained = await self._drain_parts(source, before)
            except SourceError as error:
                self._counters.source_failures[source.name] += 1
                self._counters.source_troubles[source.name] = error
                failed = failed or error
                continue
            self._counters.source_troubles.pop(source.name, None)
            acks += drained.acks
            is_sane = not drained.clock_skew
            if not drained.is_heard:
                is_sane = await self._store.beat(source.name, before, now=self._clock.now())
            if not is_sane:
                self._counters.clock_skew += 1
                _log.warning("the heartbeat of %s lies in the future: check the clocks", source.name)
        if failed is not None:
            raise failed
        if doubted and polled is self._sources:
            await self._recovery.bless(doubted)
            acks = [msgspec.structs.replace(ack, trusted=True) for ack in acks]
        return Ack.together(acks)

    async def applied(self) -> dict[str, int]:
        """The last applied position of each ordered log, by name; an outbox may be pruned up to it."""
        parts = [part for source in self._sources for part in await logs_of(source)]
        return {part.name: (await self._store.applied(part.name)).position for part in parts}

    async def acknowledgement(self, position: int, name: str = "") -> Ack:
        """Return the acknowledgement of one event of a source, even if another process has applied it.

        One event raises all its tags at one stamp. If all of them were raised again since, their least stamp is
        returned instead; a value from before the event has not reached that one either.

        Args:
            position: Where the event stands in its source.
            name: The source; may be left out if there is only one.

        Raises:
            NotAcknowledged: The event is not applied yet.
            SourceError: There is no such source, or it does not hold the event any more.
        """
        parts = [part for source in self._sources for part in await logs_of(source) if name in ("", part.name)]
        if len(parts) != 1:
            raise SourceError(f"{name!r} names {len(parts) or 'none'} of this app's sources", field="source")
        (source,) = parts
        if (await self._store.applied(source.name)).position < position:
            raise NotAcknowledged(f"the event at position {position} of {source.name} is not applied yet")
        rows = await _asked(source, source.poll, position - 1, 1)
        if not rows or rows[0].position != position:
            raise SourceError(f"{source.name} does not hold position {position} any more", field="position")
        tags = raised_by(rows[0].subject, rows[0].type)
        marks = (await self._store.look_again(bond(b"", 0.0, Meta(Tags(tags))))).marks
        stamp = min((unpack_stamp(marks[tag]) for tag in tags if tag in marks), default=Stamp(0, 0))
        return await self._tickets.sealed(Ack(stamp, dict.fromkeys(tags, stamp.sequence)))

    async def restart(self, name: str) -> Ack:
        """Read a source from its beginning again, after raising all its families, because the lost events are unknown.

        Use it for a topic that was created again, or for an outbox that was replaced while the data it reports stayed.
        """
        for source in self._sources:
            parts = await logs_of(source)
            if name in (source.name, *(part.name for part in parts)):
                chosen = [part for part in parts if name in (part.name, source.name)]
                acks = [
                    await self._store.rewind(part.name, everything(part.families), now=self._clock.now())
                    for part in chosen
                ]
                return await self._tickets.sealed(cast("Ack", Ack.together(acks)))
        raise self._unnamed(name)

    async def _recognise(self, source: EventSource, done: Applied, extent: Extent) -> None:
        """Raise :class:`ForeignSource` unless the log is the one the store was built from."""
        if source.name in self._recognised and extent.last >= done.position:
            return
        try:
            await recognise(source, done, extent)
        except ForeignSource:
            if await self._store.applied(source.name) == done:
                raise
            return  # another process has accepted the log meanwhile (:meth:`restart`)
        if done.position:
            self._recognised.add(source.name)

    async def _drain_parts(self, source: EventSource | Topic, before: float) -> Drained:
        """Drain a source. None of a topic's logs carries its heartbeat, because all of them must be read first."""
        parts = await logs_of(source)
        if len(parts) == 1 and parts[0] is source:
            return await self._drain_one(parts[0], before)
        acks: list[Ack] = []
        for part in parts:
            acks += (await self._drain_one(part, None)).acks
        return Drained(acks)

    async def _drain_one(self, source: EventSource, heard_at: float | None) -> Drained:
        try:
            return await self._drain_all(source, heard_at)
        except ParbakeError:
            raise
        except Exception as error:
            raise SourceError(f"source {source.name!r} cannot be polled: {error}", field=source.name) from error

    async def _drain_all(self, source: EventSource, heard_at: float | None) -> Drained:
        """Apply a log at least up to the end that it had when this call began.

        The last commit carries the heartbeat, so that an event costs one synced commit. The heartbeat counts only if
        the commit holds an event at or after the last position that existed before the poll. Otherwise the caller
        writes it in a commit of its own.

        Args:
            source: The log.
            heard_at: The time of the heartbeat, in epoch seconds: when the drain began. ``None`` if no commit may carry
                it.
        """
        done, acks = await self._store.applied(source.name), list[Ack]()
        is_heard = False
        after = done.position
        extent, rows = await _asked(source, lambda: (source.extent(), source.poll(after, PAGE)))
        await self._recognise(source, done, extent)
        if extent.gone > after:
            acks.append(await self._bridge(source, after, extent.gone))
            after = extent.gone
            rows = await _asked(source, source.poll, after, PAGE)
        while rows:
            self._count_skew(row.at for row in rows)
            for run in _runs(rows) if source.is_gapless else [rows]:
                if source.is_gapless and run[0].position > after + 1:
                    acks.append(await self._bridge(source, after, run[0].position - 1))
                is_heard = heard_at is not None and _reaches_end(run[-1], extent)
                advance = Advance(source.name, after, run[-1].position, heard_at if is_heard else None)
                acks.append(await self._apply([self._change(source, row) for row in run], advance))
                after = run[-1].position
            rows = [] if after >= extent.last else await _asked(source, source.poll, after, PAGE)
        if source.is_gapless and extent.last > after:  # a position given before the poll, without its event
            acks.append(await self._bridge(source, after, extent.last))
        return Drained(acks, is_heard=is_heard)

    async def _bridge(self, source: EventSource, after: int, upto: int) -> Ack:
        """Skip lost events: advance the position and, in the same step, raise all families of the source."""
        if after:  # a store without any event yet has missed none
            self._counters.gaps[source.name] += 1
            said = "source %s: the events after position %d up to %d are gone; raising all its families"
            _log.error(said, source.name, after, upto)
        change = Change(everything(source.families), source.name)
        return await self._apply([change], Advance(source.name, after, upto))

    def _change(self, source: EventSource, row: SourceEvent) -> Change:
        """Turn an event into a change. An unreadable one is parked and raises all families; it never blocks others."""
        problem = row.problem
        if not problem:
            try:
                return Change(raised_by(row.subject, row.type), row.source or source.name, row.id)
            except (ParbakeError, TypeError) as error:  # a column may hold anything
                problem = str(error)
        self._counters.parked += 1
        _log.error("%s, position %d: %s; parked, raising all its families", source.name, row.position, problem)
        return parked_change(source, row, problem, self._clock.now())

    async def _apply(self, changes: Sequence[Change], advance: Advance | None) -> Ack:
        started = time.perf_counter()
        ack = await self._store.apply(changes, now=self._clock.now(), advance=advance)
        took = time.perf_counter() - started
        tell(self._on_event, ack.raised, duplicates=ack.duplicates, seconds=took)
        ack = await self._tickets.sealed(ack)
        unknown = sorted({family(tag) for tag in ack.raised} - self._unknown.known)
        if not unknown:
            return ack
        self._counters.unknown(unknown)
        await self._unknown.note(unknown)
        return msgspec.structs.replace(ack, unknown=tuple(unknown))

    def _count_skew(self, times: Iterable[float]) -> None:
        latest = self._clock.now() + SKEW_S
        self._counters.clock_skew += sum(at > latest for at in times)


async def _asked(source: EventSource | Topic, fn: Callable[..., T], *args: Any) -> T:
    """Call a function of a source in one of its threads; those of a topic's partitions are the topic's."""
    return await aside(fn, *args, of=source.name.rpartition("/")[0] or source.name)


async def logs_of(source: EventSource | Topic) -> Sequence[EventSource]:
    """The present logs of a topic; any other source is a single log. Raises :class:`SourceError`."""
    parts = getattr(source, "parts", None)
    if parts is None:
        return [cast("EventSource", source)]
    try:
        return await _asked(source, parts)
    except ParbakeError:
        raise
    except Exception as error:
        raise SourceError(f"source {source.name!r} cannot be polled: {error}", field=source.name) from error


async def recognise(log: EventSource, done: Applied, extent: Extent) -> None:
    """Raise :class:`ForeignSource` unless a log is the one that a store was built from.

    A log that was replaced, or restored from a copy older than what was applied, would otherwise look as if all its new
    events were already applied. The store keeps the id of the last applied event, so that all earlier ones may be
    pruned. If that event is pruned, too, the log only has to reach its position.

    Args:
        log: The log.
        done: What the store has applied of it.
        extent: The log's present extent.
    """
    rows = []
    if extent.last >= done.position and done.event_id:
        rows = await _asked(log, log.poll, done.position - 1, 1)
    is_other = rows and rows[0].position == done.position and not rows[0].id.startswith(done.event_id)
    if extent.last < done.position or is_other:
        raise ForeignSource(
            f"source {log.name!r} is not the one this store was built from (position {done.position} was applied, but "
            f"it ends at {extent.last} or has another event there); delete the store so that it is rebuilt, "
            f"restore the source, or read it from its beginning with 'parbake events restart APP {log.name}'",
            field=log.name,
        )


def _reaches_end(last: SourceEvent, extent: Extent) -> bool:
    """Whether an event is at or after the last position that was given before the extent was read."""
    return last.position >= extent.last


def _runs(rows: Sequence[SourceEvent]) -> Iterator[Sequence[SourceEvent]]:
    """Cut events into runs of consecutive positions."""
    start = 0
    for n in range(1, len(rows)):
        if rows[n].position != rows[n - 1].position + 1:
            yield rows[start:n]
            start = n
    yield rows[start:]


def _acknowledged(ack: Ack) -> Ack:
    """Return an acknowledgement from a trusted incarnation; refuse any other, because a further loss could undo it."""
    if not ack.trusted:
        raise NotAcknowledged("the store is being recovered after a loss: the event is raised; publish it again soon")
    return ack
