"""What has happened in the last hour: the ages of each task's values, the lag of each source, and what began or ended.

Each server looks for itself while it runs. A look reads a few hundred keys of each task. The pauses between looks are
so long that looking takes two hundredths of the time at most.

One look a minute is kept in a list of the store, in the place of the one an hour before, so that a server that starts
knows what was seen before. Several servers over one store write the same places, and see the same store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

import msgspec
from msgspec.structs import replace

from parbake.app.plugin import Parts
from parbake.errors import StoreError
from parbake.lanes.batch.runs import State
from parbake.lanes.worker.conditions import Condition
from parbake.lanes.worker.freshness import FreshnessRow, SourceRow
from parbake.process.loops import sparingly
from parbake.values.redaction import one_line
from parbake_console.effects import between, tally
from parbake_console.monitoring.gauges import gauges
from parbake_console.newest_changes import NewestChanges

KEPT_S = 3600.0
"""How far back the pages look."""
PAUSE_S = 15.0
_KEYS = 300
"""From how many keys of a task the ages are taken."""
_MOST_INCIDENTS, _INCIDENTS_KEPT = 200, 50
_LIST, _INCIDENTS, _PLACES = "console-history", b"incidents", 60
"""Where it is kept in the store: the list, the name of the incidents in it, and how many looks."""
_USUAL_AT_START = {"not_built", "worker_silent"}
"""What a server always finds if it starts before its worker."""
_SPAN = r"(?:\d+(?:ms|[dhms]))+"
_FOR, _LAST_HEARD = re.compile(f" for {_SPAN}"), re.compile(f"was last heard {_SPAN} ago")
"""How long something had lasted when it was noticed, which an incident tells by its times."""
_log = logging.getLogger("parbake.console")


class Age(msgspec.Struct, frozen=True):
    """The ages of a task's values at one time, in seconds: half of the values, the oldest; ``None`` without a value."""

    half_s: float | None
    most_s: float | None


class Sample(msgspec.Struct, frozen=True):
    """One look: the time (epoch seconds), the ages by task, and the lags of the sources in seconds."""

    at: float
    ages: Mapping[str, Age]
    lags: Mapping[str, float]


class Incident(msgspec.Struct, frozen=True):
    """Something that was not as it should be: its kind, of which task or source, a sentence, from when until when.

    Times are epoch seconds. ``ended`` is ``None`` while it goes on.

    Attributes:
        tasks: The tasks that it concerns; empty for all.
        reads: What reads of this process got meanwhile: the task, what happened, and how often.
    """

    kind: str
    about: str
    sentence: str
    began: float
    ended: float | None = None
    tasks: tuple[str, ...] = ()
    reads: tuple[tuple[str, str, int], ...] = ()


