"""What the store need not keep: watermarks and records from so long ago that nothing of that age may be served."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from parbake.declare.contract import Contract, ServeStale
from parbake.fence.control import Control
from parbake.fence.record import Stamp
from parbake.ports.clock import Clock
from parbake.ports.store import Store
from parbake.process.loops import forever
from parbake.serving.bound import BoundTask

EVERY_S = 3600.0
MARGIN_S = 600.0
"""Clocks of several machines differ; a record's age is told by the clock of the one that computed it."""
RETIRED_S = 30 * 86_400.0
"""A place that no task of this program has, since its values are of another shape or version, is kept that long."""
PAGE = 500
_log = logging.getLogger("parbake.housekeeping")


class Housekeeping:
    """Raises the floor behind the longest age that any contract allows, and sweeps what lies below it."""

    def __init__(self, store: Store, bound_tasks: Iterable[BoundTask], clock: Clock) -> None:
        """The floor lags the longest SLA with what a fallback adds to it."""
        self._store = store
        self._clock = clock
        known = list(bound_tasks)
        self._refs = {bound.ref for bound in known}
        self._longest_s = max((_longest(bound.contract) for bound in known), default=0.0) + MARGIN_S

    async def step(self) -> int:
        """Retire places that no program uses any more, and raise the floor as far as it may be.

        Returns how many items were deleted.
        """
        _, control = await self._store.stamp()
        return await self._retire(control) + await self._raise(control)

    async def _retire(self, control: Control) -> int:
        """Delete generations of places that a program before this one used, and none has promoted to for long."""
        since = self._clock.now() - max(RETIRED_S, self._longest_s)
        pointers = control.pointers.items()
        retired = [ref for ref, pointer in pointers if ref not in self._refs and pointer.promoted_at < since]
        if not retired or not control.is_trusted:
            return 0
        removed = await self._store.sweep((), retired)
        _log.info("%s: no program has promoted to it for long; %d rows deleted", ", ".join(retired), removed)
        return removed

    async def _raise(self, control: Control) -> int:
        floor = Stamp(int.from_bytes(control.floor[:8], "big"), int.from_bytes(control.floor[8:], "big"))
        to = await self._newest_before(floor, self._clock.now() - self._longest_s)
        if not control.is_trusted or to <= floor:
            return 0
        removed = await self._store.raise_floor(to)
        _log.info("floor raised to %s; %d items swept", to, removed)
        return removed

    async def _newest_before(self, floor: Stamp, until: float) -> Stamp:
        """The stamp of the last event that is older than ``until``: records from before it are older still."""
        found = floor
        while entries := await self._store.log(found, PAGE):
            old = [entry for entry in entries if entry.at <= until]
            found = old[-1].stamp if old else found
            if len(old) < len(entries):
                break
        return found

    async def run(self) -> None:
        """Look every hour until cancelled."""
        await forever(self.step, EVERY_S, what="the sweep", log=_log)


def _longest(contract: Contract) -> float:
    """The greatest age, in seconds, at which a contract lets a value be served."""
    fallback = contract.fallback_if_stale
    return contract.freshness_sla_s + (fallback.within_s if isinstance(fallback, ServeStale) else 0.0)
