"""Six features from which the certainty of a match is predicted, for questions and for left-out aliases alike.

Only the answers whose nearest alias is among the eight nearest are scored. The others hardly ever win, and a lookup
then need not read their weights. Calibration makes the same cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parbake_semantic.text.arrays import Floats, Places

FEATURES = ("score", "margin", "cosine", "cosine_margin", "softmax_share", "log_aliases")
SCORED = 8
SHARPNESS = 20.0


@dataclass(frozen=True)
class Evidence:
    """What is known about q questions and m answers.

    ``scores`` (q, m) are the head's. ``nearest`` (q, m) is the cosine to each answer's nearest alias, -inf if it has
    none. ``mass`` (q, m) is the sum of ``exp(20 (cosine - 1))`` over its aliases. ``counts`` (m,) is the number of its
    aliases in the bank.

    ``counts`` includes masked aliases. A count that is lower by one would reveal which trial left its own alias out,
    and so which one is likely to be right.
    """

    scores: Floats
    nearest: Floats
    mass: Floats
    counts: Floats


def gather(cosines: Floats, owner: Places, answers: int, scores: Floats) -> Evidence:
    """Collect evidence for questions.

    Args:
        cosines: Cosines to the aliases, grouped by answer; -inf for a masked alias, shape (q, n).
        owner: The number of each alias's answer, shape (n,).
        answers: Number of answers, m.
        scores: The head's scores, shape (q, m).
    """
    starts = np.searchsorted(owner, np.arange(answers))
    return Evidence(
        scores,
        np.maximum.reduceat(cosines, starts, axis=1),
        np.add.reduceat(np.exp(SHARPNESS * (cosines - 1.0)), starts, axis=1),
        np.bincount(owner, minlength=answers).astype(np.float64),
    )


def features(evidence: Evidence) -> tuple[Places, Floats]:
    """The winner of each question (q,), and its features (q, 6).

    With a single answer the margins are 1, because there is nothing to confuse it with.
    """
    rows = np.arange(len(evidence.scores))
    scored = _eight_nearest(evidence)
    winner = scored.argmax(axis=1)
    top, cosine = scored[rows, winner], evidence.nearest[rows, winner]
    scored[rows, winner] = -np.inf
    others = evidence.nearest.copy()
    others[rows, winner] = -np.inf
    columns = [
        top,
        _margin(top, scored),
        cosine,
        _margin(cosine, others),
        evidence.mass[rows, winner] / evidence.mass.sum(axis=1),
        np.log(evidence.counts[winner]),
    ]
    return winner, np.stack(columns, axis=1)


def _eight_nearest(evidence: Evidence) -> Floats:
    scored = np.where(evidence.nearest > -np.inf, evidence.scores, -np.inf)
    if scored.shape[1] > SCORED:
        far = np.argpartition(evidence.nearest, -SCORED, axis=1)[:, :-SCORED]
        np.put_along_axis(scored, far, -np.inf, axis=1)
    return scored


def _margin(best: Floats, others: Floats) -> Floats:
    second = others.max(axis=1)
    return np.where(second > -np.inf, best - np.where(second > -np.inf, second, 0.0), 1.0)