class History:
    """Looks at an app again and again, and keeps what it saw.

    Attributes:
        samples: The looks of the last hour, the oldest first.
        incidents: What was or is not as it should be, the newest first.
        rows: The freshness of each task at the last look.
        sources: The sources at the last look.
        runs: The runs of each task that has a schedule, at the last look.
        conditions: What degrades the servers of the store.
        changes: The newest changes, and when values were fresh again.
        trouble: Why the last look could not read the store; empty if it could.
    """

    def __init__(self, parts: Parts) -> None:
        """Look at an app through its parts."""
        tasks = parts.tasks.values()
        self._core, self._store, self._clock, self._counters = parts.core, parts.store, parts.clock, parts.counters
        self.changes = NewestChanges(parts.store, parts.clock, tasks)
        self._scheduled = [bound for bound in tasks if bound.task.schedule]
        self._looking = asyncio.Lock()
        self.samples: deque[Sample] = deque()
        self.incidents: deque[Incident] = deque(maxlen=_MOST_INCIDENTS)
        self.rows: Sequence[FreshnessRow] = ()
        self.sources: Sequence[SourceRow] = ()
        self.runs: Mapping[str, State] = {}
        self.conditions: Sequence[Condition] = ()
        self.trouble = ""
        self.at = 0.0
        self._ignored: set[tuple[str, str]] | None = None
        self._open: dict[tuple[str, str], Incident] = {}
        self._before: dict[tuple[str, str], Counter[tuple[str, str]]] = {}
        self._minute: int | None = None
        """The last minute that was kept; ``None`` before the first look."""

    @property
    def pause_s(self) -> float:
        """The usual time between two looks, in seconds."""
        pauses = [after.at - before.at for before, after in pairwise(self.samples)]
        return median(pauses) if pauses else PAUSE_S

    @property
    def failing(self) -> frozenset[str]:
        """The tasks whose runs failed at the last look."""
        return frozenset(one.about for (kind, _), one in self._open.items() if kind == "run")

    async def run(self) -> None:
        """Look until cancelled."""
        await sparingly(self.look, PAUSE_S, what="the look of the console", log=_log)

    async def fresh(self) -> None:
        """Look now; if the last look is recent, only at what degrades the servers."""
        async with self._looking:
            if self._clock.now() - self.at >= PAUSE_S:
                await self._look()
            else:
                self.conditions = (await self._core.ready()).conditions
                self._compare(self._clock.now())

    async def look(self) -> None:
        """Look once. If the store cannot be read, :attr:`trouble` says why, and what was seen before stays."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        self.at = self._clock.now()
        try:
            if self._minute is None:
                await self._remember()
            self.conditions = (await self._core.ready()).conditions
            self.rows, self.sources = await self._core.freshness(_KEYS), await self._core.sources()
            self.runs = {bound.name: await self._core.runs(bound) for bound in self._scheduled}
            await self.changes.look()
            self.trouble = ""
            self._keep()
        except StoreError as error:
            self.trouble = one_line(error)
        self._compare(self.at)
        if self._minute not in (None, int(self.at // 60)) and not self.trouble:
            with contextlib.suppress(StoreError):  # the next look tells of it
                await self._note()

    async def _remember(self) -> None:
        """Read what this server, or another one, has seen before."""
        kept = await self._store.entries(_LIST)
        with contextlib.suppress(msgspec.MsgspecError):  # of another version: the picture begins again
            self.incidents.extend(msgspec.msgpack.decode(kept.pop(_INCIDENTS, b"\x90"), type=list[Incident]))
            looks = [msgspec.msgpack.decode(one, type=Sample) for one in kept.values()]
            looks = [one for one in looks if self.at - KEPT_S <= one.at < self.at]
            self.samples.extend(sorted(looks, key=lambda one: one.at))
        for one in self.incidents:
            if one.ended is None:
                self._open[one.kind, one.about] = one
                self._before[one.kind, one.about] = Counter({(task, what): -number for task, what, number in one.reads})
        self._minute = 0

    async def _note(self) -> None:
        """Keep the last look and the newest incidents."""
        self._minute = int(self.at // 60)
        newest = list(self.incidents)[:_INCIDENTS_KEPT]
        await self._store.append(_LIST, b"%02d" % (self._minute % _PLACES), msgspec.msgpack.encode(self.samples[-1]))
        await self._store.append(_LIST, _INCIDENTS, msgspec.msgpack.encode(newest))

    def metrics(self) -> list[Any]:
        """Return what was seen last; see :class:`parbake.ports.observers.Observers`."""
        return list(gauges(self.rows, self.sources, self.runs))

    def _keep(self) -> None:
        ages = {row.task: Age(row.age_p50_s, row.age_max_s) for row in self.rows}
        lags = {row.source: row.lag_s for row in self.sources if row.lag_s is not None}
        self.samples.append(Sample(self.at, ages, lags))
        while self.samples[0].at < self.at - KEPT_S:
            self.samples.popleft()

    def _compare(self, now: float) -> None:
        """Note what has begun and what is over since the look before."""
        found = {(one.kind, one.about): one for one in self._wrong(now)}
        if self._ignored is None:
            self._ignored = {name for name in found if name[0] in _USUAL_AT_START and name not in self._open}
        self._ignored &= found.keys()
        so_far = tally(self._counters)
        for name in found.keys() - self._open.keys() - self._ignored:
            self._open[name], self._before[name] = found[name], so_far
            self.incidents.appendleft(found[name])
        for name, one in list(self._open.items()):
            ended = None if name in found else now
            changed = replace(one, ended=ended, reads=between(self._before[name], so_far, one.tasks))
            if one in self.incidents:  # it may be one of those that are forgotten
                self.incidents[self.incidents.index(one)] = changed
            self._open[name] = changed
            if ended is not None:
                del self._open[name], self._before[name]

    def _wrong(self, now: float) -> Iterator[Incident]:
        """What is not as it should be now."""
        for condition in self.conditions:
            told = _LAST_HEARD.sub("is not heard", _FOR.sub("", condition.message))
            yield Incident(condition.kind, condition.about, told, now, tasks=condition.tasks)
        for row in self.rows:
            if row.breached_since is not None:
                began = max(row.breached_since, now - KEPT_S)
                yield Incident("breach", row.task, f"{row.task} is in breach of its SLA", began, tasks=(row.task,))
        for task, state in self.runs.items():
            if state.under_way is not None and state.under_way.failure:
                told = f"the run of {task} fails: {state.under_way.failure}"
                yield Incident("run", task, told, state.under_way.started_at, tasks=(task,))
