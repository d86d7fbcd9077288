"""A logistic model of features, their squares and their products."""

from __future__ import annotations

import msgspec
import numpy as np

from parbake.values.logistic import Logistic, standard
from parbake_semantic.text.arrays import Flags, Floats

PENALTY = 1.0
"""The penalty on each coefficient, for every model in this folder."""


class Quadratic(msgspec.Struct, frozen=True):
    """A logistic model of ``c`` features, their squares and their products.

    Features are clipped to the range of the rows that the model was fitted on, because a parabola says nothing sensible
    beyond it, and then standardized.

    Attributes:
        center: The mean of each feature, of length c.
        spread: The standard deviation of each feature, of length c.
        low: The lowest value of each feature, of length c.
        high: The highest value of each feature, of length c.
        linear: The model of the standardized features, their squares and their products.
    """

    center: tuple[float, ...]
    spread: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    linear: Logistic

    @classmethod
    def fit(cls, columns: Floats, outcomes: Flags, weights: Floats | None = None) -> Quadratic:
        """Fit a model.

        Args:
            columns: The features, shape (n, c).
            outcomes: Whether each row came true, shape (n,).
            weights: The weight of each row, shape (n,); 1 by default.

        Returns:
            The model on the raw features.
        """
        center, spread = standard(columns)
        linear = Logistic.fit(_expanded((columns - center) / spread), outcomes, weights, ridge=PENALTY)
        low, high = columns.min(axis=0), columns.max(axis=0)
        return cls(_tuple(center), _tuple(spread), _tuple(low), _tuple(high), linear)

    def log_odds(self, columns: Floats) -> Floats:
        """The log odds of the rows of ``columns`` (n, c), shape (n,)."""
        cut = np.clip(columns, self.low, self.high)
        return self.linear.log_odds(_expanded((cut - self.center) / self.spread))


def _expanded(columns: Floats) -> Floats:
    left, right = np.triu_indices(columns.shape[1])
    return np.hstack([columns, columns[:, left] * columns[:, right]])


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())
