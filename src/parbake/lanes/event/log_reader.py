"""Reads the log of a source to its end, and has everything applied that it tells.

An ordered log (:class:`parbake.ports.sources.EventSource`) is read by positions, a log without an order
(:class:`parbake.ports.sources.UnorderedLog`) by cursors.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import msgspec

from parbake.errors import ForeignSource, NotAcknowledged, ParbakeError, SourceError, StoreWentBack
from parbake.lanes.event.applier import Applier
from parbake.lanes.event.parking import everything, parked_change
from parbake.ports.event_log import Ack, Advance, Applied, Change, Move
from parbake.ports.sources import EventSource, Extent, Log, LogPage, SourceEvent, Topic, UnorderedLog
from parbake.process.threads import aside
from parbake.protocol.tags import raised_by

T = TypeVar("T")
PAGE = 1000
SKEW_S = 5.0
"""Seconds. An event whose time lies further in the future comes from a wrong clock."""
_log = logging.getLogger("parbake.ingest")


class Drained(msgspec.Struct, frozen=True):
    """The acknowledgements from draining a source.

    Attributes:
        acks: The acknowledgements.
        is_heard: Whether a commit carried the heartbeat of the source.
        may_beat: Whether its heartbeat may be written.
    """

    acks: list[Ack]
    is_heard: bool = False
    may_beat: bool = True

    @property
    def clock_skew(self) -> bool:
        """Whether the heartbeat that was replaced came from the future."""
        return any(ack.clock_skew for ack in self.acks)


class LogReader:
    """Reads logs for one store. Any process may, because the store skips what it has already applied."""

    def __init__(self, applier: Applier, *, silence_s: float) -> None:
        """Read nothing yet.

        After ``silence_s`` seconds without a poll, the store trusts nothing that a source fences.
        """
        self._apply, self._store = applier.apply, applier.store
        self._clock, self._counters = applier.clock, applier.counters
        self._silence_s = silence_s
        self._recognised: set[str] = set()
        self._reached: dict[str, bytes] = {}
        self._reported: dict[str, bytes] = {}
        self._renamed: dict[str, int] = {}
        """The incarnation for which the names of reports were chosen by this process, by log."""
        self._schemas: dict[str, str] = {}

    async def drain(self, source: Log | Topic, before: float) -> Drained:
        """Drain a source. None of a topic's logs carries its heartbeat, because all of them must be read first.

        Args:
            source: The source.
            before: When the drain began, in epoch seconds.
        """
        parts = await logs_of(source)
        if len(parts) == 1 and parts[0] is source:
            return await self.drain_one(parts[0], before)
        acks: list[Ack] = []
        for part in parts:
            acks += (await self.drain_one(part, None)).acks
        return Drained(acks)

    async def drain_one(self, log: Log, heard_at: float | None) -> Drained:
        """Apply a log at least up to the end that it had when this call began.

        The last commit carries the heartbeat, so that an event costs one synced commit. The heartbeat counts only if
        the commit holds everything that existed before the poll. Otherwise the caller writes it in a commit of its own.

        Args:
            log: The log.
            heard_at: The time of the heartbeat, in epoch seconds: when the drain began. ``None`` if no commit may carry
                it.
        """
        try:
            if isinstance(log, UnorderedLog):
                return await self._drain_cursors(log, heard_at)
            return await self._drain_positions(log, heard_at)
        except ParbakeError:
            raise
        except Exception as error:
            raise SourceError(f"source {log.name!r} cannot be polled: {error}", field=log.name) from error

    async def told(self, log: Log, position: int) -> list[SourceEvent]:
        """The events of a transaction, or the one at a position, which the store has applied.

        Raises:
            NotAcknowledged: They are not applied yet.
            SourceError: The log does not hold the position any more, or cannot be read.
        """
        if not await self.is_applied(log, position):
            what = "transaction" if isinstance(log, UnorderedLog) else "the event at position"
            raise NotAcknowledged(f"{what} {position} of {log.name} is not applied yet, or has not ended")
        if isinstance(log, UnorderedLog):
            return await asked(log, log.told, position)
        rows: list[SourceEvent] = await asked(log, log.poll, position - 1, 1)
        if not rows or rows[0].position != position:
            raise SourceError(f"{log.name} does not hold position {position} any more", field="position")
        return rows

    async def told_without_store(self, log: Log, position: int) -> list[SourceEvent]:
        """The events of a transaction, or the one at a position, as the log tells them now; nothing if there are none.

        Raises:
            SourceError: The log cannot be read.
        """
        if isinstance(log, UnorderedLog):
            return await asked(log, log.told, position)
        rows: list[SourceEvent] = await asked(log, log.poll, position - 1, 1)
        return [row for row in rows if row.position == position]

    async def is_applied(self, log: Log, position: int) -> bool:
        """Whether the store has applied a transaction of a log, or the event at a position."""
        done = await self._store.applied(log.name)
        if isinstance(log, UnorderedLog):
            for cursor in (done.cursor, self._reached.get(log.name, b"")):
                if await asked(log, log.covers, cursor, position):
                    return True
            return False
        if done.position < position:
            return False
        if self._must_recognise(log):  # a position means something in one log only
            await self._recognise(log, done, *await asked(log, lambda: (log.extent(), _applied_last(log, done))))
        return True

    async def _drain_positions(self, source: EventSource, heard_at: float | None) -> Drained:
        done, acks = await self._store.applied(source.name), list[Ack]()
        is_heard = False
        after = done.position
        must_recognise = self._must_recognise(source)
        extent, rows, last = await asked(
            source,
            lambda: (
                source.extent(),
                source.poll(done.position, PAGE),
                _applied_last(source, done) if must_recognise else [],
            ),
        )
        await self._recognise(source, done, extent, last)
        acks += await self._doubted(source, extent, is_new=not done.position)
        if extent.gone > after:
            acks.append(await self._bridge(source, after, extent.gone))
            after = extent.gone
            rows = await asked(source, source.poll, after, PAGE)
        while rows:
            self._count_skew(row.at for row in rows)
            for run in _runs(rows) if source.is_gapless else [rows]:
                if source.is_gapless and run[0].position > after + 1:
                    acks.append(await self._bridge(source, after, run[0].position - 1))
                is_heard = heard_at is not None and reaches_end(run[-1], extent)
                advance = Advance(source.name, after, run[-1].position, heard_at if is_heard else None)
                acks.append(await self._apply([self._change(source, row) for row in run], advance))
                after = run[-1].position
            rows = [] if after >= extent.last else await asked(source, source.poll, after, PAGE)
        if source.is_gapless and extent.last > after:  # a position given before the poll, without its event
            acks.append(await self._bridge(source, after, extent.last))
        return Drained(acks, is_heard=is_heard)

    async def _doubted(self, source: EventSource, extent: Extent, *, is_new: bool) -> list[Ack]:
        """Raise the families that a database may have changed without telling of it.

        Args:
            source: The log.
            extent: Its extent, with what is captured.
            is_new: Whether the store has applied nothing of it yet. It reads each event since the install, then.
        """
        self._counters.untold[source.name] = extent.trouble
        self._counters.advice[source.name] = extent.advice
        families = set(extent.untold)
        name = f"event/schema/{source.name}"
        is_other = _has_other_schema(self._schemas.get(source.name, ""), extent)
        seen = await self._store.get(name) if is_other else None
        if is_other and not (is_new and seen is None):
            for relation in _doubted_tables(extent, _states_seen(seen)):
                families.update(extent.families_by_relation[relation])
        acks = [await self._apply([Change(everything(sorted(families)), source.name)])] if families else []
        if is_other:  # after the families were raised: if this is interrupted, they are raised again
            states = msgspec.json.encode(extent.states, order="sorted")
            if states != seen:
                await self._store.swap(name, seen, states)
            self._schemas[source.name] = extent.schema
        return acks

    async def _drain_cursors(self, log: UnorderedLog, heard_at: float | None) -> Drained:
        """Read a log to its end, and report.

        A heartbeat is written only if the store had reported before the poll began. Otherwise a writer could have been
        told that nobody waits for this store, and the heartbeat would make it trust what it held before that change.
        """
        acks: list[Ack] = []
        rounds = 0
        while True:
            cursor = (await self._store.applied(log.name)).cursor
            may_beat = heard_at is not None and log.may_beat(cursor)
            try:
                page: LogPage = await asked(log, log.read, cursor, PAGE)
                changes = self._changes(log, page)
                is_heard = False
                if changes or acks or page.is_report_due or not (cursor and page.is_end):
                    is_heard = may_beat and page.is_end
                    ack = await self._move(changes, Move(log.name, cursor, page.cursor, heard_at if is_heard else None))
                    if ack is None:
                        continue  # another process has read on; what it has not read is read again
                    cursor = page.cursor
                    acks += [ack] if changes else []
                if not page.is_end:
                    continue
                self._reached[log.name] = page.cursor
                await asked(log, partial(log.report, cursor, self._silence_s, has_news=bool(acks)))
            except StoreWentBack as error:
                await self._renew(log, cursor, error)
                continue
            self._reported[log.name] = cursor
            if may_beat or heard_at is None or rounds > 1:
                return Drained(acks, is_heard=is_heard, may_beat=may_beat)
            rounds += 1

    async def _move(self, changes: Sequence[Change], move: Move) -> Ack | None:
        """Apply changes and move the cursor; ``None`` if another process has moved it since the changes were read."""
        if changes:
            ack = await self._apply(changes, move)
            return ack if ack.raised else None
        ack = await self._store.apply([], now=self._clock.now(), advance=move)
        return ack if (await self._store.applied(move.source)).cursor == move.cursor else None

    async def _renew(self, log: UnorderedLog, cursor: bytes, error: StoreWentBack) -> None:
        """Trust nothing in a store that knows less than it has reported, and report under another name from now on."""
        control = (await self._store.stamp()).control
        if (await self._store.applied(log.name)).cursor != cursor:
            return  # another process has moved it meanwhile, and the report was this process's only
        _log.error("%s; nothing that it holds is trusted until the outboxes were read again", error)
        control = await self._store.distrust_store(control.incarnation)
        await self.rename([log], control.incarnation)

    async def rename(self, logs: Iterable[Log], incarnation: int) -> None:
        """Report under other names, once: this store may be a copy, and another one reports under its names.

        Args:
            logs: The logs that are read.
            incarnation: The incarnation that is not trusted.
        """
        for log in logs:
            if not isinstance(log, UnorderedLog) or self._renamed.get(log.name) == incarnation:
                continue
            cursor = (await self._store.applied(log.name)).cursor
            if cursor:
                await self._store.apply([], now=self._clock.now(), advance=Move(log.name, cursor, log.renewed(cursor)))
            self._renamed[log.name] = incarnation

    def leave(self, logs: Iterable[Log | Topic]) -> None:
        """Tell logs that nobody will read for this store again; blocking. A log that cannot be reached is left out."""
        for log in logs:
            cursor = self._reported.pop(log.name, b"")
            if cursor and isinstance(log, UnorderedLog):
                with contextlib.suppress(SourceError):
                    log.leave(cursor)

    def _changes(self, log: UnorderedLog, page: LogPage) -> list[Change]:
        self._counters.untold[log.name] = page.trouble
        self._count_skew(row.at for row in page.events)
        changes = [self._change(log, row) for row in page.events]
        if page.lost:
            self._counters.gaps[log.name] += 1
            _log.error("source %s: %s; raising all its families", log.name, page.lost)
            changes.append(Change(everything(log.families), log.name))
        return changes

    async def _bridge(self, source: EventSource, after: int, upto: int) -> Ack:
        """Skip lost events: advance the position and, in the same step, raise all families of the source."""
        if after:  # a store without any event yet has missed none
            self._counters.gaps[source.name] += 1
            said = "source %s: the events after position %d up to %d are gone; raising all its families"
            _log.error(said, source.name, after, upto)
        change = Change(everything(source.families), source.name)
        return await self._apply([change], Advance(source.name, after, upto))

    def _must_recognise(self, source: EventSource) -> bool:
        """Whether a log has to be recognised again. A database may be replaced by an older copy at any time.

        A topic is only looked at once, because that asks its servers.
        """
        return source.is_gapless or source.name not in self._recognised

    async def _recognise(self, source: EventSource, done: Applied, extent: Extent, last: Sequence[SourceEvent]) -> None:
        """Raise :class:`ForeignSource` unless the log is the one the store was built from.

        Args:
            source: The log.
            done: What the store has applied.
            extent: The extent of the log.
            last: The event that it has at the position that was applied last, unless that is not looked at.
        """
        try:
            _check_same(source, done, extent, last)
        except ForeignSource:
            self._recognised.discard(source.name)  # it may reach the position again with other events
            if await self._store.applied(source.name) == done:
                raise
            return  # another process has accepted the log meanwhile (:meth:`restart`)
        if done.position:
            self._recognised.add(source.name)

    def _change(self, log: Log, row: SourceEvent) -> Change:
        """Turn an event into a change. An unreadable one is parked and raises all families; it never blocks others."""
        problem = row.problem
        if not problem:
            try:
                tags, told_by = raised_by(row.subject, row.type), row.source or log.name
                return Change(tags, told_by, row.id, trace=row.trace, at=row.at)
            except (ParbakeError, TypeError) as error:  # a column may hold anything
                problem = str(error)
        self._counters.parked += 1
        # What the event holds may name a person, so that only the parked event tells why it cannot be read.
        said = "%s, position %d: cannot be read; parked, raising all its families; see parbake events parked"
        _log.error(said, log.name, row.position, extra={"event": row.id})
        return parked_change(log, row, problem, self._clock.now())

    def _count_skew(self, times: Iterable[float]) -> None:
        self._counters.clock_skew += skewed(times, self._clock.now())


def skewed(times: Iterable[float], now: float) -> int:
    """How many times of events lie in the future, so that a clock is wrong; all in epoch seconds."""
    return sum(at > now + SKEW_S for at in times)


async def asked(source: Log | Topic, fn: Callable[..., T], *args: Any) -> T:
    """Call a function of a source in one of its threads; those of a topic's partitions are the topic's.

    Args:
        source: The source.
        fn: Its function.
        args: The function's arguments.
    """
    return await aside(fn, *args, of=source.name.rpartition("/")[0] or source.name)


async def logs_of(source: Log | Topic) -> Sequence[Log]:
    """The present logs of a topic; any other source is a single log. Raises :class:`SourceError`."""
    parts = getattr(source, "parts", None)
    if parts is None:
        return [cast("Log", source)]
    try:
        return await asked(source, parts)
    except ParbakeError:
        raise
    except Exception as error:
        raise SourceError(f"source {source.name!r} cannot be polled: {error}", field=source.name) from error


async def untold_by(source: Any) -> list[str]:
    """What a source says of tables that its views read and of whose changes nobody tells; nothing if it cannot say."""
    untold = getattr(source, "untold", None)
    with contextlib.suppress(SourceError):
        return await asked(source, untold) if untold is not None else []
    return []


async def warn_of_untold(sources: Iterable[Any]) -> None:
    """Log a warning for each table that views read and of whose changes nobody tells."""
    for source in sources:
        for sentence in await untold_by(source):
            _log.warning("source %s: %s", source.name, sentence)


async def recognise(log: Log, done: Applied) -> None:
    """Read a little of a log, and raise :class:`ForeignSource` unless it is the one that a store was built from.

    Args:
        log: The log.
        done: What the store has applied of it.
    """
    if isinstance(log, UnorderedLog):
        await asked(log, log.read, done.cursor, 1)
    else:
        _check_same(log, done, *await asked(log, lambda: (log.extent(), _applied_last(log, done))))


def _applied_last(log: EventSource, done: Applied) -> list[SourceEvent]:
    """Read the event at the position that was applied last; nothing if its id is not known; blocking."""
    return log.poll(done.position - 1, 1) if done.position and done.event_id else []


def _check_same(log: EventSource, done: Applied, extent: Extent, rows: Sequence[SourceEvent]) -> None:
    """Raise :class:`ForeignSource` unless an ordered log is the one that a store was built from.

    A log that was replaced, or restored from a copy older than what was applied, would otherwise look as if all its new
    events were already applied. The store keeps the id of the last applied event, so that all earlier ones may be
    pruned. If that event is pruned, too, the log only has to reach its position.
    """
    is_other = rows and rows[0].position == done.position and not rows[0].id.startswith(done.event_id)
    if extent.last < done.position or is_other:
        raise ForeignSource(
            f"source {log.name!r} is not the one this store was built from (position {done.position} was applied, but "
            f"it ends at {extent.last} or has another event there); delete the store so that it is rebuilt, "
            f"restore the source, or read it from its beginning with 'parbake events restart APP {log.name}'",
            field=log.name,
        )


def reaches_end(last: SourceEvent, extent: Extent) -> bool:
    """Whether an event is at or after the last position that was given before the extent was read."""
    return last.position >= extent.last


def _has_other_schema(known: str, extent: Extent) -> bool:
    """Whether the states of tables have to be compared with those that the store has seen.

    Another process may have seen states in between. They are therefore compared whenever the schema has changed, also
    if the states are those that this process saw last.

    Args:
        known: The schema that this process saw last.
        extent: The extent of the log.
    """
    return known != extent.schema


def _doubted_tables(extent: Extent, seen: Mapping[str, str]) -> set[str]:
    """The tables that may have changed without being told.

    Args:
        extent: The extent of the log.
        seen: The state of each table that the store has seen.
    """
    return {relation for relation, state in extent.states.items() if seen.get(relation) != state}


def _states_seen(value: bytes | None) -> dict[str, str]:
    """The state of each table as a store has noted them; none if an earlier version wrote the value."""
    try:
        return msgspec.json.decode(value or b"{}", type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def _runs(rows: Sequence[SourceEvent]) -> Iterator[Sequence[SourceEvent]]:
    """Cut events into runs of consecutive positions."""
    start = 0
    for n in range(1, len(rows)):
        if rows[n].position != rows[n - 1].position + 1:
            yield rows[start:n]
            start = n
    yield rows[start:]
