"""The event lane refreshes outdated values. Their tags are already raised, so the fence holds before the refresh.

The lane tails the store's event log from a durable cursor, so that an acknowledged event is not lost when a worker
dies. The first event on a key refreshes it at once, and later events are debounced. The hottest key comes first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from parbake.lanes.event.refresh import Heat, Refreshing
from parbake.lanes.event.work_claims import WorkClaims
from parbake.ports.clock import Clock
from parbake.ports.event_log import Raised
from parbake.ports.observers import End
from parbake.ports.records import Lookup
from parbake.ports.store import Store
from parbake.process.counters import Counters
from parbake.process.loops import forever
from parbake.process.system_clock import monotonic
from parbake.protocol.record import Stamp, unpack_stamp
from parbake.protocol.tags import family, key_from_tag
from parbake.serving.bound import BoundTask
from parbake.serving.on_demand import OnDemand
from parbake.serving.strays import Strays
from parbake.tasks.contract import Invalidation
from parbake.tasks.task_types import Artifact, Stored

CURSOR = "event-lane"
PAGE = 500
IDLE_S = 0.02
LOOK_BACK_S = 1.0
_log = logging.getLogger("parbake.event_lane")


class EventLane:
    """Refreshes the values that events have outdated."""

    def __init__(
        self,
        store: Store,
        demand: OnDemand,
        bound_tasks: Iterable[BoundTask],
        clock: Clock,
        heat: Heat,
        *,
        counters: Counters | None = None,
        claims: WorkClaims | None = None,
        refreshing: Sequence[Callable[..., End]] = (),
    ) -> None:
        """``heat`` returns how often each key of a task was served lately; ``claims`` share the keys among workers.

        ``refreshing`` hear of refreshes; see :class:`parbake.ports.observers.Observers`.
        """
        self._store = store
        artifacts = [p for p in bound_tasks if isinstance(p.task, Artifact)]
        self._bound = {p.ref: bound_by(p.task) for p in artifacts}
        self._wishes = {p.ref: p.task.prefetch for p in artifacts if isinstance(p.task, Artifact) and not p.off}
        self._bound_tasks = [p for p in artifacts if self._bound[p.ref] or self._wishes.get(p.ref)]
        self._refreshing = Refreshing(
            store, demand, clock, heat, counters=counters or Counters(), claims=claims, hears=refreshing
        )
        self._strays = Strays(store)
        self._read_to = Stamp(0, 0)
        self._cursor: bytes | None = None
        self._looked_back_at = 0.0

    async def run(self) -> None:
        """Work until cancelled."""
        is_placed = False

        async def step() -> bool:
            nonlocal is_placed
            if not is_placed:
                await self._place()
                is_placed = True
            return await self.step()

        await forever(step, IDLE_S, what="a step of the event lane", log=_log)

    async def step(self) -> bool:
        """Read new log entries and refresh the keys that are due; ``False`` if there was nothing to do."""
        entries = await self._store.log(self._read_to, PAGE)
        if entries:
            await self._enqueue(entries)
            self._read_to = entries[-1].stamp
        else:
            await self._look_back()
        has_worked = await self._refreshing.work()
        if (entries or has_worked) and self._refreshing.is_idle:
            await self._save_cursor()
        return bool(entries) or has_worked

    async def _place(self) -> None:
        """Begin at the cursor in the store, or at the beginning of the log if the cursor is ahead of the store."""
        self._cursor = await self._store.get(CURSOR)
        at, _ = await self._store.stamp()
        read_to = unpack_stamp(self._cursor) if self._cursor else Stamp(0, 0)
        self._read_to = read_to if read_to <= at else Stamp(0, 0)

    async def _look_back(self) -> None:
        """Go back to the cursor if the store has lost its last writes, or else its new entries would seem old."""
        now = monotonic()
        if now < self._looked_back_at + LOOK_BACK_S:
            return
        self._looked_back_at = now
        at, _ = await self._store.stamp()
        if at < self._read_to:
            await self._place()

    async def revisit(self, after: Stamp) -> None:
        """Read the events after a stamp again, because a promotion may have replaced the values that they refreshed."""
        self._read_to = min(self._read_to, after)

    async def _save_cursor(self) -> None:
        new = self._read_to.pack()
        if await self._store.swap(CURSOR, self._cursor, new):
            self._cursor = new
        else:
            self._cursor = await self._store.get(CURSOR)

    async def _enqueue(self, entries: list[Raised]) -> None:
        stamps = {tag: entry.stamp for entry in entries for tag in entry.tags}
        raised = {entry.stamp: entry for entry in entries}
        families = {family(tag) for tag in stamps}
        for bound in self._bound_tasks:
            for item in self._bound[bound.ref]:
                if item.family not in families:
                    continue
                touched = {t: s for t, s in stamps.items() if family(t) == item.family}
                async for key, stamp in self._targets(bound, item, touched):
                    self._refreshing.outdated(bound, key, raised[stamp], item.debounce_s)
                await asyncio.sleep(0)
            for item in self._wishes.get(bound.ref, ()):
                touched = {t: s for t, s in stamps.items() if family(t) == item.family}
                for key, stamp in _named(bound, item, touched):
                    self._refreshing.wished(bound, key, raised[stamp])

    async def _targets(
        self, bound: BoundTask, item: Invalidation, touched: Mapping[str, Stamp]
    ) -> AsyncIterator[tuple[Any, Stamp]]:
        """The keys that some raised tags outdate: named by a template, or found by the tags of the stored records."""
        if item.is_template and item.family not in touched and not await self._strays.has(bound.ref, item.family):
            for named in _named(bound, item, touched):
                yield named
            return
        async for raw, lookup in self._store.scan(bound.ref):
            hit = max((touched[t] for t in _tags(lookup) if t in touched), default=None)
            if hit and lookup.records:
                yield bound.keys.decode(raw, lookup.records[0].meta.key), hit


def bound_by(task: Stored) -> list[Invalidation]:
    """The invalidations of a task: those that it declares, and the fences that it inherits through its inputs."""
    items = list(task.contract.binding)
    for source in task.inputs:
        if isinstance(source, Stored):
            known = {item.family for item in items}
            inherited = {item.family for item in bound_by(source) if item.strength == "fence"}
            items += [Invalidation(name, "fence") for name in sorted(inherited - known)]
    return items


def _named(bound: BoundTask, item: Invalidation, touched: Mapping[str, Stamp]) -> Iterator[tuple[Any, Stamp]]:
    """The keys that the entities of some raised tags name, each with its tag's stamp."""
    for tag, stamp in touched.items():
        word = key_from_tag(item.template, tag)
        key = None if word is None else bound.keys.from_word(word)
        if key is not None:
            yield key, stamp


def _tags(lookup: Lookup) -> Iterator[str]:
    for record in lookup.records:
        yield from record.meta.tags.fences
        for tag, _ in record.meta.tags.refreshes:
            yield tag
