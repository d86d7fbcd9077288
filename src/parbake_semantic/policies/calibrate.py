"""Calibration without production labels: the required certainty of a match, learned from the aliases themselves.

Each alias is matched twice by a head that has not seen it: without itself (a question that the bank can answer), and
without its whole answer (a question that it cannot answer). A logistic regression on the features of both gives the
odds of being right. The threshold comes from odds predicted by models that have not seen the answer (ten folds), under
the clustered bound of :mod:`parbake_semantic.policies.risk`. With folds of aliases instead of answers, a model would
see the other wordings of an answer. Those go wrong together, so the thresholds would be too low.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec
import numpy as np

from parbake.errors import BadInput
from parbake.values.checks import check_number
from parbake.values.logistic import Logistic, sigmoid
from parbake_semantic.policies.features import features, gather
from parbake_semantic.policies.quadratic import PENALTY
from parbake_semantic.policies.ridge import Head
from parbake_semantic.policies.risk import Per, lowest_threshold
from parbake_semantic.text.arrays import Flags, Floats, Places

PRIOR = 0.2
_FOLDS = 10
_FEWEST_ANSWERS = 2
_ERRORS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
"""The bounds that are tried if the wanted one cannot be held."""


class Bound(msgspec.Struct, frozen=True):
    """The share of wrong answers that the owner allows, with 95 % confidence.

    Attributes:
        error: The greatest share of wrong answers, in (0, 1).
        per: Whether it is a share of the served answers or of all requests.
        prior: The share of questions that the bank has no answer to, in [0, 1).

    Raises:
        BadInput: A value is outside its range.
    """

    error: float = 0.02
    per: Per = "served"
    prior: float = PRIOR

    def __post_init__(self) -> None:
        """Check the ranges."""
        between, below = "a number between 0 and 1", "a number of at least 0 and below 1"
        check_number(self.error, field="error", error=BadInput, expected=between, fits=lambda share: 0.0 < share < 1.0)
        check_number(self.prior, field="prior", error=BadInput, expected=below, fits=lambda share: 0.0 <= share < 1.0)
        if self.per not in ("served", "request"):
            raise BadInput(f"per must be 'served' or 'request'; got {self.per!r}", field="per")


class Calibration(msgspec.Struct, frozen=True, omit_defaults=True):
    """Estimates how likely a match is right, and holds the lowest log odds at which a match may be served.

    Attributes:
        model_hash: The embedding model that the calibration is valid for.
        bound: The allowed share of wrong answers.
        model: The log odds of being right, given a match's features; ``None`` if the bank has too few answers.
        least: The lowest log odds at which a match may be served; ``None`` if no threshold holds the bound.
        expected: The share of traffic that should be served, in [0, 1].
        rows: Number of trials it was learned from.
        holds_from: Without a threshold, the least share of wrong answers, in (0, 1), for which there would be one;
            ``None`` if there is none either, or if a threshold holds the bound.
    """

    model_hash: str
    bound: Bound
    model: Logistic | None
    least: float | None
    expected: float
    rows: int
    holds_from: float | None = None

    @property
    def chance(self) -> float:
        """The required probability of being right, between 0 and 1; 1 if the bank is too small."""
        return 1.0 if self.least is None else float(sigmoid(self.least))


@dataclass(frozen=True)
class Trials:
    """Matches of aliases that were left out of the bank.

    Attributes:
        columns: The features, shape (t, 6).
        wrong: Whether the match was wrong, shape (t,).
        outside: Whether the alias's whole answer was left out, in which case every match is wrong; shape (t,).
        alias: The number of the alias that was matched, shape (t,).
        cluster: The number of the alias's answer, shape (t,).
        winner: The number of the matched answer, shape (t,).
    """

    columns: Floats
    wrong: Flags
    outside: Flags
    alias: Places
    cluster: Places
    winner: Places

    def weighted(self, prior: float) -> tuple[Trials, Floats]:
        """The trials with a positive weight if a share ``prior`` of questions has no answer, and their weights."""
        kept = self if prior > 0.0 else self.of(~self.outside)
        return kept, np.where(kept.outside, prior, 1.0 - prior)

    def of(self, rows: Flags) -> Trials:
        """A subset of the trials."""
        return Trials(
            self.columns[rows], self.wrong[rows], self.outside[rows],
            self.alias[rows], self.cluster[rows], self.winner[rows],
        )  # fmt: skip

    def odds(self, weights: Floats, unanswered: Collection[int] = (), *, seed: int = 0) -> Floats:
        """Predict the log odds of being right by models that have not seen the answer of the trial.

        Args:
            weights: The weight of each trial, shape (t,).
            unanswered: Numbers of answers that are known and never served.
            seed: Seed of the random folds.

        Returns:
            Log odds, shape (t,); minus infinity if an ``unanswered`` answer was matched.
        """
        found = cross_fitted(self, weights, seed)
        found[np.isin(self.winner, list(unanswered))] = -np.inf
        return found


def calibrate(
    head: Head, bound: Bound, *, model_hash: str, seed: int = 0, unanswered: Collection[int] = ()
) -> Calibration:
    """Learn the required certainty of a match. It takes about as long as fitting the head.

    Args:
        head: The head of the bank.
        bound: The allowed share of wrong answers.
        model_hash: The embedding model that made the head's vectors.
        seed: Seed of the random folds.
        unanswered: Numbers of answers that are known and never served.

    Returns:
        The calibration, without a threshold if the bank has fewer than two answers or no threshold holds the bound.
    """
    if head.answers < _FEWEST_ANSWERS:
        return Calibration(model_hash, bound, None, None, 0.0, 0)
    return learn(trials(head), bound, model_hash=model_hash, seed=seed, unanswered=unanswered)


def learn(
    found: Trials, bound: Bound, *, model_hash: str, seed: int = 0, unanswered: Collection[int] = ()
) -> Calibration:
    """Learn the required certainty of a match from given trials.

    Args:
        found: The trials.
        bound: The allowed share of wrong answers.
        model_hash: The embedding model that the trials were made with.
        seed: Seed of the random folds.
        unanswered: Numbers of answers that are known and never served.

    Returns:
        The calibration, without a threshold if none holds the bound.
    """
    kept, weights = found.weighted(bound.prior)
    odds = kept.odds(weights, unanswered, seed=seed)

    def threshold(error: float) -> float | None:
        return lowest_threshold(odds, kept.wrong, weights, kept.cluster, error=error, per=bound.per)

    least = threshold(bound.error)
    holds_from = None
    if least is None:
        holds_from = next((error for error in _ERRORS if error > bound.error and threshold(error) is not None), None)
    else:
        least = max(0.0, least)  # never serve what is more likely wrong than right
    served = odds >= least if least is not None else np.zeros(len(odds), np.bool_)
    expected = float(weights[served].sum() / weights.sum())
    model = Logistic.fit(kept.columns, ~kept.wrong, weights, ridge=PENALTY)
    return Calibration(model_hash, bound, model, least, expected, len(odds), holds_from)


def trials(head: Head) -> Trials:
    """Match each alias without itself, and without its answer."""
    count, owner = len(head.owner), head.owner
    cosines = head.vectors.astype(np.float64) @ head.vectors.T.astype(np.float64)
    alone = cosines.copy()
    np.fill_diagonal(alone, -np.inf)
    inside, known = features(gather(alone, owner, head.answers, head.alias_left_out()))
    for _, rows in head.groups():
        cosines[rows, rows] = -np.inf
    outside, unknown = features(gather(cosines, owner, head.answers, head.answer_left_out()))
    alias = np.arange(count)
    return Trials(
        np.concatenate([known, unknown]),
        np.concatenate([inside != owner, np.ones(count, np.bool_)]),
        np.arange(2 * count) >= count,
        np.concatenate([alias, alias]),
        np.concatenate([owner, owner]),
        np.concatenate([inside, outside]),
    )


def cross_fitted(found: Trials, weights: Floats, seed: int) -> Floats:
    """Predict the log odds of being right by models that have not seen the answer of the trial.

    Args:
        found: The trials, t of them.
        weights: The weight of each trial, shape (t,).
        seed: Seed of the random folds.

    Returns:
        Log odds, shape (t,).
    """
    order = np.random.default_rng(seed).permutation(int(found.cluster.max()) + 1)
    fold = (order % _FOLDS)[found.cluster]
    odds = np.empty(len(fold))
    for held in np.unique(fold):
        rest = fold != held
        model = Logistic.fit(found.columns[rest], ~found.wrong[rest], weights[rest], ridge=PENALTY)
        odds[~rest] = model.log_odds(found.columns[~rest])
    return odds
