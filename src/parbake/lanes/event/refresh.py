"""Refreshes keys that events have outdated, and computes wished-for keys ahead: at once, debounced, hottest first.

A due key stays queued until its turn, so that a failure loses nothing. A failed refresh is retried a few times. After
that the key is left to the fence, which serves no old value meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parbake.lanes.event.work_claims import KeyPart, WorkClaims, part_of
from parbake.ports.clock import Clock
from parbake.ports.event_log import Raised
from parbake.ports.observers import End, begun, tell
from parbake.ports.store import Store
from parbake.process.counters import Counters
from parbake.process.signals import is_ours
from parbake.process.system_clock import monotonic
from parbake.process.trouble import Trouble
from parbake.protocol.check import is_pending, killed_by
from parbake.protocol.record import Stamp
from parbake.serving.bind import Context
from parbake.serving.bound import BoundTask
from parbake.serving.on_demand import OnDemand
from parbake.values.backoff import Backoff
from parbake.values.redaction import one_line

GROUP = 32
"""The most keys that one call refreshes, so that the hottest ones do not wait for too many others."""
_LEASED_S = 0.1
CLAIMED_S = 0.25
_ATTEMPTS, BACKOFF = 4, Backoff(0.2, 30.0, factor=5)
REMEMBERED = 50_000
"""The most keys whose last refresh is remembered for debouncing."""
_log = logging.getLogger("parbake.event_lane")
Heat = Callable[[str], Awaitable[Mapping[bytes, int]]]
Name = tuple[str, bytes]
"""A task's ref, and a key as the store knows it."""


@dataclass(slots=True)
class Due:
    """One key that waits for its refresh; ``at`` is on the monotonic clock, ``raised_at`` on the wall's.

    An event outdated it (``is_outdated``), or wished for it without outdating anything (``is_wished``), or both.
    """

    bound: BoundTask
    key: Any
    at: float
    stamp: Stamp
    raised_at: float
    trace: str = ""
    attempts: int = 0
    is_outdated: bool = True
    is_wished: bool = False

    @property
    def name(self) -> Name:
        """The task's ref and the encoded key, under which it is queued."""
        return self.bound.ref, self.bound.keys.encode(self.key)


