"""The calibrated policy of a cache that fills with use: it learns from matches that it did not serve, and from audits.

A fresh answer shows whether the match would have been right. A served match shows nothing. A few matches are therefore
explored instead of served; less certain ones are explored more often. Because the choice depends only on the features,
a model of being right given the features stays unbiased (data missing at random). The threshold is the lowest one at
which the last requests would have held the bound of :mod:`parbake_semantic.policies.risk`. Served matches count with
their probability of being wrong.
"""

from __future__ import annotations

import random
import threading
from collections import deque

import numpy as np

from parbake.errors import BadInput
from parbake.values.logistic import sigmoid
from parbake_semantic.policies.calibrate import Bound
from parbake_semantic.policies.policy import Match, Ranking
from parbake_semantic.policies.quadratic import Quadratic
from parbake_semantic.policies.risk import lowest_threshold

AUDITS = 0.02
WINDOW = 4_000
_FIRST, _EVERY = 200, 250
_DOUBT = 2.0  # how much more likely an audit becomes per probability of being wrong
_MOST_AUDITS = 0.5

Row = tuple[tuple[float, ...], float | None, str]
"""Features, whether the match was wrong (``None`` if it was served), and the answer."""


class AdaptivePolicy:
    """Keeps the share of wrong answers within a bound; see the module. Thread-safe."""

    ranking: Ranking = "head"
    adds_aliases = True

    def __init__(self, bound: Bound | None = None, *, audits: float = AUDITS, seed: int = 0) -> None:
        """Create a policy without observations.

        Args:
            bound: The allowed share of wrong answers; 1 % of all requests by default.
            audits: The approximate share of would-be hits that is explored, in (0, 1].
            seed: Seed of the random choice of explored matches.

        Raises:
            BadInput: ``audits`` is outside its range.
        """
        if not 0.0 < audits <= 1.0:
            raise BadInput(f"audits must be above 0 and at most 1; got {audits}", field="audits")
        self.bound = bound or Bound(0.01, per="request")
        self.audits = audits
        self._random = random.Random(seed)  # noqa: S311  # chooses what is explored; not security-relevant
        self._known: deque[Row] = deque(maxlen=WINDOW)
        self._last: deque[Row] = deque(maxlen=WINDOW)
        self._model: tuple[Quadratic, float | None] | None = None
        self._until_next = _FIRST
        self._lock = threading.Lock()

    def refusal(self, match: Match) -> str | None:
        """Return ``learning``, ``bank_too_small``, ``unsure`` or ``audit``, or ``None`` if the match may be served."""
        if self._model is None:
            return "learning"
        model, least = self._model
        if least is None:
            return "bank_too_small"
        odds = float(model.log_odds(np.array([match.features]))[0])
        if not odds >= least:
            return "unsure"
        doubt = 1.0 - float(sigmoid(odds))
        with self._lock:
            if self._random.random() < min(_MOST_AUDITS, self.audits / 2.0 + _DOUBT * doubt):
                return "audit"
            self._last.append((match.features, None, match.answer))
        return None

    def observe(self, match: Match, *, right: bool) -> None:
        """Learn how a match that was not served compares with the fresh answer. Every 250th call refits the model.

        Args:
            match: The match.
            right: Whether its answer says the same as the fresh one.
        """
        row: Row = (match.features, float(not right), match.answer)
        with self._lock:
            self._known.append(row)
            self._last.append(row)
            self._until_next -= 1
            if self._until_next > 0:
                return
            self._until_next = _EVERY
            known, last = list(self._known), list(self._last)
        self._model = _learned(known, last, self.bound) or self._model


def _learned(known: list[Row], last: list[Row], bound: Bound) -> tuple[Quadratic, float | None] | None:
    wrong = np.array([outcome == 1.0 for _, outcome, _ in known])
    if wrong.all() or not wrong.any():
        return None
    model = Quadratic.fit(np.array([features for features, _, _ in known]), ~wrong)
    odds = model.log_odds(np.array([features for features, _, _ in last]))
    guessed = 1.0 - sigmoid(odds)
    errors = np.array([g if o is None else o for g, (_, o, _) in zip(guessed, last, strict=True)])
    clusters = np.unique([answer for _, _, answer in last], return_inverse=True)[1]
    least = lowest_threshold(
        odds,
        errors,
        np.ones(len(last)),
        clusters,
        error=bound.error,
        per=bound.per,
        fixed=False,  # new answers keep coming
    )
    return model, None if least is None else max(0.0, least)  # never serve what is more likely wrong than right
