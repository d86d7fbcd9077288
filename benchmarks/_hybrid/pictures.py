"""The age curve, and cost against quality, as SVG and PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .cost import FULL_BLAS, Costs
from .cost import HYBRID as BY_HYBRID
from .cost import STORED as BY_STORED
from .methods import AGES, EVENTS, FULL, HYBRID, LINEAR, STORED_FILTERED, TREES, Way
from .quality import Slice

# Okabe and Ito's colours, which are told apart by everybody; shapes and dashes say the same again.
BLUE, ORANGE, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#000000"
AGE = 5


def draw(folder: Path, part: Slice, costs: Sequence[Costs]) -> list[Path]:
    """Write both pictures; return their paths."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams.update({"svg.hashsalt": "hybrid", "svg.fonttype": "none", "font.size": 9, "axes.grid": True})
    folder.mkdir(parents=True, exist_ok=True)
    found = _saved(_age_curve(part), folder / "hybrid-age")
    return [*found, *(_saved(_cost_quality(part, costs), folder / "hybrid-cost") if costs else [])]


def _saved(figure: Any, stem: Path) -> list[Path]:
    from matplotlib import pyplot as plt

    found = []
    for suffix in (".svg", ".png"):
        path = stem.with_suffix(suffix)
        figure.savefig(path, dpi=150, metadata={"Date": None} if suffix == ".svg" else None)
        found.append(path)
    plt.close(figure)
    return found


def _age_curve(part: Slice) -> Any:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.6), sharey=True, layout="constrained")
    for axis, (scorer, count) in zip(axes, ((LINEAR, 200), (TREES, 50)), strict=True):
        styles = ((HYBRID, "not refreshed", ORANGE, "o", "-"), (EVENTS, "refreshed on events", BLUE, "s", "--"))
        for offset, (approach, label, colour, marker, line) in enumerate(styles):
            ratios = [part.ratio(Way(approach, scorer, count, age)) for age in AGES]
            values = [ratio.value for ratio in ratios]
            reach = [[r.value - r.low for r in ratios], [r.high - r.value for r in ratios]]
            places = [n + 0.08 * (2 * offset - 1) for n in range(len(AGES))]
            axis.errorbar(places, values, reach, label=label, color=colour, marker=marker, linestyle=line, capsize=3)
        axis.axhline(1.0, color=BLACK, linewidth=0.8)
        axis.set_xticks(range(len(AGES)), [str(age) for age in AGES])
        axis.set_xlabel("age of the stored list (interactions since)")
        axis.set_title(f"{scorer} reranker, {count} candidates")
    axes[0].set_ylabel("NDCG@5, share of full real-time")
    axes[0].legend(loc="lower left")
    figure.suptitle(f"What a stored list loses as it ages ({part.name} users, bars: 95 % intervals)")
    return figure


def _cost_quality(part: Slice, costs: Sequence[Costs]) -> Any:
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    shown = (
        (FULL_BLAS, FULL, 0, GREEN, "^"),
        (BY_HYBRID, HYBRID, AGE, ORANGE, "o"),
        (BY_STORED, STORED_FILTERED, AGE, BLUE, "s"),
    )
    for measured, approach, age, colour, marker in shown:
        for cost in costs:
            quality = part.ndcg(Way(approach, cost.scorer, cost.count, age))
            label = f"{measured}, {cost.scorer} over {cost.count}"
            face = colour if cost.scorer == LINEAR else "none"
            reach = [[quality.value - quality.low], [quality.high - quality.value]]
            axis.errorbar(
                cost.ways[measured].us, quality.value, reach, color=colour, marker=marker, markerfacecolor=face,
                linestyle="none", capsize=3, label=label,
            )  # fmt: skip
    axis.set_xscale("log")
    axis.set_xlabel(f"CPU per request (us, logarithmic; {costs[0].items:,} items, lists made ahead not counted)")
    axis.set_ylabel(f"NDCG@5 ({part.name} users)")
    axis.legend(fontsize=7, loc="upper left")
    axis.set_title(f"Cost against quality; stored lists are {AGE} interactions old")
    return figure
