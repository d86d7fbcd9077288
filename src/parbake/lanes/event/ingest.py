"""From an ordered log to raised tags: apply in commit order, acknowledge when durable, beat when at the end.

Outboxes, partitions of a broker, CloudEvents over HTTP and ``touch`` all come this way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import cast

import msgspec

from parbake.errors import BadInput, DeclarationError, ForeignSource, NotAcknowledged, ParbakeError, SourceError
from parbake.fence.record import Meta, Stamp, Tags, bond, unpack_stamp
from parbake.fence.tags import check_tag, family, raised_by
from parbake.lanes.event.parking import everything, parked_change
from parbake.lanes.event.recovery import Recovery
from parbake.ports.clock import Clock
from parbake.ports.cloudevents import CloudEvent, read_time
from parbake.ports.event_log import Ack, Advance, Applied, Change
from parbake.ports.hooks import Hook
from parbake.ports.sources import EventSource, Extent, SourceEvent, Topic
from parbake.ports.store import Store
from parbake.process.counters import Counters
from parbake.process.threads import aside
from parbake.serving.tickets import Tickets

PAGE = 1000
SKEW_S = 5.0
"""An event from so far in the future was told by a clock that is wrong."""
_log = logging.getLogger("parbake.ingest")


class Drained(msgspec.Struct, frozen=True):
    """What draining a source came to; ``is_heard`` says that a commit carried its heartbeat."""

    acks: list[Ack]
    is_heard: bool = False

    @property
    def clock_skew(self) -> bool:
        """Whether the heartbeat that was replaced came from the future."""
        return any(ack.clock_skew for ack in self.acks)


class Ingest:
    """Applies events to the store, whatever way they come."""

    def __init__(
        self,
        store: Store,
        sources: Sequence[EventSource | Topic],
        clock: Clock,
        hooks: Sequence[Hook],
        recovery: Recovery,
        *,
        counters: Counters,
        known: Collection[str],
        tickets: Tickets,
    ) -> None:
        """Any process may ingest: positions already applied are skipped by the store.

        ``known`` are the families that some task or source knows; events of others count as unknown. ``tickets`` seals
        what is acknowledged.

        Raises :class:`DeclarationError` when two sources have one name, since they would share their positions.
        """
        self._recovery = recovery
        self._store = store
        self._sources = tuple(sources)
        self._clock = clock
        self._hooks = tuple(hooks)
        self._counters = counters
        self._tickets = tickets
        self._known = frozenset(known)
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

    async def touch(self, tags: Sequence[str]) -> Ack:
        """Raise tags directly, after the caller's own commit.

        Raises :class:`BadInput` for a tag that nothing declares: it would be acknowledged and outdate nothing.
        """
        if not tags:
            raise BadInput("touch() names nothing: write touch('policy/returns')", field="tag")
        for tag in tags:
            check_tag(tag)
            if "{" in tag:
                raise BadInput(f"touch({tag[:80]!r}) is a template: write the tag of an entity", field="tag")
            if family(tag) not in self._known:
                name, known = family(tag), ", ".join(sorted(self._known)) or "none"
                raise BadInput(
                    f"touch({tag[:80]!r}): no task or source of this app declares the family {name!r} (declared: "
                    f"{known}); correct it, or write App(open=[{name!r}]) if only other apps read it",
                    field="tag",
                )
        return _acknowledged(await self._apply([Change(raised_by(tag, "touch.changed")) for tag in tags], None))

    async def drain(self) -> Ack | None:
        """Poll every source to its end and apply it all; the heartbeat carries the time before the poll.

        A source that fails does not keep the others from being heard; its error is raised once they were. A store that
        may have lost data is trusted again once every source was heard.
        """
        acks: list[Ack] = []
        failed = None
        doubted = await self._recovery.doubted()
        for source in self._sources:
            before = self._clock.now()
            try:
                drained = await self._drain_parts(source, before)
            except SourceError as error:
                self._counters.source_failures[source.name] += 1
                failed = failed or error
                continue
            acks += drained.acks
            is_sane = not drained.clock_skew
            if not drained.is_heard:
                is_sane = await self._store.beat(source.name, before)
            if not is_sane:
                self._counters.clock_skew += 1
                _log.warning("the heartbeat of %s came from the future: check the clocks", source.name)
        if failed is not None:
            raise failed
        if doubted:
            await self._recovery.bless(doubted)
            acks = [msgspec.structs.replace(ack, trusted=True) for ack in acks]
        return Ack.together(acks)

    async def applied(self) -> dict[str, int]:
        """How far each ordered log was applied, by name: an outbox may be pruned up to there."""
        parts = [part for source in self._sources for part in await _parts(source)]
        return {part.name: (await self._store.applied(part.name)).position for part in parts}

    async def acknowledgement(self, position: int, name: str = "") -> Ack:
        """The acknowledgement of one event of a source, also where another process has applied it.

        One event raises all its tags at one stamp. Where each of them was raised again since, the least of their
        stamps stands for it: no value from before the event has reached that one either.

        Args:
            position: Where the event stands in its source.
            name: The source; may be left out where there is only one.

        Raises:
            NotAcknowledged: The event is not applied yet.
            SourceError: There is no such source, or it does not hold the event any more.
        """
        parts = [part for source in self._sources for part in await _parts(source) if name in ("", part.name)]
        if len(parts) != 1:
            raise SourceError(f"{name!r} names {len(parts) or 'none'} of this app's sources", field="source")
        (source,) = parts
        if (await self._store.applied(source.name)).position < position:
            raise NotAcknowledged(f"the event at position {position} of {source.name} is not applied yet")
        rows = await aside(source.poll, position - 1, 1)
        if not rows or rows[0].position != position:
            raise SourceError(f"{source.name} does not hold position {position} any more", field="position")
        tags = raised_by(rows[0].subject, rows[0].type)
        marks = (await self._store.look_again(bond(b"", 0.0, Meta(Tags(tags))))).marks
        stamp = min((unpack_stamp(marks[tag]) for tag in tags if tag in marks), default=Stamp(0, 0))
        return await self._tickets.sealed(Ack(stamp, dict.fromkeys(tags, stamp.sequence)))

    async def restart(self, name: str) -> Ack:
        """Hear a source from its beginning again, after raising all its families: what it lost is not known.

        For a topic that was made anew, or an outbox that was replaced while what it tells of stayed the same.
        """
        for source in self._sources:
            parts = await _parts(source)
            if name in (source.name, *(part.name for part in parts)):
                chosen = [part for part in parts if name in (part.name, source.name)]
                acks = [
                    await self._store.rewind(part.name, everything(part.families), now=self._clock.now())
                    for part in chosen
                ]
                return await self._tickets.sealed(cast("Ack", Ack.together(acks)))
        raise SourceError(f"no source is named {name!r}", field="source")

    async def _recognise(self, source: EventSource, done: Applied, extent: Extent) -> None:
        """Raise :class:`ForeignSource` unless the log is the one the store was built from.

        A source that was replaced, or restored from a copy older than what was applied, would otherwise look as if all
        its new events were applied already. The store keeps the id of the last event it has applied, so that all
        before it may be pruned; once that one is gone too, the log only has to reach as far.
        """
        after = done.position
        if extent.last >= after and (not after or source.name in self._recognised):
            return
        if extent.last < after or not await _tells(source, done):
            if await self._store.applied(source.name) != done:
                return  # it was accepted as it is by somebody meanwhile (:meth:`restart`)
            raise ForeignSource(
                f"source {source.name!r} is not the one this store was built from (position {after} was applied, and "
                f"it ends at {extent.last} or tells another event there); delete the store and let it be rebuilt, "
                f"bring the source back, or let it begin anew with 'parbake events restart APP {source.name}'",
                field=source.name,
            )
        self._recognised.add(source.name)

    async def _drain_parts(self, source: EventSource | Topic, before: float) -> Drained:
        """Drain a source. A topic is heard only once all its logs were, so that none of them carries its heartbeat."""
        parts = await _parts(source)
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
        """Apply a log to the end that it had when this began, or beyond.

        The last commit carries the heartbeat, so that an event costs one synced commit. It counts only with an event at
        or past the last position that was given before the poll; otherwise the caller beats in a commit of its own.

        Args:
            source: The log.
            heard_at: When this began, in epoch seconds, for the heartbeat; ``None`` where no commit may carry it.
        """
        done, acks = await self._store.applied(source.name), list[Ack]()
        is_heard = False
        after = done.position
        extent, rows = await aside(lambda: (source.extent(), source.poll(after, PAGE)))
        await self._recognise(source, done, extent)
        if extent.gone > after:
            acks.append(await self._bridge(source, after, extent.gone))
            after = extent.gone
            rows = await aside(source.poll, after, PAGE)
        while rows:
            self._count_skew(row.at for row in rows)
            for run in _runs(rows) if source.is_gapless else [rows]:
                if source.is_gapless and run[0].position > after + 1:
                    acks.append(await self._bridge(source, after, run[0].position - 1))
                is_heard = heard_at is not None and _reaches_end(run[-1], extent)
                advance = Advance(source.name, after, run[-1].position, heard_at if is_heard else None)
                acks.append(await self._apply([self._change(source, row) for row in run], advance))
                after = run[-1].position
            rows = [] if after >= extent.last else await aside(source.poll, after, PAGE)
        if source.is_gapless and extent.last > after:  # given before the poll, and not there
            acks.append(await self._bridge(source, after, extent.last))
        return Drained(acks, is_heard=is_heard)

    async def _bridge(self, source: EventSource, after: int, upto: int) -> Ack:
        """What lost events told is not known: all families of the source are raised, as one step with the position."""
        if after:  # a store that was told nothing yet has missed nothing
            self._counters.gaps[source.name] += 1
            said = "source %s: the events after position %d up to %d are gone; raising all its families"
            _log.error(said, source.name, after, upto)
        change = Change(everything(source.families), source.name)
        return await self._apply([change], Advance(source.name, after, upto))

    def _change(self, source: EventSource, row: SourceEvent) -> Change:
        """An event that is not understood must not block those behind it: it is parked, and raises all families."""
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
        for hook in self._hooks:
            hook.event(ack.raised, duplicates=ack.duplicates, seconds=took)
        ack = await self._tickets.sealed(ack)
        unknown = sorted({family(tag) for tag in ack.raised} - self._known)
        if not unknown:
            return ack
        self._counters.unknown(unknown)
        return msgspec.structs.replace(ack, unknown=tuple(unknown))

    def _count_skew(self, times: Iterable[float]) -> None:
        latest = self._clock.now() + SKEW_S
        self._counters.clock_skew += sum(at > latest for at in times)


async def _parts(source: EventSource | Topic) -> Sequence[EventSource]:
    """A topic's logs as of now; anything else is one itself."""
    parts = getattr(source, "parts", None)
    if parts is None:
        return [cast("EventSource", source)]
    try:
        return await aside(parts)
    except ParbakeError:
        raise
    except Exception as error:
        raise SourceError(f"source {source.name!r} cannot be polled: {error}", field=source.name) from error


async def _tells(source: EventSource, done: Applied) -> bool:
    """Whether the event at the applied position is the one that was applied, as far as either can tell."""
    rows = await aside(source.poll, done.position - 1, 1) if done.event_id else []
    return not rows or rows[0].position != done.position or rows[0].id.startswith(done.event_id)


def _reaches_end(last: SourceEvent, extent: Extent) -> bool:
    """Whether nothing that was given before the extent was read can lie behind an event."""
    return last.position >= extent.last


def _runs(rows: Sequence[SourceEvent]) -> Iterator[Sequence[SourceEvent]]:
    """Cut events where a position is missing."""
    start = 0
    for n in range(1, len(rows)):
        if rows[n].position != rows[n - 1].position + 1:
            yield rows[start:n]
            start = n
    yield rows[start:]


def _acknowledged(ack: Ack) -> Ack:
    """An event counts only in an incarnation that is trusted: another loss could still take it."""
    if not ack.trusted:
        raise NotAcknowledged("the store is being recovered after a loss: the event is raised; publish it again soon")
    return ack
