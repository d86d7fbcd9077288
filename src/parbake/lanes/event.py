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
GROUP = 32
"""Keys that are refreshed by one call: what is hottest must not wait for too many others."""
IDLE_S = 0.02
LEASED_S = 0.1
LOOK_BACK_S = 1.0
RETRY_S = (0.2, 1.0, 5.0, 30.0)
_log = logging.getLogger("parbake.event_lane")
Heat = Callable[[str], Awaitable[Mapping[bytes, int]]]


@dataclass(slots=True)
class Due:
    """One key that waits for its refresh; ``at`` is on the monotonic clock, ``raised_at`` on the wall's.

    It ``is_outdated`` by an event, or ``is_wished`` for by one that outdates nothing, or both.
    """

    plan: Plan
    key: Any
    at: float
    stamp: Stamp
    raised_at: float
    attempts: int = 0
    is_outdated: bool = True
    is_wished: bool = False

    @property
    def name(self) -> tuple[str, bytes]:
        """The task's ref, and the key as the store knows it."""
        return self.plan.ref, self.plan.keys.encode(self.key)


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
        self._wishes = {p.ref: p.task.prefetch for p in artifacts if isinstance(p.task, Artifact) and not p.off}
        self._plans = [p for p in artifacts if self._bound[p.ref] or self._wishes.get(p.ref)]
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
        for group in self._groups(ready):
            taken = [due for name in group if (due := self._due.pop(name, None)) is not None]
            if len(taken) == 1:
                await self._refresh(taken[0])
            elif taken:
                await self._refresh_together(taken)
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
                    self._outdated(plan, key, item, (now, stamp, raised_at[stamp]))
                await asyncio.sleep(0)
            for item in self._wishes.get(plan.ref, ()):
                touched = {t: s for t, s in stamps.items() if family(t) == item.family}
                for key, stamp in _named(plan, item, touched):
                    wished = Due(plan, key, now, stamp, raised_at[stamp], is_outdated=False)
                    self._due.setdefault(wished.name, wished).is_wished = True

    def _outdated(self, plan: Plan, key: Any, item: Invalidation, event: tuple[float, Stamp, float]) -> None:
        """Queue a key whose value is older than an event: (now, the event's stamp, when it was raised)."""
        now, stamp, raised_at = event
        due = Due(plan, key, now, stamp, raised_at)
        due.at = max(now, self._last_run.get(due.name, 0.0) + item.debounce_s)
        before = self._due.get(due.name)
        if before is not None:
            due.raised_at, due.is_wished = before.raised_at, before.is_wished
        self._due[due.name] = due

    async def _targets(
        self, plan: Plan, item: Invalidation, touched: Mapping[str, Stamp]
    ) -> AsyncIterator[tuple[Any, Stamp]]:
        """The keys that some raised tags outdate: named by a template, or found by the tags of what is stored."""
        if item.is_template and item.family not in touched:
            for named in _named(plan, item, touched):
                yield named
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

    def _groups(self, ready: list[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
        """What is computed in one call: keys of functions that take many at once, some at a time; the others alone."""
        together: dict[str, list[tuple[str, bytes]]] = {}
        for name in ready:
            plan = self._due[name].plan
            if not plan.batched or plan.lease_s is not None:
                yield [name]
                continue
            group = together.setdefault(plan.ref, [])
            group.append(name)
            if len(group) == GROUP:
                yield together.pop(plan.ref)
        yield from together.values()

    async def _refresh_together(self, group: list[Due]) -> None:
        plan = group[0].plan
        try:
            needed = [due for due in group if await self._needs(due)]
            if not needed:
                return
            self._note_run(needed)
            await self._demand.refresh(plan, [due.key for due in needed], Context(lane="event"))
        except ParbakeError:
            for due in group:  # one that fails must not keep the others from being made
                await self._refresh(due)
            return
        for due in needed:
            self._counters.refreshed(plan.name, self._clock.now() - due.raised_at)

    def _note_run(self, group: Iterable[Due]) -> None:
        self._last_run.update(dict.fromkeys((due.name for due in group), _monotonic()))
        if len(self._last_run) > PAGE * 100:
            self._last_run.clear()

    async def _refresh(self, due: Due) -> None:
        name = due.name
        try:
            async with self._demand.turns.now(due.plan, name[1]) as is_mine:
                if is_mine:
                    await self._refresh_now(due)
                else:  # another process computes it; whether that is new enough shows when it has
                    due.at = _monotonic() + LEASED_S
                    self._due.setdefault(name, due)
        except ParbakeError as error:
            self._retry(due, error)

    async def _refresh_now(self, due: Due) -> None:
        if not await self._needs(due):
            return
        self._note_run([due])
        await self._demand.refresh(due.plan, [due.key], Context(lane="event"))
        self._counters.refreshed(due.plan.name, self._clock.now() - due.raised_at)

    async def _needs(self, due: Due) -> bool:
        """Whether nothing stored is as new as the event; keys nobody ever computed wait for their first request."""
        if due.is_wished and not await self._demand.is_there(due.plan, due.name[1]):
            return True
        if not due.is_outdated:
            return False
        lookup = await self._store.read(*due.name)
        if not lookup.records:
            return due.plan.task.schedule is not None
        now = self._clock.now()
        for record in lookup.records:
            is_new = unpack_stamp(record.stamp) >= due.stamp and not is_pending(record, lookup.marks)
            if is_new and killed_by(record, lookup.control, lookup.marks, now=now) is None:
                return False
        return True

    def _retry(self, due: Due, error: ParbakeError) -> None:
        """Try again later; after the last attempt the key is left to the fence, which serves no old value meanwhile."""
        if due.attempts >= len(RETRY_S):
            _log.error("%s: refresh given up after %d attempts: %s", due.plan.name, due.attempts, error)
            return
        due.at = _monotonic() + RETRY_S[due.attempts]
        due.attempts += 1
        self._due.setdefault(due.name, due)
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


def _named(plan: Plan, item: Invalidation, touched: Mapping[str, Stamp]) -> Iterator[tuple[Any, Stamp]]:
    """The keys that some raised tags spell out."""
    for tag, stamp in touched.items():
        word = key_from_tag(item.template, tag)
        key = None if word is None else plan.keys.from_word(word)
        if key is not None:
            yield key, stamp


def _tags(lookup: Lookup) -> Iterator[str]:
    for record in lookup.records:
        yield from record.meta.tags.fences
        for tag, _ in record.meta.tags.refreshes:
            yield tag
