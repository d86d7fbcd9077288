"""Logistic models of features, fitted with a ridge; the intercept is free (:mod:`parbake.numeric.logistic`)."""

from __future__ import annotations

import msgspec
import numpy as np

from parbake.numeric.logistic import ridge_logistic
from parbake.semantic.text.arrays import Flags, Floats

PENALTY = 1.0
_STEPS, _ENOUGH, _LEAST_SPREAD = 50, 1e-9, 1e-9


class Logistic(msgspec.Struct, frozen=True):
    """A fitted model of ``c`` columns: ``coefficients`` (c,) on the raw columns, and the intercept."""

    coefficients: tuple[float, ...]
    intercept: float

    def log_odds(self, columns: Floats) -> Floats:
        """Log odds of the rows of ``columns`` (q, c), shape (q,)."""
        found: Floats = columns @ np.array(self.coefficients) + self.intercept
        return found


class Quadratic(msgspec.Struct, frozen=True):
    """A logistic model of ``c`` features, their squares and their products.

    Features are standardized with ``center`` and ``spread`` after they were cut to the range ``low`` to ``high`` that
    the model was fitted on: a parabola says nothing sensible beyond it.
    """

    center: tuple[float, ...]
    spread: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    linear: Logistic

    def log_odds(self, columns: Floats) -> Floats:
        """Log odds of the rows of ``columns`` (q, c), shape (q,)."""
        cut = np.clip(columns, self.low, self.high)
        return self.linear.log_odds(_expanded((cut - self.center) / self.spread))


def fit_logistic(columns: Floats, outcomes: Flags, weights: Floats) -> Logistic:
    """Fit on (n, c) columns, which are standardized first, their outcomes (n,) and weights (n,)."""
    center, spread = columns.mean(axis=0), columns.std(axis=0)
    spread = np.where(spread > _LEAST_SPREAD, spread, 1.0)
    design = np.hstack([(columns - center) / spread, np.ones((len(columns), 1))])
    beta = _newton(design, outcomes.astype(np.float64), weights)
    scaled = beta[:-1] / spread
    return Logistic(_tuple(scaled), float(beta[-1] - scaled @ center))


def fit_quadratic(columns: Floats, outcomes: Flags, weights: Floats) -> Quadratic:
    """Fit on (n, c) columns, their squares and their products."""
    center, spread = columns.mean(axis=0), columns.std(axis=0)
    spread = np.where(spread > _LEAST_SPREAD, spread, 1.0)
    linear = fit_logistic(_expanded((columns - center) / spread), outcomes, weights)
    low, high = columns.min(axis=0), columns.max(axis=0)
    return Quadratic(_tuple(center), _tuple(spread), _tuple(low), _tuple(high), linear)


def _expanded(columns: Floats) -> Floats:
    left, right = np.triu_indices(columns.shape[1])
    return np.hstack([columns, columns[:, left] * columns[:, right]])


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _newton(design: Floats, outcomes: Floats, weights: Floats) -> Floats:
    penalty = np.full(design.shape[1], PENALTY)
    penalty[-1] = 1e-9  # keeps the step finite where all outcomes are the same
    start = np.zeros(design.shape[1])
    return ridge_logistic(design, outcomes, weights=weights, penalty=penalty, start=start, steps=_STEPS, enough=_ENOUGH)
