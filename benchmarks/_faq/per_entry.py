"""A rule learned for each stored question on its own, from what was found when it was not served.

After the idea of "vCache: Verified Semantic Prompt Caching" (arXiv 2502.03771): each entry keeps observations of
(cosine, right), for which ``P(right | s) = sigmoid(g (s - t))`` is assumed; with a chance of at least tau the question
is explored, that is answered afresh and compared, where ``tau = 1 - delta / (1 - P)`` is the least exploring that keeps
the share of wrong answers within ``delta``.

The paper takes for P the best of the bounds ``(1 - e) sigmoid(g (s - t_e))``, t_e the upper limit of t at level e. That
needs the variance of t, which has no estimate where one cosine parts the right from the wrong, as it does for most
entries. Here P is the mean of ``sigmoid(g (s - t))`` over the posterior of (g, t) on a grid, which exists for any
observations, and which none of those bounds exceeds (Markov's inequality).
"""

from __future__ import annotations

import random

import numpy as np

from parbake.errors import BadInput
from parbake.values.logistic import sigmoid
from parbake_semantic.policies.policy import Match, Ranking
from parbake_semantic.text.arrays import Floats, Vectors

FEWEST = 6
SYNTHETIC = ((0.0, False), (1.0, True))
_SLOPES = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # evenly on a logarithmic scale
_MIDDLES = np.linspace(0.0, 1.2, 49)  # beyond 1: an entry that hardly any question may be served from
_SLOPE, _MIDDLE = (grid.ravel() for grid in np.meshgrid(_SLOPES, _MIDDLES))


class PerEntryPolicy:
    """Serve an entry's answer as often as its own observations allow; see the module.

    State is kept per alias that was explored: how likely its observations are at each point of the grid, 1.2 kB.
    """

    ranking: Ranking = "cosine"
    adds_aliases = False  # an entry learns from what lies near it; more entries would leave each with less

    def __init__(self, delta: float, *, seed: int = 0) -> None:
        """Begin without observations.

        Args:
            delta: The share of requests that may be wrong, in (0, 1).
            seed: The seed of the draw of what is explored.

        Raises:
            BadInput: ``delta`` lies outside its range.
        """
        if not 0.0 < delta < 1.0:
            raise BadInput(f"delta must lie between 0 and 1, not {delta}", field="delta")
        self.delta = delta
        self._random = random.Random(seed)  # decides what is explored, not what is secret
        self._seen: dict[str, int] = {}
        self._likelihood: dict[str, Vectors] = {}

    def refusal(self, match: Match) -> str | None:
        """``few_observations``, ``explored``, or ``None`` when it may be served."""
        if self._seen.get(match.alias, 0) + len(SYNTHETIC) < FEWEST:
            return "few_observations"
        return "explored" if self._random.random() <= self.exploring(match) else None

    def exploring(self, match: Match) -> float:
        """tau: the chance with which this match has to be explored."""
        likelihood = self._likelihood.get(match.alias, _AT_FIRST)
        weights = np.exp(likelihood - likelihood.max())
        right = float(weights @ sigmoid(_SLOPE * (match.cosine - _MIDDLE)) / weights.sum())
        return max(0.0, 1.0 - self.delta / max(1.0 - right, 1e-12))

    def observe(self, match: Match, *, right: bool) -> None:
        """Keep what an exploration found.

        Args:
            match: The match that was explored.
            right: Whether its answer says the same as the fresh one.
        """
        self._seen[match.alias] = self._seen.get(match.alias, 0) + 1
        known = self._likelihood.get(match.alias, _AT_FIRST)
        self._likelihood[match.alias] = (known + _log_likelihood(match.cosine, right=right)).astype(np.float32)


def _log_likelihood(cosine: float, *, right: bool) -> Floats:
    """Of one observation, at each point of the grid."""
    odds = _SLOPE * (cosine - _MIDDLE)
    found: Floats = -np.logaddexp(0.0, -odds if right else odds)
    return found


_AT_FIRST: Vectors = sum((_log_likelihood(s, right=r) for s, r in SYNTHETIC), np.zeros(len(_SLOPE))).astype(np.float32)
