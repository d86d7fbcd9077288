"""A rule learned for each stored question on its own, from what was found when it was not served.

After the idea of "vCache: Verified Semantic Prompt Caching" (arXiv 2502.03771): each entry keeps observations of
(cosine, right); ``P(right | s) = sigmoid(g (s - t))`` is fitted to them; with a chance of at least tau the question is
explored, that is answered afresh and compared, where tau is the least exploring that keeps the share of wrong answers
within ``delta`` whatever the true t in its confidence interval may be.
"""

from __future__ import annotations

import random
from statistics import NormalDist

import numpy as np

from parbake.errors import BadInput
from parbake.semantic.arrays import Floats
from parbake.semantic.logistic import sigmoid
from parbake.semantic.policy import Match, Ranking

FEWEST = 6
SYNTHETIC = ((0.0, False), (1.0, True))
_MISSES = np.linspace(0.0005, 0.5, 60)  # epsilon: how likely the interval may miss t
_QUANTILES = np.array([NormalDist().inv_cdf(1.0 - m) for m in _MISSES])
_PRECISION = 1e-3  # of a weak normal prior on slope and intercept: separable observations have no maximum without
_STEPS = 30
_STEEP = 20.0  # of the slope, in gaps between the highest wrong and the lowest right cosine


class PerEntryPolicy:
    """Serve an entry's answer as often as its own observations allow; see the module.

    ``delta`` is the share of requests that may be wrong. State is kept per alias, two numbers per observation.
    """

    ranking: Ranking = "cosine"
    adds_aliases = False  # an entry learns from what lies near it; more entries would leave each with less

    def __init__(self, delta: float, *, seed: int = 0) -> None:
        """Begin without observations."""
        if not 0.0 < delta < 1.0:
            raise BadInput(f"delta must lie between 0 and 1, not {delta}", field="delta")
        self.delta = delta
        self._random = random.Random(seed)  # noqa: S311  # decides what is explored, not what is secret
        self._seen: dict[str, list[tuple[float, bool]]] = {}
        self._fitted: dict[str, tuple[float, float, float]] = {}

    def refusal(self, match: Match) -> str | None:
        """``few_observations``, ``explored``, or ``None`` when it may be served."""
        if len(self._seen.get(match.alias, ())) + len(SYNTHETIC) < FEWEST:
            return "few_observations"
        return "explored" if self._random.random() <= self.exploring(match) else None

    def exploring(self, match: Match) -> float:
        """tau: the chance with which this match has to be explored."""
        if match.alias not in self._fitted:
            self._fitted[match.alias] = _fit([*SYNTHETIC, *self._seen.get(match.alias, ())])
        slope, middle, deviation = self._fitted[match.alias]
        right = sigmoid(slope * (match.cosine - (middle + _QUANTILES * deviation)))
        tau = 1.0 - self.delta / np.maximum(1.0 - (1.0 - _MISSES) * right, 1e-12)
        return float(np.clip(tau.min(), 0.0, 1.0))

    def observe(self, match: Match, *, right: bool) -> None:
        """Keep what an exploration found."""
        self._seen.setdefault(match.alias, []).append((match.cosine, right))
        self._fitted.pop(match.alias, None)


def _fit(seen: list[tuple[float, bool]]) -> tuple[float, float, float]:
    """Slope, middle, and the middle's standard deviation (delta method, or half the gap where one parts them)."""
    below = max(s for s, right in seen if not right)
    above = min(s for s, right in seen if right)
    if below < above:
        return _STEEP / (above - below), (below + above) / 2.0, (above - below) / 2.0
    design = np.array([(s, 1.0) for s, _ in seen])
    outcomes = np.array([float(c) for _, c in seen])
    beta = np.array([10.0, -8.0])
    curvature = np.eye(2)
    for _ in range(_STEPS):
        chance = sigmoid(design @ beta)
        slope: Floats = design.T @ (outcomes - chance) - _PRECISION * beta
        curvature = (design * (chance * (1.0 - chance))[:, None]).T @ design + _PRECISION * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        beta = beta + step * min(1.0, 10.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-6:  # noqa: PLR2004  # far below what a decision could feel
            break
    steep = max(float(beta[0]), 1e-6)
    middle = -float(beta[1]) / steep
    gradient = np.array([-middle, -1.0]) / steep
    return steep, middle, float(np.sqrt(gradient @ np.linalg.inv(curvature) @ gradient))
