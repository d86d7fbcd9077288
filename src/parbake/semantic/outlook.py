"""What a bank would answer under other bounds, as figures and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from parbake.errors import BadInput
from parbake.pictures import BLUE, ORANGE, save
from parbake.semantic.arrays import Floats
from parbake.semantic.bank import compile_with_head
from parbake.semantic.calibrate import Bound, Calibration, learn, trials
from parbake.semantic.risk import upper_limits
from parbake.semantic.verdict import BankSnapshot


@dataclass(frozen=True)
class Outlook:
    """Calibrations under several errors, and along all thresholds (n,) the share of questions answered and wrong.

    ``wrong`` is the share of served answers that were wrong, ``limit`` its upper limit with 95 % confidence.
    """

    prior: float
    calibrations: tuple[Calibration, ...]
    answered: Floats
    wrong: Floats
    limit: Floats


def outlook(snapshot: BankSnapshot, errors: Sequence[float], prior: float) -> Outlook:
    """Calibrate a bank anew under each of some errors; raises :class:`BadInput` for one that is empty."""
    bank = snapshot.bank
    if len(bank.answers) < 2:  # noqa: PLR2004 - one alone is told apart from nothing
        raise BadInput("the bank has fewer than two answers; there is nothing to calibrate", field="bank")
    vectors = np.frombuffer(bank.vectors, np.float32).reshape(len(bank.aliases), -1)
    aliases = [(bank.answers[o], a) for o, a in zip(bank.owner_of, bank.aliases, strict=True)]
    found = trials(compile_with_head(bank.model_hash, aliases, vectors)[1])
    unanswered = bank.places(snapshot.unanswered)
    made = tuple(
        learn(found, Bound(error, prior=prior), model_hash=bank.model_hash, unanswered=unanswered) for error in errors
    )
    kept, weights = found.weighted(prior)
    odds = kept.odds(weights, unanswered)
    order = np.argsort(-odds, kind="stable")[: int(np.isfinite(odds).sum())]
    wrong, ranked = kept.wrong[order], weights[order]
    total = np.cumsum(ranked)
    limits = upper_limits(wrong, ranked, kept.cluster[order])
    return Outlook(prior, made, total / weights.sum(), np.cumsum(ranked * wrong) / total, limits)


def draw(path: Path, found: Outlook) -> None:
    """Draw the errors against the share of questions answered, with each bound's threshold."""
    save(path, partial(_plot, found))


def _plot(found: Outlook, axis: Any) -> None:
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
