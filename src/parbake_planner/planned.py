"""``refresh=planned()``: a task whose keys are computed ahead as the plan that it follows says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from parbake.errors import ContractError
from parbake.ports.offers import Port
from parbake.tasks.contract import Every, KeyChoice, every
from parbake.values.checks import check_flag
from parbake.values.duration import Duration, seconds

PLANS: Port[Any] = Port("plans", "parbake_planner.Ledger(path), parbake_planner.Planner()")


@dataclass(frozen=True)
class Planned(KeyChoice):
    """The keys that the adopted plan picks.

    Attributes:
        reverses: Whether a worker applies the proposals of ``parbake triggers`` to the task every hour.
    """

    label: str = "as planned"
    port: Port[Any] = PLANS
    reverses: bool = False


def planned(
    period: Duration | None = None,
    *,
    budget: Duration | None = None,
    off_peak: bool = True,
    reverses: bool = False,
) -> Every:
    """Compute the keys ahead that the adopted plan picks; without a plan, values are computed on request.

    Plans are made from the task's own requests, and are adopted or rolled back with ``parbake planned``.

    Args:
        period: The time between the starts of two runs; by default period and budget fill the freshness SLA.
        budget: How long a run may take.
        off_peak: Whether a run may start earlier, when traffic is lowest.
        reverses: Whether a worker applies the proposals of ``parbake triggers`` every hour. Otherwise a person applies
            them, with ``--apply``.
    """
    check_flag(reverses, field="refresh.reverses", error=ContractError)
    if period is None:
        check_flag(off_peak, field="refresh.off_peak", error=ContractError)
        budget_s = 0.0 if budget is None else seconds(budget, field="refresh.budget")
        return Every(0.0, budget_s, off_peak, Planned(reverses=reverses))
    return replace(every(period, budget=budget, off_peak=off_peak), choice=Planned(reverses=reverses))


def reverses(schedule: Every | None) -> bool:
    """Whether a schedule was declared with ``planned(reverses=True)``."""
    return schedule is not None and isinstance(schedule.choice, Planned) and schedule.choice.reverses
