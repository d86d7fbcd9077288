"""The page *Triggers*: which decisions about lanes should be reversed, and what was decided before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from parbake.errors import UnknownResource
from parbake_console.plan_comparison import planned_tasks
from parbake_planner.adopted import AdoptedPlan
from parbake_planner.detectors import Proposal
from parbake_planner.ledger.reversals import REAL_TIME_ACTION
from parbake_planner.plans import Plans

if TYPE_CHECKING:
    from parbake.app.application import App


class TriggersPage(msgspec.Struct, frozen=True):
    """What the page shows: the proposals; the plans that tasks follow and followed, by task; the time.

    ``applies`` is the action of the proposals that the page can apply.
    """

    proposals: Sequence[Proposal]
    plans: Mapping[str, Sequence[AdoptedPlan]]
    now: float
    applies: str = REAL_TIME_ACTION


async def triggers_page(app: App, plans: Plans) -> TriggersPage:
    """Ask for proposals, and for the plans of tasks that follow one.

    Args:
        app: The app.
        plans: What the planner of the app offers.
    """
    return TriggersPage(
        proposals=await plans.triggers(),
        plans={task.name: await plans.adopted(task) for task in planned_tasks(app)},
        now=app.settings.clock.now(),
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
