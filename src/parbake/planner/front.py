"""Cost against hit rate against latency: what more hits cost, and which strategies nothing beats.

Sweeping the value of a second of waiting moves the threshold per key and traces the front; "p95 <= 150 ms" is then the
constraint "hit >= 0.95".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from parbake.pictures import BLACK, BLUE, ORANGE, in_dollars, save
from parbake.planner.breakeven import Prices
from parbake.planner.replay import Outcome

SECONDS_WORTH = (0.0, 0.005, 0.02, 0.06, 0.2, 1.0)
"""Dollars for a second of waiting less, from nothing to more than any batch price."""

DOLLARS = "US dollars a day"
LABEL_SHARE, LABEL_TIMES = 0.06, 1.6
"""How high a name is, in shares of hits, and about how wide, as a factor of cost."""


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


def draw(path: Path, points: Sequence[Point], *, recommended: str = "", unit: str = DOLLARS) -> None:
    """Draw cost against accepted hits; a filled point is efficient.

    Args:
        path: Where the picture goes; its suffix says how.
        points: The ways to run the task.
        recommended: The name of the point that is marked; none where nothing is recommended.
        unit: What cost is counted in.
    """
    save(path, partial(_plot, points, recommended, unit))


def _plot(points: Sequence[Point], recommended: str, unit: str, axis: Any) -> None:
    swept = [p for p in points if p.name.startswith("per key, $")]
    axis.plot([p.per_day for p in swept], [p.accepted for p in swept], color=BLUE, marker="o", markersize=4,
              label="per key, as waiting costs more")  # fmt: skip
    for p in points:
        if p in swept:
            continue
        face = ORANGE if p.efficient else "none"
        axis.plot(p.per_day, p.accepted, color=ORANGE, marker="s", markerfacecolor=face, linestyle="none")
        name = p.name
        if name == recommended:
            name += " (recommended)"
            axis.plot(p.per_day, p.accepted, color=BLACK, marker="o", markersize=14, markerfacecolor="none",
                      linestyle="none", label="recommended")  # fmt: skip
        is_crowded = any(_are_near(p, other) for other in points[: points.index(p)] if other not in swept)
        axis.annotate(name, (p.per_day, p.accepted), textcoords="offset points", xytext=(8, -14 if is_crowded else 6))
    axis.axhline(0.95, color=BLACK, linewidth=0.8, linestyle="--")
    axis.annotate("p95 is that of a hit from here", (0.99, 0.95), xycoords=("axes fraction", "data"), ha="right",
                  xytext=(0, 3), textcoords="offset points", fontsize=8)  # fmt: skip
    in_dollars(axis)
    axis.margins(x=0.15)
    axis.set_ylim(-0.03, 1.05)
    axis.set_xlabel(f"{unit} (logarithmic)")
    axis.set_ylabel("accepted hits, share of requests")
    is_any_filled = any(p.efficient for p in points if p not in swept)
    axis.set_title("Cost against hits" + ("; filled squares are beaten by nothing" if is_any_filled else ""))
    axis.legend(loc="best", fontsize=8)


def _are_near(one: Point, other: Point) -> bool:
    """Whether the names of two points would be written over each other."""
    cheap, dear = sorted((one.per_day, other.per_day))
    return abs(one.accepted - other.accepted) < LABEL_SHARE and dear < LABEL_TIMES * cheap
