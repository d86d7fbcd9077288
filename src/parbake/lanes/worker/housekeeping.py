"""Deletes watermarks and records that are so old that no contract allows serving them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from parbake.ports.clock import Clock
from parbake.ports.store import Store
from parbake.process.loops import forever
from parbake.protocol.control import Control
from parbake.protocol.record import Stamp
from parbake.serving.bound import BoundTask
from parbake.tasks.contract import Contract, ServeStale

EVERY_S = 3600.0
MARGIN_S = 600.0
"""An allowance for clocks that differ: a record's time comes from the clock of the machine that computed it."""
RETIRED_S = 30 * 86_400.0
"""How long the rows of an unknown task ref are kept: one of another version, or with values of another shape."""
PAGE = 500
_log = logging.getLogger("parbake.housekeeping")


class Housekeeping:
    """Raises the floor, at a distance of the longest age that any contract allows, and deletes the items below it."""

    def __init__(
        self, store: Store, bound_tasks: Iterable[BoundTask], clock: Clock, keeps_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        """Let the floor lag by the longest SLA, including the time that a fallback adds.

        Args:
            store: The store.
            bound_tasks: The stored tasks.
            clock: The source of wall time.
            keeps_s: Returns the greatest age, in seconds, of the records that plugins and caches keep in the store.
        """
        self._store = store
        self._clock = clock
        known = list(bound_tasks)
        self._refs = {bound.ref for bound in known}
        self._longest_s = max((_longest(bound.contract) for bound in known), default=0.0)
        self._keeps_s = keeps_s

    @property
    def longest_s(self) -> float:
        """After how many seconds no contract allows a value to be served, so that what bound it may go."""
        return max(self._longest_s, self._keeps_s()) + MARGIN_S

    async def step(self) -> int:
        """Retire task refs that no program uses any more, and raise the floor as far as the contracts allow.

        Returns how many items were deleted.
        """
        _, control = await self._store.stamp()
        return await self._retire(control) + await self._raise(control)

    async def _retire(self, control: Control) -> int:
        """Delete the generations of task refs that this program lacks, if no run was promoted to them for long."""
        since = self._clock.now() - max(RETIRED_S, self.longest_s)
        pointers = control.pointers.items()
        retired = [ref for ref, pointer in pointers if ref not in self._refs and pointer.promoted_at < since]
        if not retired or not control.is_trusted:
            return 0
        removed = await self._store.sweep((), retired)
        _log.info("%s: no run was promoted to it for long; %d rows deleted", ", ".join(retired), removed)
        return removed

    async def _raise(self, control: Control) -> int:
        floor = Stamp(int.from_bytes(control.floor[:8], "big"), int.from_bytes(control.floor[8:], "big"))
        to = await self._newest_before(floor, self._clock.now() - self.longest_s)
        if not control.is_trusted or to <= floor:
            return 0
        removed = await self._store.raise_floor(to)
        _log.info("floor raised to %s; %d items swept", to, removed)
        return removed

    async def _newest_before(self, floor: Stamp, until: float) -> Stamp:
        """The stamp of the last event before ``until``. Records from before that stamp are older still."""
        found = floor
        while entries := await self._store.log(found, PAGE):
            old = [entry for entry in entries if entry.at <= until]
            found = old[-1].stamp if old else found
            if len(old) < len(entries):
                break
        return found

    async def run(self) -> None:
        """Do a step every hour until cancelled."""
        await forever(self.step, EVERY_S, what="the sweep", log=_log)


def _longest(contract: Contract) -> float:
    """The greatest age, in seconds, at which a contract lets a value be served."""
    fallback = contract.fallback_if_stale
    return contract.freshness_sla_s + (fallback.within_s if isinstance(fallback, ServeStale) else 0.0)
