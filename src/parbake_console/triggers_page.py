"""The page *Triggers*: which decisions about lanes should be reversed, and what was decided before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from parbake.errors import UnknownResource
from parbake.tasks.task_types import Artifact
from parbake_console.wording import NONE, clock_time, count, usd
from parbake_planner.adopted import AdoptedPlan
from parbake_planner.detectors import Proposal
from parbake_planner.ledger.reversals import REAL_TIME_ACTION
from parbake_planner.plans import Plans

if TYPE_CHECKING:
    from parbake.app.application import App


class ProposalLine(msgspec.Struct, frozen=True):
    """One proposal, in words. ``applies`` says whether the page can do what it proposes."""

    trigger: str
    task: str
    reason: str
    action: str
    evidence: Sequence[tuple[str, str]]
    saving: str
    applies: bool


class PlanLine(msgspec.Struct, frozen=True):
    """The plan that a task follows, in words. ``can_undo`` says whether there is an earlier one."""

    task: str
    strategy: str
    since: str
    reason: str
    can_undo: bool


class TriggersPage(msgspec.Struct, frozen=True):
    """What the page shows."""

    proposals: Sequence[ProposalLine]
    plans: Sequence[PlanLine]


async def triggers_page(app: App, plans: Plans) -> TriggersPage:
    """Ask for proposals, and for the plans of tasks that follow one.

    Args:
        app: The app.
        plans: What the planner of the app offers.
    """
    now = app.settings.clock.now()
    planned = [task for task in app.tasks if isinstance(task, Artifact) and task.schedule and task.schedule.choice]
    return TriggersPage(
        proposals=[_proposal(one) for one in await plans.triggers()],
        plans=[_plan(task.name, await plans.adopted(task), now) for task in planned],
    )


async def proposal_of(plans: Plans, trigger: str, task: str) -> Proposal:
    """Return a proposal as it stands now; raises :class:`UnknownResource` if it is not proposed any more.

    Args:
        plans: What the planner of the app offers.
        trigger: The trigger of the proposal.
        task: Its task.
    """
    for one in await plans.triggers():
        if (one.trigger, one.task) == (trigger, task):
            return one
    raise UnknownResource(f"{trigger} does not propose anything for {task} any more", field="trigger")


def _proposal(one: Proposal) -> ProposalLine:
    return ProposalLine(
        trigger=one.trigger,
        task=one.task,
        reason=one.reason,
        action=one.action,
        evidence=[(name.replace("_", " "), count(value)) for name, value in one.evidence.items()],
        saving=NONE if one.saving is None else f"{usd(one.saving)} a day",
        applies=one.action == REAL_TIME_ACTION,
    )


def _plan(task: str, followed: Sequence[AdoptedPlan], now: float) -> PlanLine:
    if not followed:
        return PlanLine(task, "lazy", NONE, "no plan was adopted yet", can_undo=False)
    current = followed[0]
    since = clock_time(current.adopted_at, now)
    return PlanLine(task, current.strategy, since, current.reason, can_undo=len(followed) > 1)
