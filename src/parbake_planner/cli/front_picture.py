"""The picture of cost against hits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from parbake.cli.support.pictures import BLACK, BLUE, ORANGE, inline_svg, save
from parbake_planner.pareto import Point

DOLLARS = "US dollars a day"
_LABEL_SHARE, _LABEL_TIMES = 0.06, 1.6
"""Height of a label as a share of hits, and its approximate width as a factor of cost."""

_LINE_ORDER = 1.6
_LABEL: Any = {
    "textcoords": "offset points", "zorder": 1.8,
    "bbox": {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
}  # fmt: skip
"""Words stand on a ground of their own, above the grid (1.5) and below what is drawn of the plan (2)."""


def _in_dollars(axis: Any) -> None:
    """Make the horizontal axis logarithmic, with amounts of dollars at one, two and five times each power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda amount, _: f"${amount:,.4g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def draw_front(path: Path, points: Sequence[Point], *, recommended: str = "", unit: str = DOLLARS) -> None:
    """Draw cost against accepted hits; efficient points are filled.

    Args:
        path: The file; its suffix determines the format.
        points: The ways to run the task.
        recommended: The name of the point to mark; empty if none is recommended.
        unit: The unit of cost.
    """
    save(path, partial(_plot_front, points, recommended, unit))


def inline_front(points: Sequence[Point], *, recommended: str, size: tuple[float, float]) -> str:
    """The picture as an ``svg`` element of a page.

    Args:
        points: The ways to run the task.
        recommended: The name of the point to mark; empty if none is recommended.
        size: Width and height in inches.
    """
    return inline_svg(partial(_plot_front, points, recommended, DOLLARS), size=size)


def _plot_front(points: Sequence[Point], recommended: str, unit: str, axis: Any) -> None:
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
        axis.annotate(name, (p.per_day, p.accepted), xytext=(8, -14 if is_crowded else 6), **_LABEL)
    axis.axhline(0.95, color=BLACK, linewidth=0.8, linestyle="--", zorder=_LINE_ORDER)
    axis.annotate("p95 of a hit from here", (0.99, 0.95), xycoords=("axes fraction", "data"), ha="right",
                  xytext=(0, 3), fontsize=8, **_LABEL)  # fmt: skip
    _in_dollars(axis)
    axis.margins(x=0.15)
    axis.set_ylim(-0.03, 1.05)
    axis.set_xlabel(f"{unit} (logarithmic)")
    axis.set_ylabel("accepted hits, share of requests")
    is_any_filled = any(p.efficient for p in points if p not in swept)
    axis.set_title("Cost against hits" + ("; filled squares are beaten by nothing" if is_any_filled else ""))
    axis.legend(loc="best", fontsize=8)


def _are_near(one: Point, other: Point) -> bool:
    """Whether the labels of two points would overlap."""
    cheap, dear = sorted((one.per_day, other.per_day))
    return abs(one.accepted - other.accepted) < _LABEL_SHARE and dear < _LABEL_TIMES * cheap
