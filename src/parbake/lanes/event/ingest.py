"""Applies ordered logs of events: in commit order, acknowledged once durable, with a heartbeat at the end of the log.

Outboxes, partitions of a broker, CloudEvents over HTTP and ``touch`` all use this path.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import cast

import msgspec

from parbake.errors import (
    BadInput,
    BlessingConflict,
    DeclarationError,
    NotAcknowledged,
    SourceError,
    StoreError,
    StoreFull,
)
from parbake.lanes.event.applier import Applier
from parbake.lanes.event.log_reader import LogReader, logs_of, skewed
from parbake.lanes.event.parking import everything
from parbake.lanes.event.recovery import Recovery
from parbake.lanes.event.replayability import Replayability
from parbake.ports.cloudevents import CloudEvent, read_time, trace_of
from parbake.ports.event_log import Ack, Change
from parbake.ports.sources import Log, Topic, UnorderedLog
from parbake.process.about import ABOUT
from parbake.process.flight import Flights
from parbake.protocol.acks import HIGHEST, NO_ACKS, Acks
from parbake.protocol.record import Meta, Stamp, Tags, bond, unpack_stamp
from parbake.protocol.since_outage import SinceOutage
from parbake.protocol.tags import check_tag, family, raised_by
from parbake.serving.request import detached

_log = logging.getLogger("parbake.ingest")


class Ingest:
    """Applies events to the store, whichever way they arrive."""

    def __init__(
        self,
        applier: Applier,
        reader: LogReader,
        sources: Sequence[Log | Topic],
        *,
        recovery: Recovery,
        replayability: Replayability,
        since_outage: SinceOutage,
    ) -> None:
        """Apply with ``applier`` what arrives by itself, and what ``reader`` reads from the logs of ``sources``.

        ``replayability`` notes what arrives by itself, and ``since_outage`` which sources were polled. Raises
        :class:`DeclarationError` when two sources have one name, since they would share their positions.
        """
        self._recovery, self._replayability = recovery, replayability
        self._apply, self._store, self._clock = applier.apply, applier.store, applier.clock
        self._counters, self._tickets, self._unknown = applier.counters, applier.tickets, applier.unknown
        self._reader = reader
        self._since_outage = since_outage
        self._sources = tuple(sources)
        self._polls: Flights[Ack | None] = Flights(detached)
        names = [source.name for source in self._sources]
        for name in names:
            if names.count(name) > 1:
                raise DeclarationError(f"two sources are named {name!r}: give one another name", field="sources")

    async def publish(self, events: Sequence[CloudEvent]) -> Ack:
        """Raise the tags of CloudEvents; returns once that is durable.

        Raises :class:`NotAcknowledged` while the store is being recovered after a loss.
        """
        at = [read_time(event.time) for event in events]
        self._counters.clock_skew += skewed(at, self._clock.now())
        if (about := ABOUT.get()) is not None and len(events) == 1:
            about.event = events[0].id
        told = zip(events, at, strict=True)
        changes = [Change(e.tags, e.source, e.id, trace=trace_of(e), at=when) for e, when in told]
        return _acknowledged(await self._replayability.acknowledged(lambda: self._apply(changes)))

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
        changes = [Change(raised_by(tag, "touch.changed")) for tag in tags]
        return _acknowledged(await self._replayability.acknowledged(lambda: self._apply(changes)))

    def named(self, source: str) -> Log | Topic:
        """The source of a name; raises :class:`SourceError` if there is none."""
        found = next((one for one in self._sources if one.name == source), None)
        if found is None:
            raise self._unnamed(source)
        return found

    def _unnamed(self, name: str) -> SourceError:
        known = ", ".join(sorted(source.name for source in self._sources)) or "none"
        return SourceError(f"no source is named {name!r}; there are {known}", field="source")

    async def distrust(self, source: Log | Topic) -> None:
        """Raise all families of a source, because it is not the one that it was, and its changes are not read."""
        await self._apply([Change(everything(source.families), source.name)])

    async def drain(self, only: Log | Topic | None = None, *, beats: bool = True) -> Ack | None:
        """Poll every source, or one, to its end and apply it all; the heartbeat carries the time before the poll.

        If ``beats`` is false, only a commit that applies events carries a heartbeat.

        If a source fails, the others are still polled, and its error is raised afterwards. A store that may have lost
        data is trusted again after every source was polled: the polls of the first one poll all of them then.
        """
        try:
            ack = await self._drain(only, beats=beats)
        except StoreFull as error:
            self._counters.store_full = str(error)
            raise
        if self._sources and beats:  # each poll writes a heartbeat
            self._counters.store_full = ""
        return ack

    async def _drain(self, only: Log | Topic | None, *, beats: bool) -> Ack | None:
        acks: list[Ack] = []
        for is_last in (False, True):
            doubted = await self._recovery.doubted()
            polled = self._sources if only is None or (doubted and only is self._sources[0]) else [only]
            is_recovery = doubted and polled is self._sources
            if is_recovery:
                await self._reader.rename([part for _, part in await self._logs()], doubted)
            acks += await self._poll(polled, beats=beats)
            if not is_recovery:
                return Ack.together(acks)
            try:
                await self._recovery.bless(doubted)
                break
            except BlessingConflict:  # a source has noticed, in this poll, that the store has lost more
                if is_last:
                    raise
        return Ack.together([msgspec.structs.replace(ack, trusted=True) for ack in acks])

    async def _poll(self, sources: Sequence[Log | Topic], *, beats: bool) -> list[Ack]:
        """Poll sources to their ends; raises the first one's error after all of them were polled."""
        acks: list[Ack] = []
        failed = None
        for source in sources:
            before, began = self._clock.now(), self._since_outage.polls(source.name)
            try:
                drained = await self._reader.drain(source, before)
            except SourceError as error:
                self._counters.source_failures[source.name] += 1
                self._counters.source_troubles[source.name] = error
                failed = failed or error
                continue
            self._counters.source_troubles.pop(source.name, None)
            acks += drained.acks
            is_sane = not drained.clock_skew
            if beats and drained.may_beat and not drained.is_heard:
                is_sane = await self._store.beat(source.name, before, now=self._clock.now())
            self._since_outage.heard(source.name, began)
            if not is_sane:
                self._counters.clock_skew += 1
                _log.warning("the heartbeat of %s lies in the future: check the clocks", source.name)
        if failed is not None:
            raise failed
        return acks

    async def applied(self) -> dict[str, int]:
        """The last applied position of each ordered log, by name; an outbox may be pruned up to it."""
        ordered = [part.name for _, part in await self._logs() if not isinstance(part, UnorderedLog)]
        return {name: (await self._store.applied(name)).position for name in ordered}

    async def acknowledgement(self, position: int, name: str = "") -> Ack:
        """Return the acknowledgement of one event, or of one transaction, even if another process has applied it.

        One event raises all its tags at one stamp. If all of them were raised again since, their least stamp is
        returned instead; a value from before the event has not reached that one either.

        Args:
            position: Where the event stands in its source, or the id of its transaction; what ``emit`` returned.
            name: The source; may be left out if there is only one.

        Raises:
            NotAcknowledged: The event is not applied yet.
            SourceError: There is no such source, or it does not hold the event any more.
        """
        rows = await self._reader.told(await self._log(name), position)
        tags = tuple(dict.fromkeys(tag for row in rows for tag in raised_by(row.subject, row.type)))
        marks = (await self._store.look_again(bond(b"", 0.0, Meta(Tags(tags))))).marks
        stamp = min((unpack_stamp(marks[tag]) for tag in tags if tag in marks), default=Stamp(0, 0))
        return await self._tickets.sealed(Ack(stamp, dict.fromkeys(tags, stamp.sequence)))

    async def caught_up(self, name: str, position: int) -> Acks:
        """Wait until an event, or a transaction, is applied, and poll its source for it.

        Where the store is away, the source is asked whether it has ended.

        Args:
            name: The source.
            position: Where the event stands in it, or the id of its transaction.

        Returns:
            Nothing if it is applied. While the store is away, what it has told, above every stored value.

        Raises:
            BadInput: There is no such source.
            NotAcknowledged: The source has no such event, or the transaction has not ended.
            SourceError: The source cannot be read.
        """
        found = [pair for pair in await self._logs() if pair[1].name == name]
        if not found:
            raise BadInput(f"after= names {name!r}, but this app has no such source", field="after")
        ((source, log),) = found
        try:
            for _ in range(2):  # a poll that runs already may have begun before the transaction ended
                if await self._reader.is_applied(log, position):
                    return NO_ACKS
                await self._polls.join(log.name, lambda: self._drain(source, beats=False))
            if await self._reader.is_applied(log, position):
                return NO_ACKS
        except StoreError as error:
            if not error.is_outage:
                raise
            if rows := await self._reader.told_without_store(log, position):
                return dict.fromkeys((tag for row in rows for tag in raised_by(row.subject, row.type)), HIGHEST)
        raise NotAcknowledged(f"{name} does not know {position}, or its transaction has not ended: send it again soon")

    async def _log(self, name: str) -> Log:
        parts = [part for _, part in await self._logs() if name in ("", part.name)]
        if len(parts) != 1:
            raise SourceError(f"{name!r} names {len(parts) or 'none'} of this app's sources", field="source")
        return parts[0]

    async def _logs(self) -> list[tuple[Log | Topic, Log]]:
        """Each log with the source that it is a part of, which is itself unless it is one of a topic."""
        return [(source, part) for source in self._sources for part in await logs_of(source)]

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

    async def leave(self) -> None:
        """Let nobody wait for a store that ends with this process. It trusts nothing before its name is forgotten."""
        logs = [source for source in self._sources if isinstance(source, UnorderedLog)]
        for log in logs:
            if (await self._store.applied(log.name)).cursor:
                await self._store.rewind(log.name, everything(log.families), now=self._clock.now())
        await asyncio.to_thread(self._reader.leave, logs)


def _acknowledged(ack: Ack) -> Ack:
    """Return an acknowledgement from a trusted incarnation; refuse any other, because a further loss could undo it."""
    if not ack.trusted:
        raise NotAcknowledged(
            "the store is being recovered after a loss, which a server, a worker or drain() ends: the event is raised; "
            "publish it again soon"
        )
    return ack