class Refreshing:
    """Queues the keys that wait for a refresh, and refreshes them."""

    def __init__(
        self,
        store: Store,
        demand: OnDemand,
        clock: Clock,
        heat: Heat,
        *,
        counters: Counters,
        claims: WorkClaims | None = None,
        hears: Sequence[Callable[..., End]] = (),
    ) -> None:
        """``heat`` returns how often each key of a task was served lately; leave out ``claims`` for a single worker.

        ``hears`` are told of the refreshes of traced events; see :class:`parbake.ports.observers.Observers`.
        """
        self._store = store
        self._demand = demand
        self._clock = clock
        self._heat = heat
        self._troubles: dict[str, Trouble] = {}
        self._counters = counters
        self._claims, self._hears = claims, tuple(hears)
        self._due: dict[Name, Due] = {}
        counters.measured["parbake_refresh_backlog"] = self._due.__len__
        self._last_run: dict[Name, float] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no key waits for a refresh."""
        return not self._due

    def outdated(self, bound: BoundTask, key: Any, event: Raised, debounce_s: float) -> None:
        """Queue a key whose value is older than an event.

        Args:
            bound: The task.
            key: The key.
            event: The event.
            debounce_s: How long to wait for further events, in seconds.
        """
        due = Due(bound, key, monotonic(), event.stamp, event.at, event.trace)
        due.at = max(due.at, self._last_run.get(due.name, 0.0) + debounce_s)
        before = self._due.get(due.name)
        if before is not None:
            due.raised_at, due.is_wished, due.trace = before.raised_at, before.is_wished, before.trace or due.trace
        self._due[due.name] = due

    def wished(self, bound: BoundTask, key: Any, event: Raised) -> None:
        """Queue a key that will be asked for soon, by an event that outdates nothing.

        Args:
            bound: The task.
            key: The key.
            event: The event.
        """
        due = Due(bound, key, monotonic(), event.stamp, event.at, event.trace, is_outdated=False)
        self._due.setdefault(due.name, due).is_wished = True

    async def work(self) -> bool:
        """Refresh the keys that are due; ``False`` if there were none."""
        ready = await self._ready()
        if self._claims is not None and self._claims.are_needed:
            await self._work_beside_others(ready, self._claims)
        else:
            await self._work_alone(ready)
        return bool(ready)

    async def _work_alone(self, ready: list[Name]) -> None:
        for group in self._groups(ready):
            if self._claims is not None and self._claims.are_needed:
                return  # another worker has started: the remaining keys are shared with it
            await self._refresh_group(group)

    async def _work_beside_others(self, ready: list[Name], claims: WorkClaims) -> None:
        """Lease and refresh part after part. The keys of a part that another worker holds wait; most are then fresh."""
        parts: dict[KeyPart, list[Name]] = {}
        for name in ready:
            parts.setdefault(part_of(*name), []).append(name)
        for part, names in parts.items():
            async with claims.take(part) as is_mine:
                for group in self._groups(names) if is_mine else ():
                    await self._refresh_group(group)
            if not is_mine:
                for due in (self._due[name] for name in names if name in self._due):
                    due.at = monotonic() + CLAIMED_S

    async def _refresh_group(self, group: list[Name]) -> None:
        taken = [due for name in group if (due := self._due.pop(name, None)) is not None]
        if len(taken) == 1:
            await self._refresh(taken[0])
        elif taken:
            await self._refresh_together(taken)

    async def _ready(self) -> list[Name]:
        """The keys that are due, hottest first. They stay queued until their turn, so that a failure loses nothing."""
        now = monotonic()
        ready = [name for name, due in self._due.items() if due.at <= now]
        heat = {ref: await self._heat(ref) for ref in {name[0] for name in ready}}
        ready.sort(key=lambda name: -heat[name[0]].get(name[1], 0))
        return ready

    def _groups(self, ready: list[Name]) -> Iterator[list[Name]]:
        """Group the keys for one call each: several if the function takes many keys at once, otherwise one."""
        together: dict[str, list[Name]] = {}
        for name in ready:
            bound = self._due[name].bound
            if not bound.batched or bound.lease_s is not None:
                yield [name]
                continue
            group = together.setdefault(bound.ref, [])
            group.append(name)
            if len(group) == GROUP:
                yield together.pop(bound.ref)
        yield from together.values()

    async def _refresh_together(self, group: list[Due]) -> None:
        bound = group[0].bound
        try:
            needed = [due for due in group if await self._needs(due)]
            if not needed:
                return
            self._note_run(needed)
            await self._refreshed(bound, needed)
        except BaseException as error:
            if is_ours(error):
                raise
            for due in group:  # a key that fails must not stop the others
                await self._refresh(due)
            return
        self._note_refreshed(bound, needed)

    def _note_run(self, group: Iterable[Due]) -> None:
        self._last_run.update(dict.fromkeys((due.name for due in group), monotonic()))
        if len(self._last_run) > REMEMBERED:
            self._last_run.clear()

    async def _refresh(self, due: Due) -> None:
        name = due.name
        try:
            async with self._demand.turns.now(due.bound, name[1]) as is_mine:
                if is_mine:
                    await self._refresh_now(due)
                else:  # another process computes it; look again afterwards whether its value is new enough
                    due.at = monotonic() + _LEASED_S
                    self._due.setdefault(name, due)
        except BaseException as error:
            if is_ours(error):
                raise
            self._retry(due, one_line(error))

    async def _refresh_now(self, due: Due) -> None:
        if not await self._needs(due):
            return
        self._note_run([due])
        await self._refreshed(due.bound, [due])
        self._note_refreshed(due.bound, [due])

    async def _refreshed(self, bound: BoundTask, group: Sequence[Due]) -> None:
        traced = [(due.trace, due.raised_at) for due in group if due.trace] if self._hears else []
        ends, outcome = begun(self._hears, bound.name, traced) if traced else (), "failed"
        try:
            await self._demand.refresh(bound, [due.key for due in group], Context(lane="event"))
            outcome = "fresh"
        finally:
            tell(ends, outcome)

    async def _needs(self, due: Due) -> bool:
        """Whether no stored value is as new as the event. A key that was never computed waits for its first request."""
        if due.is_wished and not await self._demand.is_there(due.bound, due.name[1]):
            return True
        if not due.is_outdated:
            return False
        lookup = await self._store.read(*due.name)
        if not lookup.records:
            return due.bound.task.schedule is not None
        now = self._clock.now()
        for record in lookup.records:
            is_new = record.as_of >= due.stamp and not is_pending(record, lookup.marks)
            if is_new and killed_by(record, lookup.control, lookup.marks, now=now) is None:
                return False
        return True

    def _retry(self, due: Due, why: str) -> None:
        """Queue the key again. After the last attempt it is left to the fence, which serves no old value meanwhile."""
        name = due.bound.name
        self._troubles.setdefault(name, Trouble(f"the refresh of {name}", _log)).met(why)  # a key may be a person's
        if due.attempts >= _ATTEMPTS:
            _log.debug("%s: a key's refresh is given up after %d attempts: %s", name, due.attempts, why)
            return
        due.at = monotonic() + BACKOFF.pause_s(due.attempts)
        due.attempts += 1
        self._due.setdefault(due.name, due)

    def _note_refreshed(self, bound: BoundTask, group: Sequence[Due]) -> None:
        for due in group:
            self._counters.refreshed(bound.name, self._clock.now() - due.raised_at)
        if group and bound.name in self._troubles:
            self._troubles[bound.name].is_over()
