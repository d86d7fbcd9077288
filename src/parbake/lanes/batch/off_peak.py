"""When a batch run should start: in the cheapest slot that its freshness SLA leaves, or at once if it is overdue."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from parbake.lanes.batch.off_peak_windows import Flat, cheapest
from parbake.ports.clock import Clock
from parbake.ports.offers import Load, Windows
from parbake.protocol.control import Pointer
from parbake.serving.bound import BoundTask
from parbake.tasks.contract import Every

_LEARN_EVERY_S = 600.0
_MARGIN = 1.25
"""How much longer a run may take than the 95th percentile of the earlier runs, as a factor."""


@dataclass(frozen=True, slots=True)
class RunSlot:
    """When a run starts (epoch seconds), and the reason. An urgent run does not give way to requests."""

    at: float
    why: str
    is_urgent: bool = False


class OffPeak:
    """Finds slots. The load is declared, or asked of a plugin every ten minutes."""

    def __init__(self, clock: Clock, declared: Load | None, windows: Windows | None) -> None:
        """Without ``declared`` and ``windows`` the load counts as equal at all times."""
        self._clock = clock
        self._load: Load = declared or Flat()
        self._windows = None if declared else windows
        self._learned_at = float("-inf")
        self._found: dict[str, tuple[tuple[object, ...], float]] = {}

    async def look(self) -> None:
        """Ask for the load, unless it is declared or was asked for within the last ten minutes."""
        now = self._clock.now()
        if self._windows is None or now < self._learned_at + _LEARN_EVERY_S:
            return
        self._learned_at = now
        self._load = await asyncio.to_thread(self._windows.load, now)

    def slot(self, bound: BoundTask, pointer: Pointer | None, took_s: float) -> RunSlot:
        """Return when the next run of a task starts, and the reason.

        A run may start before its period is over by as much as its SLA lets it start after.

        Args:
            bound: The task.
            pointer: The task's current generation; ``None`` before the first.
            took_s: How long runs take, in seconds: the 95th percentile, 0 when that is unknown.
        """
        schedule = bound.task.schedule or Every(float("inf"), 0.0)
        if pointer is None:
            return RunSlot(0.0, "the first run", is_urgent=True)
        due, runtime = pointer.started_at + schedule.period_s, max(_MARGIN * took_s, schedule.budget_s)
        latest = pointer.started_at + bound.contract.freshness_sla_s - runtime
        if self._clock.now() > latest:
            return RunSlot(latest, "overdue: it would breach its SLA", is_urgent=True)
        if not schedule.off_peak:
            return RunSlot(due, "its period is over")
        slack = max(0.0, latest - due)
        gap = (schedule.period_s - slack, schedule.period_s + slack)
        given = (self._load, pointer.started_at, gap, runtime)
        if self._found.get(bound.ref, (None, 0.0))[0] != given:
            self._found[bound.ref] = given, cheapest(self._load, pointer.started_at, gap, runtime, due)
        return RunSlot(self._found[bound.ref][1], "off-peak: the least traffic that its SLA leaves")
