"""What has happened in the last hour: the ages of each task's values, the lag of each source, and what began or ended.

Each server looks for itself while it runs, and keeps what it saw in memory. A look reads a few hundred keys of each
task. The pauses between looks are so long that looking takes two hundredths of a core at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from time import perf_counter

import msgspec

from parbake.app.plugin import Core
from parbake.errors import StoreError
from parbake.lanes.worker.conditions import Condition
from parbake.lanes.worker.freshness import FreshnessRow, SourceRow
from parbake.ports.clock import Clock
from parbake.values.redaction import one_line

KEPT_S = 3600.0
"""How far back the pages look."""
PAUSE_S = 15.0
_PAUSES_A_LOOK = 50
"""A pause is at least this many times as long as the look before it."""
_KEYS = 300
"""From how many keys of a task the ages are taken."""
_MOST_CHANGES = 200
_log = logging.getLogger("parbake.console")


class Age(msgspec.Struct, frozen=True):
    """The ages of a task's values at one time, in seconds (``None`` without a value), and the share that is stale."""

    half_s: float | None
    most_s: float | None
    stale_share: float


class Sample(msgspec.Struct, frozen=True):
    """One look: the time (epoch seconds), the ages by task, and the lags of the sources in seconds."""

    at: float
    ages: Mapping[str, Age]
    lags: Mapping[str, float]


class Change(msgspec.Struct, frozen=True):
    """Something that began or ended: when (epoch seconds), of which task or source, and a sentence."""

    at: float
    about: str
    sentence: str
    is_over: bool


class History:
    """Looks at an app again and again, and keeps what it saw.

    Attributes:
        samples: The looks of the last hour, the oldest first.
        changes: What began or ended, the newest first.
        rows: The freshness of each task at the last look.
        sources: The sources at the last look.
        conditions: What degrades the servers of the store.
        trouble: Why the last look could not read the store; empty if it could.
    """

    def __init__(self, core: Core, clock: Clock) -> None:
        """Look through ``core``, at the times that ``clock`` shows."""
        self._core, self._clock = core, clock
        self._looking = asyncio.Lock()
        self.samples: deque[Sample] = deque()
        self.changes: deque[Change] = deque(maxlen=_MOST_CHANGES)
        self.rows: Sequence[FreshnessRow] = ()
        self.sources: Sequence[SourceRow] = ()
        self.conditions: Sequence[Condition] = ()
        self.trouble = ""
        self.at = 0.0
        self._known: dict[tuple[str, str], Change] | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            began = perf_counter()
            await self.look()
            await asyncio.sleep(max(PAUSE_S, _PAUSES_A_LOOK * (perf_counter() - began)))

    async def fresh(self) -> None:
        """Look now; if the last look is recent, only at what degrades the servers."""
        async with self._looking:
            if self._clock.now() - self.at >= PAUSE_S:
                await self.look()
            else:
                self.conditions = (await self._core.ready()).conditions
                self._compare(self._clock.now())

    async def look(self) -> None:
        """Look once. A store that cannot be read is noted, and is no error here."""
        self.at = self._clock.now()
        try:
            self.conditions = (await self._core.ready()).conditions
            self.rows, self.sources = await self._core.freshness(_KEYS), await self._core.sources()
            self.trouble = ""
            self._keep()
        except StoreError as error:
            self.trouble = one_line(error)
        self._compare(self.at)

    def _keep(self) -> None:
        ages = {row.task: Age(row.age_p50_s, row.age_max_s, row.stale_share) for row in self.rows}
        lags = {row.source: row.lag_s for row in self.sources if row.lag_s is not None}
        self.samples.append(Sample(self.at, ages, lags))
        while self.samples[0].at < self.at - KEPT_S:
            self.samples.popleft()

    def _compare(self, now: float) -> None:
        """Note what has begun and what is over since the look before."""
        found: dict[tuple[str, str], Change] = {
            (c.kind, c.about): Change(now, c.about, c.message, is_over=False) for c in self.conditions
        }
        for row in self.rows:
            if row.breached_since is not None:
                since = max(row.breached_since, now - KEPT_S)
                message = f"{row.task} is in breach of its SLA"
                found["breach", row.task] = Change(since, row.task, message, is_over=False)
        known = found if self._known is None else self._known
        self.changes.extendleft(change for name, change in found.items() if self._known is None or name not in known)
        over = [change for name, change in known.items() if name not in found]
        self.changes.extendleft(Change(now, one.about, f"over: {one.sentence}", is_over=True) for one in over)
        self._known = {name: known.get(name, change) for name, change in found.items()}
