"""How good a shown list is: NDCG@5 and hit rate@5, the mean within a user and then over users, paired intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .data import Floats, Ints

DEPTH = 5
RESAMPLES = 2_000
_DISCOUNT: Floats = 1.0 / np.log2(np.arange(2, DEPTH + 2))


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """As it is printed."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def ndcg(hits: NDArray[np.bool_], wanted: Ints) -> Floats:
    """Normalised discounted cumulative gain at 5, each wanted item worth the same (Järvelin, Kekäläinen 2002).

    ``hits`` (requests, 5) says which shown places were wanted, ``wanted`` (requests,) how many there were.
    """
    best = np.concatenate(([0.0], np.cumsum(_DISCOUNT)))[np.minimum(wanted, DEPTH)]
    gained: Floats = hits @ _DISCOUNT
    return gained / np.where(best > 0, best, 1.0)


def hit_rate(hits: NDArray[np.bool_]) -> Floats:
    """1 for each request with a wanted item among the five, else 0."""
    return hits.any(axis=1).astype(np.float64)


def by_user(scores: Floats, users: Ints) -> Floats:
    """Return the mean score of each user, in the order of ``np.unique(users)``."""
    place = np.unique(users, return_inverse=True)[1]
    return np.bincount(place, scores) / np.bincount(place)


def draw(users: int, *, resamples: int = RESAMPLES, seed: int = 7) -> Floats:
    """Return each user's share in each resample (resamples, users): the same draws for every method."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(users, np.full(users, 1.0 / users), size=resamples).astype(np.float64) / users


def mean(ours: Floats, drawn: Floats) -> Interval:
    """The mean over users."""
    return _interval(float(ours.mean()), drawn @ ours)


def difference(ours: Floats, theirs: Floats, drawn: Floats) -> Interval:
    """The mean paired difference over users."""
    return _interval(float((ours - theirs).mean()), drawn @ (ours - theirs))


def ratio(ours: Floats, theirs: Floats, drawn: Floats) -> Interval:
    """The ratio of the two means, the same users drawn for both; 0 when theirs are all 0 and nothing can be said."""
    if not theirs.any():
        return Interval(0.0, 0.0, 0.0)
    below = drawn @ theirs
    return _interval(float(ours.mean() / theirs.mean()), (drawn @ ours)[below > 0] / below[below > 0])


def _interval(value: float, resampled: Floats) -> Interval:
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Interval(value, float(low), float(high))
