"""What the plan of a task costs against its alternatives: replayed when somebody asks for it, one task at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from parbake.errors import BadInput, ParbakeError
from parbake.tasks.task_types import Artifact
from parbake.values.redaction import one_line
from parbake_console.wording import clock_time
from parbake_planner.adopted import DAYS, AdoptedPlan
from parbake_planner.breakeven import DAY, Prices
from parbake_planner.ledger.break_evens import BreakEven
from parbake_planner.ledger.costs import BATCH, Cost

if TYPE_CHECKING:
    from parbake.app.application import App
    from parbake_planner.plan import Decision
    from parbake_planner.plans import Plans

_MOST_WINDOWS = 1000
"""A server replays no task with more windows beside its requests."""
_PATIENT_S = 10.0
"""How long the button waits for what it has started."""


class PlanCard(msgspec.Struct, frozen=True):
    """The plan of one task.

    Attributes:
        task: The task's name.
        current: The plan that it follows, if one was adopted.
        since: Since when, in words.
        decision: The replayed strategies, if it was compared.
        at: When that was, in words.
        trouble: Why it cannot be compared, or was not.
        is_running: Whether it is being compared.
        can_compare: Whether the button may start a comparison.
    """

    task: str
    current: AdoptedPlan | None
    since: str
    decision: Any
    at: str
    trouble: str
    is_running: bool
    can_compare: bool


class PlanComparisons:
    """The comparisons that were asked for in this process, the newest of each task."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._one = asyncio.Lock()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._made: dict[str, tuple[float, Decision | str]] = {}

    async def cards(
        self, app: App, plans: Plans, costs: Sequence[Cost], evens: Mapping[str, BreakEven], serve: float
    ) -> list[PlanCard]:
        """Describe the plan of each task that is declared with ``refresh=planned()``.

        Args:
            app: The app.
            plans: What its planner offers.
            costs: What each task has cost in each lane.
            evens: What runs and requests have cost, by task.
            serve: What a stored read costs, in US dollars.
        """
        return [
            self._card(app, task, await plans.adopted(task), prices_of(task, costs, evens, serve))
            for task in planned_tasks(app)
        ]

    async def start(self, app: App, plans: Plans, task: Artifact[Any, Any], measured: Prices | None) -> bool:
        """Compare the plan of a task with its alternatives; return whether that has ended within some seconds.

        Args:
            app: The app.
            plans: What its planner offers.
            task: The task.
            measured: What it has cost; the prices of its plan are used instead, if it has one.
        """
        adopted = await plans.adopted(task)
        prices = _prices(adopted, measured)
        why_not = _why_not(task, prices)
        if prices is None or why_not:
            raise BadInput(why_not, field="task")
        running = self._running.get(task.name)
        if running is None or running.done():
            running = self._running[task.name] = asyncio.create_task(self._compare(app, plans, task, prices))
        await asyncio.wait([running], timeout=_PATIENT_S)
        return running.done()

    async def _compare(self, app: App, plans: Plans, task: Artifact[Any, Any], prices: Prices) -> None:
        async with self._one:
            try:
                found: Decision | str = await plans.replan(task, prices)
            except ParbakeError as error:
                found = one_line(error)
            self._made[task.name] = app.settings.clock.now(), found

    def _card(
        self, app: App, task: Artifact[Any, Any], adopted: Sequence[AdoptedPlan], measured: Prices | None
    ) -> PlanCard:
        now, current = app.settings.clock.now(), adopted[0] if adopted else None
        running, why_not = self._running.get(task.name), _why_not(task, _prices(adopted, measured))
        at, made = self._made.get(task.name, (None, why_not))
        return PlanCard(
            task=task.name,
            current=current,
            since=clock_time(current.adopted_at if current else None, now),
            decision=None if isinstance(made, str) else made,
            at=clock_time(at, now),
            trouble=made if isinstance(made, str) else "",
            is_running=running is not None and not running.done(),
            can_compare=not why_not,
        )


def planned_tasks(app: App) -> list[Artifact[Any, Any]]:
    """Return the tasks of an app whose plan decides what is computed ahead."""
    return [task for task in app.tasks if isinstance(task, Artifact) and task.schedule and task.schedule.choice]


def prices_of(
    task: Artifact[Any, Any], costs: Sequence[Cost], evens: Mapping[str, BreakEven], serve: float
) -> Prices | None:
    """Return the prices of a task as they were measured; ``None`` if it was not computed both ahead and on request.

    Args:
        task: The task.
        costs: What each task has cost in each lane.
        evens: What runs and requests have cost, by task.
        serve: What a stored read costs, in US dollars.
    """
    even = evens.get(task.name)
    ahead = next((cost for cost in costs if (cost.task, cost.lane) == (task.name, BATCH) and cost.rows), None)
    if even is None or ahead is None or even.request_usd <= serve:
        return None
    return Prices(on_demand=even.request_usd, serve=serve, batch=ahead.usd / ahead.rows, write=0.0)


def _prices(adopted: Sequence[AdoptedPlan], measured: Prices | None) -> Prices | None:
    if adopted and adopted[0].prices:
        return Prices(**adopted[0].prices)  # type: ignore[arg-type]  # as adopted
    return measured


def _why_not(task: Artifact[Any, Any], prices: Prices | None) -> str:
    """Why a task cannot be compared here; empty if it can."""
    if DAYS * DAY / task.contract.freshness_sla_s > _MOST_WINDOWS:
        return f"its SLA is too short to replay {DAYS} days in a server: use parbake planned"
    if prices is None:
        return "it was not computed both ahead and on request, and follows no plan that has prices"
    return ""
