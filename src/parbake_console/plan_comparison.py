"""What the plan of a task costs against its alternatives: replayed when somebody asks for it, one task at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from parbake.errors import BadInput, ParbakeError
from parbake.tasks.task_types import Artifact
from parbake.values.redaction import one_line
from parbake_console.wording import clock_time, count, span, usd
from parbake_planner.adopted import DAYS, AdoptedPlan
from parbake_planner.breakeven import DAY, Prices
from parbake_planner.ledger.break_evens import BreakEven
from parbake_planner.ledger.costs import BATCH, Cost
from parbake_planner.strategies import ALL, LAZY, PER_KEY, PER_KEY_EVENTS, REAL_TIME

if TYPE_CHECKING:
    from parbake.app.application import App
    from parbake_planner.plan import Decision
    from parbake_planner.plans import Plans

_MOST_WINDOWS = 1000
"""A server replays no task with more windows beside its requests."""
_PATIENT_S = 10.0
"""How long the button waits for what it has started."""
_MEANS = {
    REAL_TIME: "nothing ahead, nothing kept",
    LAZY: "nothing ahead; what was read is kept",
    ALL: "every key ahead",
    PER_KEY: "the keys ahead that will be read",
    PER_KEY_EVENTS: "the same, and more after events",
}


class PlanOption(msgspec.Struct, frozen=True):
    """One strategy: what it does, what a day costs in words, its part of the dearest, and what is said of it."""

    name: str
    means: str
    usd: str
    part: float
    remark: str


class PlanCard(msgspec.Struct, frozen=True):
    """The plan of one task, in words. ``can_compare`` says whether the button may start a comparison."""

    task: str
    follows: str
    since: str
    adopted: str
    sentence: str
    options: Sequence[PlanOption] = ()
    can_compare: bool = False


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
        follows = current.strategy if current else LAZY
        prices = _prices(adopted, measured)
        why_not = _why_not(task, prices)
        sentence, options = why_not or "Not compared yet.", list[PlanOption]()
        running = self._running.get(task.name)
        if running is not None and not running.done():
            sentence = "It is being compared; open the page again in a moment."
        elif task.name in self._made:
            at, made = self._made[task.name]
            if isinstance(made, str):
                sentence = f"It cannot be compared: {made}."
            else:
                sentence, options = _told(made, clock_time(at, now)), _options(made, follows)
        return PlanCard(
            task.name, follows, clock_time(current.adopted_at if current else None, now), _adopted(current), sentence,
            options, not why_not,
        )  # fmt: skip


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
        return f"Its SLA is too short to replay {DAYS} days in a server: use parbake planned on another machine."
    if prices is None:
        return "It has no prices: it was not computed both ahead and on request, and follows no plan that has some."
    return ""


def _adopted(current: AdoptedPlan | None) -> str:
    """What a plan was expected to cost when it was adopted."""
    of = current.evidence if current else {}
    if "usd_per_day" not in of:
        return ""
    best = of.get("best_simple_usd_per_day")
    return f"When it was adopted, {usd(of['usd_per_day'])} a day were expected; the best simple rule: {usd(best)}."


def _told(made: Decision, at: str) -> str:
    notes = "".join(f" {note[:1].upper()}{note[1:]}." for note in made.notes)
    return (
        f"Replayed at {at} over windows of {span(made.width)} with {count(made.requests_a_day)} requests a day to "
        f"{count(made.keys)} keys: {made.reason}.{notes}"
    )


def _options(made: Decision, follows: str) -> list[PlanOption]:
    most = max(outcome.per_day for outcome in made.outcomes.values()) or 1.0
    found = []
    for name, outcome in sorted(made.outcomes.items(), key=lambda item: item[1].per_day):
        remarks = [
            *(["followed"] if name == follows else []),
            *(["recommended"] if name == made.recommended else []),
            *(["rests on an assumption"] if name in made.assumed else []),
        ]
        part = outcome.per_day / most
        found.append(PlanOption(name, _MEANS.get(name, ""), usd(outcome.per_day), part, ", ".join(remarks)))
    return found
