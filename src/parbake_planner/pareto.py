"""Cost against hit rate against latency: what more hits cost, and which strategies are on the Pareto front.

A sweep over the value of a second of waiting moves the threshold per key and traces the front. "p95 <= 150 ms" is then
the constraint "hit >= 0.95".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from parbake_planner.breakeven import Prices
from parbake_planner.replay import Outcome

_SECONDS_WORTH = (0.0, 0.005, 0.02, 0.06, 0.2, 1.0)
"""Values of one second of waiting to try, in US dollars: from 0 to more than any batch price."""


@dataclass(frozen=True, slots=True)
class Point:
    """One way to run a task: US dollars a day, shares of fresh and accepted hits (0 to 1), and p95 in seconds."""

    name: str
    per_day: float
    fresh: float
    accepted: float
    p95_s: float
    efficient: bool = False


def point(outcome: Outcome, prices: Prices, *, name: str = "", per_day: float | None = None) -> Point:
    """Compute where a replayed strategy stands.

    Args:
        outcome: The replayed strategy.
        prices: The task's prices.
        name: The name to show; the strategy's own by default.
        per_day: The cost to show, in US dollars a day; the replayed cost by default.
    """
    fresh = outcome.share(outcome.fresh_hits)
    return Point(
        name or outcome.name, outcome.per_day if per_day is None else per_day, fresh,
        fresh - outcome.share(outcome.stale), outcome.p95_s(prices),
    )  # fmt: skip


def efficient(points: Iterable[Point]) -> list[Point]:
    """Sort points by cost, and mark those that no other point beats in cost, accepted hits and latency."""
    ordered = sorted(points, key=lambda p: (p.per_day, -p.accepted, p.p95_s))
    return [replace(p, efficient=not any(_beats(other, p) for other in ordered)) for p in ordered]


def sweep(run: Callable[[Prices], Outcome], prices: Prices, worth: Sequence[float] = _SECONDS_WORTH) -> list[Point]:
    """Compute points of the strategy per key at rising values of a second of waiting.

    Args:
        run: Replays the strategy at given prices.
        prices: The task's prices.
        worth: The values of a second to try, in US dollars.

    Returns:
        One point per value. The cost shown does not include the value of waiting.
    """
    found = []
    for value in worth:
        priced = replace(prices, second=prices.second + value)
        outcome = run(priced)
        waited = outcome.computed * prices.on_demand_s + (outcome.requests - outcome.computed) * prices.serve_s
        per_day = outcome.per_day - value * waited / outcome.days
        found.append(point(outcome, prices, name=f"per key, ${value:g} a second", per_day=per_day))
    return found


def _beats(other: Point, mine: Point) -> bool:
    mine_is = (mine.per_day, -mine.accepted, mine.p95_s)
    other_is = (other.per_day, -other.accepted, other.p95_s)
    return all(o <= m for o, m in zip(other_is, mine_is, strict=True)) and other_is != mine_is
