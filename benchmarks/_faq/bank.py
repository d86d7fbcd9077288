"""A question bank whose aliases are known beforehand: what it answers of questions that it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from _faq.data import NO_LABEL, Flags, Places, Questions
from parbake_semantic.policies.calibrate import PRIOR, Bound, Trials, learn, trials
from parbake_semantic.policies.features import features, gather
from parbake_semantic.policies.ridge import Head, fit

ERRORS = (0.01, 0.02, 0.05)
FIXED = (0.8, 0.85, 0.92)
OUTSIDE = 0.18  # of the questions, where answers are held out
Tick = Callable[[], None]


@dataclass(frozen=True)
class Trial:
    """One seed's bank and its test questions: ``label`` is -1 where the bank has no answer."""

    left_out: Trials
    label: Places
    columns: np.ndarray
    winner: Places
    nearest: Places
    cosine: np.ndarray


@dataclass
class Outcome:
    """One policy over the seeds, in per cent: of all traffic, of what was served, of the traffic out of scope."""

    hits: list[float] = field(default_factory=list)
    wrong: list[float] = field(default_factory=list)
    out_of_scope: list[float] = field(default_factory=list)
    target: float | None = None

    def add(self, served: Flags, right: Flags, label: Places) -> None:
        """Count one seed."""
        outside = label == NO_LABEL
        self.hits.append(100.0 * float(served.mean()))
        self.wrong.append(100.0 * float((~right)[served].mean()) if served.any() else 0.0)
        self.out_of_scope.append(100.0 * float(served[outside].mean()) if outside.any() else 0.0)

    @property
    def over(self) -> int:
        """In how many seeds more was wrong than allowed."""
        return 0 if self.target is None else sum(w > 100.0 * self.target for w in self.wrong)

    @property
    def refused(self) -> int:
        """In how many seeds the bank was too small."""
        return sum(h == 0.0 for h in self.hits)


def draw(data: Questions, aliases: int, seed: int, *, held_out: float) -> Trial:
    """Aliases drawn for each answer; the test questions are the data's own, or all the others.

    A share ``held_out`` of the answers is left out of the bank: questions near it that it cannot answer, of which as
    many are asked as make up 18 % of all.
    """
    rng = np.random.default_rng(seed)
    out = set(rng.permutation(len(data.answers))[: round(held_out * len(data.answers))].tolist())
    kept = [a for a in range(len(data.answers)) if a not in out]
    chosen = []
    for answer in kept:
        rows = rng.permutation(np.flatnonzero((data.labels == answer) & ~data.is_test))
        chosen.append(rows[: aliases if data.has_split else min(aliases, max(1, len(rows) // 2))])
    owner = np.repeat(np.arange(len(kept)), [len(rows) for rows in chosen])
    used = np.concatenate(chosen)
    asked = np.flatnonzero(data.is_test) if data.has_split else np.setdiff1d(np.arange(len(data.labels)), used)
    place = np.full(len(data.answers) + 1, NO_LABEL)
    place[kept] = np.arange(len(kept))
    if out:
        asked = _thinned(asked, place[data.labels[asked]] == NO_LABEL, rng)
    return _asked(fit(data.vectors[used], owner, len(kept)), data.vectors[asked], place[data.labels[asked]])


def _thinned(asked: Places, outside: Flags, rng: np.random.Generator) -> Places:
    """At most 18 % of them from outside."""
    most = round(float((~outside).sum()) * OUTSIDE / (1.0 - OUTSIDE))
    return np.concatenate([asked[~outside], rng.permutation(asked[outside])[:most]])


def _asked(head: Head, queries: np.ndarray, label: Places) -> Trial:
    cosines = queries.astype(np.float64) @ head.vectors.T.astype(np.float64)
    winner, columns = features(gather(cosines, head.owner, head.answers, head.scores(queries)))
    return Trial(trials(head), label, columns, winner, head.owner[cosines.argmax(axis=1)], cosines.max(axis=1))


def measure(
    data: Questions, aliases: int, seeds: int, *, held_out: float = 0.0, priors: tuple[float, ...] = (PRIOR, 0.0)
) -> tuple[dict[str, Outcome], list[float]]:
    """Every policy over the seeds, and the head's accuracy on what the bank has an answer to."""
    found: dict[str, Outcome] = {}
    accuracy = []
    for seed in range(seeds):
        trial = draw(data, aliases, seed, held_out=held_out)
        known = trial.label != NO_LABEL
        accuracy.append(100.0 * float((trial.winner == trial.label)[known].mean()))
        _fixed(trial, found)
        for prior in priors:
            _calibrated(trial, prior, seed, found)
    return found, accuracy


def _fixed(trial: Trial, found: dict[str, Outcome]) -> None:
    right = trial.nearest == trial.label
    for cosine in FIXED:
        found.setdefault(f"fixed({cosine})", Outcome()).add(trial.cosine >= cosine, right, trial.label)
    order = np.argsort(-trial.cosine)
    share = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(share <= 0.02)
    best = trial.cosine[order[good[-1]]] if len(good) else np.inf
    found.setdefault("fixed, best on test for 2 %", Outcome()).add(trial.cosine >= best, right, trial.label)


def _calibrated(trial: Trial, prior: float, seed: int, found: dict[str, Outcome]) -> None:
    right = trial.winner == trial.label
    for error in ERRORS:
        made = learn(trial.left_out, Bound(error, prior=prior), model_hash="", seed=seed)
        lowest = np.inf if made.least is None else made.least
        name = f"calibrated {100 * error:.0f} %, prior {prior:g}"
        outcome = found.setdefault(name, Outcome(target=error))
        assert made.model
        outcome.add(made.model.log_odds(trial.columns) >= lowest, right, trial.label)
