"""The event lane: fence first (the tags are raised by then), refresh afterwards.

The lane tails the store's event log from a durable cursor, so that nothing acknowledged is forgotten when a worker
dies. The first event on a key refreshes it at once; followers are debounced; the hottest key goes first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from parbake.artifact import Stamp, unpack_stamp
from parbake.contract import Invalidation
from parbake.errors import ParbakeError
from parbake.fence.check import is_pending, killed_by
from parbake.fence.tags import family, key_from_tag
from parbake.ports import Clock, Lookup, Raised, Store
from parbake.serving.binding import Context
from parbake.serving.demand import Demand
from parbake.serving.plan import Plan
from parbake.tasks import Artifact, Stored
from parbake.telemetry import Counters

CURSOR = "event-lane"
PAGE = 500
IDLE_S = 0.02
LEASED_S = 0.1
LOOK_BACK_S = 1.0
RETRY_S = (0.2, 1.0, 5.0, 30.0)
_log = logging.getLogger("parbake.event_lane")
Heat = Callable[[str], Awaitable[Mapping[bytes, int]]]


@dataclass(slots=True)
class Due:
    """One key that waits for its refresh; ``at`` is on the monotonic clock, ``raised_at`` on the wall's."""

    plan: Plan
    key: Any
    at: float
    stamp: Stamp
    raised_at: float
    attempts: int = 0


