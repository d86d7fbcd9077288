"""The picture of what each bound of a bank lets through."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from parbake.cli.support.pictures import BLUE, ORANGE, save
from parbake_semantic.bank.bounds_report import Outlook


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
