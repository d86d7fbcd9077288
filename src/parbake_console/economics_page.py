"""The page *Economics*: what does each lane cost, who pays, and what should be computed ahead?"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from parbake.tasks.task_types import Artifact
from parbake_console.advice import Known, Verdict, verdicts
from parbake_console.plan_comparison import PlanCard, PlanComparisons, prices_of
from parbake_console.prefix_savings import PrefixSums, prefix_savings
from parbake_console.wording import LANES, span, usd
from parbake_planner.books import Books
from parbake_planner.breakeven import DAY, Prices
from parbake_planner.ledger.costs import EXAMPLE, NOBODY, Cost, lines, summed

if TYPE_CHECKING:
    from parbake.app.application import App
    from parbake_planner.plans import Plans

_LANES = {**LANES, "serve": "reads of stored values", "prefix": "cached prefixes"}
"""The lanes of the ledger as the page names them; what is only counted, such as misses, is left out."""


class CostLine(msgspec.Struct, frozen=True):
    """What one task, owner or lane cost: all of it, and by lane, in US dollars; ``part`` is its share, 0 to 1."""

    name: str
    owner: str
    cost: Cost
    lanes: Mapping[str, float]
    part: float


class EconomicsPage(msgspec.Struct, frozen=True):
    """What the page shows."""

    since: str
    total: str
    wasted: str
    saved: str
    verdicts: Sequence[Verdict]
    saves: str
    a_day: str
    tasks: Sequence[CostLine]
    owners: Sequence[CostLine]
    lanes: Sequence[CostLine]
    covers: str
    is_whole: bool
    is_example: bool
    prices: str
    unpriced: str
    plans: Sequence[PlanCard]
    prefixes: Mapping[str, PrefixSums]


class Spent(msgspec.Struct, frozen=True):
    """What the page is asked for: how far back to look, in words and in seconds."""

    since: str
    since_s: float


async def economics_page(
    app: App, books: Books, plans: Plans | None, asked: Spent, *, failing: frozenset[str], comparisons: PlanComparisons
) -> EconomicsPage:
    """Price what was used.

    Args:
        app: The app.
        books: Its ledger.
        plans: What its planner offers, if it has one.
        asked: How far back to look.
        failing: The tasks whose runs fail.
        comparisons: The plans that were compared with their alternatives.
    """
    since, since_s = asked.since, asked.since_s
    costs = await books.costs(since_s=since_s)
    covered_s = await asyncio.to_thread(_covered_s, books, app.settings.clock.now())
    total = sum(cost.usd for cost in costs)
    known = Known(
        costs=costs if since_s == DAY else await books.costs(since_s=DAY),
        evens={even.task: even for even in await books.break_evens()},
        on_request=await books.on_request(),
        failing=failing,
        serve=books.book.serve,
        covered_s=covered_s,
    )
    found = verdicts([task for task in app.tasks if isinstance(task, Artifact)], known)
    return EconomicsPage(
        since=since,
        total=usd(total),
        wasted=usd(sum(cost.wasted_usd for cost in costs)),
        saved=usd(sum(cost.saved_usd for cost in costs)) if any(cost.saved for cost in costs) else "",
        verdicts=found,
        saves=usd(sum(one.saves for one in found)),
        a_day=usd(sum(cost.usd for cost in known.costs) * known.scale) if known.scale else "",
        tasks=_lines(costs, "task", total),
        owners=_lines(costs, "owner", total),
        lanes=[replace(one, name=_LANES[one.name]) for one in _lines(costs, "lane", total) if one.name in _LANES],
        covers=span(covered_s),
        is_whole=covered_s >= DAY,
        is_example=books.book is EXAMPLE,
        prices=f"{books.book.source or 'the prices of the ledger'}, {books.book.as_of}",
        unpriced=", ".join(sorted({part for cost in costs for part in cost.unpriced.split(", ")} - {""})),
        plans=await comparisons.cards(app, plans, known.costs, known.evens, known.serve) if plans else (),
        prefixes=await asyncio.to_thread(_prefixes, books, app.settings.clock.now() - since_s),
    )


async def measured_prices(books: Books, task: Artifact[Any, Any]) -> Prices | None:
    """Return what a task has cost in the last day; ``None`` if it was not computed both ahead and on request.

    Args:
        books: The ledger.
        task: The task.
    """
    costs = await books.costs(since_s=DAY)
    evens = {even.task: even for even in await books.break_evens()}
    return prices_of(task, costs, evens, books.book.serve)


def _prefixes(books: Books, since: float) -> dict[str, PrefixSums]:
    return prefix_savings(lines(books.file, books.book, since=since), books.book)


def _covered_s(books: Books, now: float) -> float:
    """How much of the last day the ledger knows, in seconds."""
    minutes = books.file.traffic(days=1)
    return min(DAY, max(0.0, now - min(minutes) * 60)) if minutes else 0.0


def _lines(costs: Sequence[Cost], by: str, total: float) -> list[CostLine]:
    """One line for each task, owner or lane, the dearest first."""
    lanes: dict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    owners = {cost.task: cost.owner for cost in costs} if by == "task" else {}
    for cost in costs:
        lanes[getattr(cost, by)][cost.lane] += cost.usd
    return [
        CostLine("no owner" if name == NOBODY else name, owners.get(name, ""), row, lanes[name], row.usd / (total or 1))
        for row in summed(costs, by)
        for name in (getattr(row, by),)
    ]