class EventLane:
    """Refreshes what events have outdated."""

    def __init__(
        self,
        store: Store,
        demand: Demand,
        plans: Iterable[Plan],
        clock: Clock,
        heat: Heat,
        *,
        counters: Counters | None = None,
    ) -> None:
        """``heat`` returns how often each key of a task was served lately."""
        self._counters = counters or Counters()
        self._store = store
        self._demand = demand
        artifacts = [p for p in plans if isinstance(p.task, Artifact)]
        self._bound = {p.ref: bound_by(p.task) for p in artifacts}
        self._plans = [p for p in artifacts if self._bound[p.ref]]
        self._clock = clock
        self._heat = heat
        self._due: dict[tuple[str, bytes], Due] = {}
        self._last_run: dict[tuple[str, bytes], float] = {}
        self._read_to = Stamp(0, 0)
        self._cursor: bytes | None = None
        self._looked_back_at = 0.0

    async def run(self) -> None:
        """Work until cancelled."""
        is_placed = False
        while True:
            try:
                if not is_placed:
                    await self._place()
                    is_placed = True
                worked = await self.step()
            except ParbakeError as error:
                _log.error("the event lane could not take a step and goes on: %s", error)
                worked = False
            if not worked:
                await asyncio.sleep(IDLE_S)

    async def step(self) -> bool:
        """Read new log entries and refresh what is due; ``False`` when there was nothing to do."""
        entries = await self._store.log(self._read_to, PAGE)
        if entries:
            await self._enqueue(entries)
            self._read_to = entries[-1].stamp
        else:
            await self._look_back()
        ready = await self._ready()
        for name in ready:
            due = self._due.pop(name, None)
            if due is not None:
                await self._refresh(due)
        if (entries or ready) and not self._due:
            await self._save_cursor()
        return bool(entries or ready)

    async def _place(self) -> None:
        """Begin where the store says that events were seen to, or at the beginning where that lies ahead of it."""
        self._cursor = await self._store.get(CURSOR)
        at, _ = await self._store.stamp()
        read_to = unpack_stamp(self._cursor) if self._cursor else Stamp(0, 0)
        self._read_to = read_to if read_to <= at else Stamp(0, 0)

    async def _look_back(self) -> None:
        """A store that lost its last writes may count on from below what was read of it: nothing would be new again."""
        now = _monotonic()
        if now < self._looked_back_at + LOOK_BACK_S:
            return
        self._looked_back_at = now
        at, _ = await self._store.stamp()
        if at < self._read_to:
            await self._place()

    async def revisit(self, after: Stamp) -> None:
        """Look again at events since a stamp: a promotion may have replaced what they had refreshed."""
        self._read_to = min(self._read_to, after)

    async def _save_cursor(self) -> None:
        new = self._read_to.pack()
        if await self._store.swap(CURSOR, self._cursor, new):
            self._cursor = new
        else:
            self._cursor = await self._store.get(CURSOR)

    async def _enqueue(self, entries: list[Raised]) -> None:
        stamps = {tag: entry.stamp for entry in entries for tag in entry.tags}
        raised_at = {entry.stamp: entry.at for entry in entries}
        families = {family(tag) for tag in stamps}
        now = _monotonic()
        for plan in self._plans:
            for item in self._bound[plan.ref]:
                if item.family not in families:
                    continue
                touched = {t: s for t, s in stamps.items() if family(t) == item.family}
                async for key, stamp in self._targets(plan, item, touched):
                    name = (plan.ref, plan.keys.encode(key))
                    earliest = self._last_run.get(name, 0.0) + item.debounce_s
                    first = self._due[name].raised_at if name in self._due else raised_at[stamp]
                    self._due[name] = Due(plan, key, max(now, earliest), stamp, first)
                await asyncio.sleep(0)

    async def _targets(
        self, plan: Plan, item: Invalidation, touched: Mapping[str, Stamp]
    ) -> AsyncIterator[tuple[Any, Stamp]]:
        """The keys that some raised tags outdate: named by a template, or found by the tags of what is stored."""
        named = {t: key_from_tag(item.template, t) for t in touched} if item.is_template else {}
        if item.is_template and item.family not in touched:
            for tag, word in named.items():
                key = None if word is None else plan.keys.from_word(word)
                if key is not None:
                    yield key, touched[tag]
            return
        async for raw, lookup in self._store.scan(plan.ref):
            hit = max((touched[t] for t in _tags(lookup) if t in touched), default=None)
            if hit and lookup.records:
                yield plan.keys.decode(raw, lookup.records[0].meta.key), hit

    async def _ready(self) -> list[tuple[str, bytes]]:
        """What is due, hottest first; it stays queued until its turn, so that a failure loses nothing."""
        now = _monotonic()
        ready = [name for name, due in self._due.items() if due.at <= now]
        heat = {ref: await self._heat(ref) for ref in {name[0] for name in ready}}
        ready.sort(key=lambda name: -heat[name[0]].get(name[1], 0))
        return ready

    async def _refresh(self, due: Due) -> None:
        name = (due.plan.ref, due.plan.keys.encode(due.key))
        try:
            async with self._demand.turns.now(due.plan, name[1]) as is_mine:
                if is_mine:
                    await self._refresh_now(due, name)
                else:  # another process computes it; whether that is new enough shows when it has
                    due.at = _monotonic() + LEASED_S
                    self._due.setdefault(name, due)
        except ParbakeError as error:
            self._retry(due, name, error)

    async def _refresh_now(self, due: Due, name: tuple[str, bytes]) -> None:
        if not self._needs(due, await self._store.read(*name)):
            return
        self._last_run[name] = _monotonic()
        if len(self._last_run) > PAGE * 100:
            self._last_run.clear()
        await self._demand.refresh(due.plan, [due.key], Context(lane="event"))
        self._counters.refreshed(due.plan.name, self._clock.now() - due.raised_at)

    def _needs(self, due: Due, lookup: Lookup) -> bool:
        """Whether nothing stored is as new as the event; keys nobody ever computed wait for their first request."""
        if not lookup.records:
            return due.plan.task.schedule is not None
        now = self._clock.now()
        for record in lookup.records:
            is_new = unpack_stamp(record.stamp) >= due.stamp and not is_pending(record, lookup.marks)
            if is_new and killed_by(record, lookup.control, lookup.marks, now=now) is None:
                return False
        return True

    def _retry(self, due: Due, name: tuple[str, bytes], error: ParbakeError) -> None:
        """Try again later; after the last attempt the key is left to the fence, which serves no old value meanwhile."""
        if due.attempts >= len(RETRY_S):
            _log.error("%s: refresh given up after %d attempts: %s", due.plan.name, due.attempts, error)
            return
        due.at = _monotonic() + RETRY_S[due.attempts]
        due.attempts += 1
        self._due.setdefault(name, due)
        _log.warning("%s: refresh failed, will retry: %s", due.plan.name, error)


def _monotonic() -> float:
    """The running loop's clock, in seconds."""
    return asyncio.get_running_loop().time()


def bound_by(task: Stored) -> list[Invalidation]:
    """What may outdate a task: what it declares, and the fences that it inherits through its inputs."""
    items = list(task.contract.invalidated_by)
    for source in task.inputs:
        if isinstance(source, Stored):
            known = {item.family for item in items}
            inherited = {item.family for item in bound_by(source) if item.strength == "fence"}
            items += [Invalidation(name, "fence") for name in sorted(inherited - known)]
    return items


def _tags(lookup: Lookup) -> Iterator[str]:
    for record in lookup.records:
        yield from record.meta.tags.fences
        for tag, _ in record.meta.tags.refreshes:
            yield tag
