"""Cost against hit rate against latency: what more hits cost, and which strategies nothing beats.

Sweeping the value of a second of waiting moves the threshold per key and traces the front; "p95 <= 150 ms" is then the
constraint "hit >= 0.95".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from parbake.planner.breakeven import Prices
from parbake.planner.replay import Outcome

SECONDS_WORTH = (0.0, 0.005, 0.02, 0.06, 0.2, 1.0)
"""Dollars for a second of waiting less, from nothing to more than any batch price."""


@dataclass(frozen=True, slots=True)
class Point:
    """One way to run a task: dollars a day, the shares of hits that are fresh and accepted, p95 in seconds."""

    name: str
    per_day: float
    fresh: float
    accepted: float
    p95_s: float
    efficient: bool = False


def point(outcome: Outcome, prices: Prices, *, name: str = "", per_day: float | None = None) -> Point:
    """Where a replayed strategy stands."""
    fresh = outcome.share(outcome.fresh_hits)
    return Point(
        name or outcome.name, outcome.per_day if per_day is None else per_day, fresh,
        fresh - outcome.share(outcome.stale), outcome.p95_s(prices),
    )  # fmt: skip


def efficient(points: Iterable[Point]) -> list[Point]:
    """The points in order of cost, marked where no other is as cheap, as accepted and as fast, and better in one."""
    ordered = sorted(points, key=lambda p: (p.per_day, -p.accepted, p.p95_s))
    return [replace(p, efficient=not any(_beats(other, p) for other in ordered)) for p in ordered]


def sweep(run: Callable[[Prices], Outcome], prices: Prices, worth: Sequence[float] = SECONDS_WORTH) -> list[Point]:
    """Points of the strategy per key, as a second of waiting is worth more and more; the cost shown leaves that out."""
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
