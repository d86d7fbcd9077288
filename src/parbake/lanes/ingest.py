"""From a source's outbox to raised tags: apply in commit order, acknowledge when durable, beat when at the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

import msgspec

from parbake.cloudevents import CloudEvent
from parbake.errors import BadInput, ForeignSource, NotAcknowledged, ParbakeError, SourceError
from parbake.fence.tags import raised_by
from parbake.lanes.recovery import Recovery
from parbake.ports import Ack, Change, Clock, Hook, Source, SourceEvent, Store

PAGE = 1000
_log = logging.getLogger("parbake.ingest")


class Ingest:
    """Applies events to the store, whatever way they come."""

    def __init__(
        self, store: Store, sources: Sequence[Source], clock: Clock, hooks: Sequence[Hook], recovery: Recovery
    ) -> None:
        """Any process may ingest: positions already applied are skipped by the store."""
        self._recovery = recovery
        self._store = store
        self._sources = tuple(sources)
        self._clock = clock
        self._hooks = tuple(hooks)
        self._recognised: set[str] = set()

    async def publish(self, events: Sequence[CloudEvent]) -> Ack:
        """Raise the tags of CloudEvents; returns once that is durable.

        Raises :class:`NotAcknowledged` while the store is being recovered after a loss.
        """
        return _acknowledged(await self._apply([Change(e.tags, e.source, e.id) for e in events], None))

    async def touch(self, tags: Sequence[str]) -> Ack:
        """Raise tags directly, after the caller's own commit."""
        return _acknowledged(await self._apply([Change(raised_by(tag, "touch.changed")) for tag in tags], None))

    async def drain(self) -> Ack | None:
        """Poll every outbox to its end and apply it all; the heartbeat carries the time before the poll.

        A source that fails does not keep the others from being heard; its error is raised once they were. A store that
        may have lost data is trusted again once every source was heard.
        """
        last, failed = None, None
        doubted = await self._recovery.doubted()
        for source in self._sources:
            before = self._clock.now()
            try:
                last = await self._drain_one(source) or last
            except SourceError as error:
                failed = failed or error
                continue
            await self._store.beat(source.name, before)
        if failed is not None:
            raise failed
        if doubted:
            await self._recovery.bless(doubted)
            last = None if last is None else msgspec.structs.replace(last, trusted=True)
        return last

    async def _recognise(self, source: Source) -> None:
        """Once a process: raise :class:`ForeignSource` unless the outbox is the one the store was built from.

        The store keeps the first outbox row it has seen. A source that was replaced or restored from before that row
        would otherwise look as if all its changes were applied already.
        """
        if source.name in self._recognised:
            return
        name = f"outbox/{source.name}"
        kept = await self._store.get(name)
        position, first = (0, "") if kept is None else msgspec.msgpack.decode(kept, type=tuple[int, str])
        rows = await asyncio.to_thread(source.poll, max(0, position - 1), 1)
        if kept is not None and (not rows or (rows[0].position == position and rows[0].id != first)):
            raise ForeignSource(
                f"source {source.name!r} is not the one this store was built from (its outbox lacks row {position}); "
                "delete the store and let it be rebuilt, or bring the source back",
                field=source.name,
            )
        if kept is None and rows:
            await self._store.swap(name, None, msgspec.msgpack.encode((rows[0].position, rows[0].id)))
        if rows:
            self._recognised.add(source.name)

    async def _drain_one(self, source: Source) -> Ack | None:
        try:
            await self._recognise(source)
        except ParbakeError:
            raise
        except Exception as error:
            raise SourceError(f"source {source.name!r} cannot be polled: {error}", field=source.name) from error
        last, after = None, await self._store.applied(source.name)
        while True:
            try:
                rows = await asyncio.to_thread(source.poll, after, PAGE)
            except ParbakeError:
                raise
            except Exception as error:
                raise SourceError(f"source {source.name!r} cannot be polled: {error}", field=source.name) from error
            if not rows:
                return last
            position = (source.name, after, rows[-1].position)
            last = await self._apply([_change(source, row) for row in rows], position)
            after = rows[-1].position

    async def _apply(self, changes: Sequence[Change], position: tuple[str, int, int] | None) -> Ack:
        started = time.perf_counter()
        ack = await self._store.apply(changes, now=self._clock.now(), position=position)
        took = time.perf_counter() - started
        for hook in self._hooks:
            hook.event(ack.raised, duplicates=ack.duplicates, seconds=took)
        return ack


def _acknowledged(ack: Ack) -> Ack:
    """An event counts only in an incarnation that is trusted: another loss could still take it."""
    if not ack.trusted:
        raise NotAcknowledged("the store is being recovered after a loss: the event is raised; publish it again soon")
    return ack


def _change(source: Source, row: SourceEvent) -> Change:
    """A malformed outbox row must not block the rows behind it: it raises all its families."""
    try:
        return Change(raised_by(row.subject, row.type), source.name, row.id)
    except BadInput as error:
        _log.error("outbox of %s, position %d: %s; raising all its families", source.name, row.position, error)
        return Change(tuple(t for f in source.families for t in (f, f"{f}/*")), source.name, row.id)
