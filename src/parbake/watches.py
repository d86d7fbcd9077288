"""The reversal triggers over what the ledger, the plans and the complaints say: each proposes, and none acts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from parbake.costs import HOUR, CostBook, Hours, costs
from parbake.fence.control import Quarantine
from parbake.lanes.planned import AdoptedPlan
from parbake.planner.breakeven import Prices
from parbake.planner.triggers import HitRate, Proposal, batch_dearer, price_changed

DAYS = 14
DAY_S = 86_400.0
REAL_TIME_ACTION = "compute on request"
"""The action that can be applied to a planned task: it follows a real-time plan then."""


class Watched(Hours, Protocol):
    """What was served and used; see :class:`parbake.ledger.Ledger`."""

    def by_the_hour(self, task: str, *, since: float) -> list[tuple[int, int, int]]:
        """(hour, serves, of which computed first) of a task."""
        ...


def complaints(held: Mapping[str, Quarantine]) -> list[Proposal]:
    """What is in quarantine waits for its owner."""
    return [
        Proposal(
            "stale complaint", task, entry.at, f"served in real time since a complaint: {entry.reason}",
            f"look, tighten the SLA to {entry.sla_s:.0f} s, and clear it", {"proposed_sla_s": entry.sla_s},
        )
        for task, entry in held.items()
    ]  # fmt: skip


def low_hits(ledger: Watched, tasks: Sequence[str], now: float, *, floor: float) -> list[Proposal]:
    """Tasks whose reads are surely computed too often, by the hours of the last two weeks; blocking."""
    found = []
    for task in tasks:
        watch, last = HitRate(task, "key", floor=floor), None
        for hour, serves, computed in ledger.by_the_hour(task, since=now - DAYS * DAY_S):
            last = watch.observe((hour + 1) * HOUR, requests=serves, hits=serves - computed) or last
        if watch.is_low and last is not None:
            found.append(last)
    return found


def dear_batches(
    ledger: Watched, book: CostBook, tasks: Sequence[str], now: float, *, switching: float
) -> list[Proposal]:
    """Tasks whose batch runs surely cost more than their requests would have, day by day; blocking.

    What a request would have cost is the mean of those that were computed on request; without any, nothing is known.
    """
    since = now - DAYS * DAY_S
    each = _mean_on_request(ledger, book, since)
    days = [int(since // DAY_S) + n for n in range(1, DAYS)]  # whole ones
    batch = _batch_by_day(ledger, book, since)
    found = []
    for task in tasks:
        if task not in each or not any(batch[task, day] for day in days):
            continue
        serves: dict[int, int] = defaultdict(int)
        for hour, count, _ in ledger.by_the_hour(task, since=since):
            serves[hour * HOUR // int(DAY_S)] += count
        proposal = batch_dearer(
            task, now, batch=[batch[task, day] for day in days],
            real_time=[serves[day] * each[task] for day in days], windows_a_day=1.0, switching=switching,
        )  # fmt: skip
        found += [proposal] if proposal else []
    return found


def changed_prices(plans: Mapping[str, AdoptedPlan], prices: Mapping[str, Prices], now: float) -> list[Proposal]:
    """Tasks whose adopted plan was made at other prices than those that hold now."""
    found = []
    for task, after in prices.items():
        plan = plans.get(task)
        if plan is None or not plan.prices:
            continue
        before = Prices(**plan.prices)  # type: ignore[arg-type]  # as they were adopted
        proposal = price_changed(
            task, now, before=before, after=after, flip=plan.evidence.get("flip_factor", float("inf"))
        )
        found += [proposal] if proposal else []
    return found


def _mean_on_request(ledger: Hours, book: CostBook, since: float) -> dict[str, float]:
    rows = costs(ledger, book, {}, since=since)
    return {row.task: row.usd / row.rows for row in rows if row.lane == "realtime" and row.rows}


def _batch_by_day(ledger: Hours, book: CostBook, since: float) -> dict[tuple[str, int], float]:
    found: dict[tuple[str, int], float] = defaultdict(float)
    for hour, kind, task, lane, _, _, _, cpu_s, *_ in ledger.hourly(since=since):
        if (kind, lane) == ("compute", "batch"):
            found[task, hour * HOUR // int(DAY_S)] += cpu_s / HOUR * book.cpu_hour
    return found
