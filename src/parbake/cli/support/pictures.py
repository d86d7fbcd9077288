"""Pictures as SVG or PNG; matplotlib is imported only to draw one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parbake.errors import BadInput, MissingDependency

if TYPE_CHECKING:
    from parbake.planner.pareto import Point
    from parbake.semantic.bank.bounds_report import Outlook

BLUE, ORANGE, BLACK = "#0072B2", "#D55E00", "#000000"
DOLLARS = "US dollars a day"
LABEL_SHARE, LABEL_TIMES = 0.06, 1.6
"""Height of a label as a share of hits, and its approximate width as a factor of cost."""
SUFFIXES = (".svg", ".png")
_STYLE: Any = {"svg.hashsalt": "parbake", "svg.fonttype": "none", "font.size": 9, "axes.grid": True}


def must_be_picture(path: Path) -> None:
    """Raise :class:`BadInput` for another suffix or a missing folder, :class:`MissingDependency` without matplotlib."""
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"--picture {path} must end with .svg or .png", field="picture")
    if not path.parent.is_dir():
        raise BadInput(f"--picture {path}: the folder {path.parent} does not exist", field="picture")
    try:
        import matplotlib  # noqa: ICN001, F401 - only whether it is there
    except ImportError as missing:
        raise MissingDependency.of("drawing", "plots", field="matplotlib") from missing


def save(path: Path, draw: Callable[[Any], None]) -> None:
    """Write a picture: ``draw`` receives the axis of a figure of 7.2 by 4.4 inches. Equal data give an equal SVG."""
    must_be_picture(path)
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    with mpl.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
        draw(axis)
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        plt.close(figure)


def in_dollars(axis: Any) -> None:
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
    """Whether the labels of two points would overlap."""
    cheap, dear = sorted((one.per_day, other.per_day))
    return abs(one.accepted - other.accepted) < LABEL_SHARE and dear < LABEL_TIMES * cheap


def draw_bounds(path: Path, found: Outlook) -> None:
    """Draw the errors against the share of questions answered, with each bound's threshold."""
    save(path, partial(_plot_bounds, found))


def _plot_bounds(found: Outlook, axis: Any) -> None:
    axis.plot(found.answered, found.wrong, color=BLUE, label="wrong of those served, left-out wordings")
    axis.plot(found.answered, found.limit, color=ORANGE, label="its upper limit, 95 % sure")
    for made in found.calibrations:
        axis.axhline(made.bound.error, color="0.6", linewidth=0.8, linestyle="--")
        said = f"{made.bound.error:.0%}: " + ("too small" if made.least is None else f"{made.expected:.0%} answered")
        axis.annotate(said, (0.0, made.bound.error), xytext=(2, 2), textcoords="offset points", fontsize=8)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, max(0.15, 1.5 * max(made.bound.error for made in found.calibrations)))
    axis.set_xlabel("share of questions answered from the bank")
    axis.set_ylabel("share of answers that are wrong")
    axis.set_title(f"What each bound lets through; {found.prior:.0%} of questions have no answer in the bank")
    axis.legend(loc="upper left", bbox_to_anchor=(0.2, 1.0), fontsize=8)
