"""Confidence intervals from resampled users. Users are independent of each other; their requests are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GROUPS, _DRAWS = 10_000, 400
LOW, HIGH = 2.5, 97.5
_ONE_SIDED = 95.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval; ``upper`` is the one-sided 95 % bound."""

    value: float
    low: float
    high: float
    upper: float


class Resampler:
    """Resample users, with the same draws for every strategy, so that differences are paired.

    More users than ``groups`` are assigned at random to that many groups of equal size. Sums over groups are as
    independent as users are, and have the same variance.
    """

    def __init__(self, users: int, *, groups: int = GROUPS, draws: int = _DRAWS, seed: int = 0) -> None:
        self._rng_seed, self._draws = seed, draws
        self._count = min(users, groups)
        rng = np.random.default_rng(seed)
        self._group = None if users <= groups else (rng.permutation(users) % groups).astype(np.int32)

    def sums(self, values: Floats) -> Floats:
        """Sums over resampled users, shape (draws,)."""
        grouped = values if self._group is None else np.bincount(self._group, values, minlength=self._count)
        rng = np.random.default_rng(self._rng_seed + 1)
        return np.asarray([grouped[rng.integers(0, self._count, self._count)].sum() for _ in range(self._draws)])

    def total(self, values: Floats, *, scale: float = 1.0) -> Interval:
        """The sum over users, multiplied by ``scale``."""
        return _interval(float(values.sum()) * scale, self.sums(values) * scale)

    def ratio(self, above: Floats, below: Floats) -> Interval:
        """The ratio of two sums over users."""
        drawn = self.sums(above) / np.maximum(self.sums(below), 1e-300)
        return _interval(float(above.sum()) / max(float(below.sum()), 1e-300), drawn)


def _interval(value: float, drawn: Floats) -> Interval:
    low, high, upper = np.percentile(drawn, [LOW, HIGH, _ONE_SIDED])
    return Interval(value, float(low), float(high), float(upper))
