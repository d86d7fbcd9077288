"""Logistic regression with weights and an L2 penalty, fitted by Newton's method.

Minimizes ``sum_i w_i log(1 + exp(-s_i z_i)) + 1/2 sum_j l_j (b_j - p_j)^2`` with s = +-1, log odds z, penalties l and
priors p. Newton's method is iteratively reweighted least squares here (Hastie, Tibshirani & Friedman, The Elements of
Statistical Learning, 2nd ed., sec. 4.4.1).
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_MOST_STEPS, _LEAST_SPREAD = 50, 1e-9
_ROUNDING = 1e-12


class Logistic(msgspec.Struct, frozen=True):
    """A logistic regression of ``c`` columns. Its log odds are ``columns @ coefficients + intercept``.

    Attributes:
        coefficients: Log odds per unit of each column, of length c.
        intercept: The log odds where all columns are 0.
    """

    coefficients: tuple[float, ...]
    intercept: float

    @classmethod
    def fit(
        cls,
        columns: NDArray[Any],
        outcomes: Flags,
        weights: Floats | None = None,
        *,
        ridge: float,
        intercept_ridge: float = 1e-9,
        start: float = 0.0,
        enough: float = 1e-9,
    ) -> Logistic:
        """Fit a model, with a penalty on the coefficients of the standardized columns.

        Args:
            columns: The explanatory variables, shape (n, c).
            outcomes: Whether each row came true, shape (n,).
            weights: What each row counts for, shape (n,); 1 by default.
            ridge: The penalty of each coefficient.
            intercept_ridge: The penalty of the intercept. It keeps a step finite where all outcomes are the same.
            start: The intercept to start from, in log odds; the coefficients start from 0.
            enough: The iteration ends when a step is expected to lower the loss by less.

        Returns:
            The model on the raw columns.
        """
        center, spread = standard(columns)
        design = np.hstack([(columns - center) / spread, np.ones((len(columns), 1))])
        penalty, first = np.full(design.shape[1], ridge), np.zeros(design.shape[1])
        penalty[-1], first[-1] = intercept_ridge, start
        beta = newton(design, outcomes, weights, penalty=penalty, start=first, enough=enough)
        scaled = beta[:-1] / spread
        return cls(tuple(scaled.tolist()), float(beta[-1] - scaled @ center))

    def log_odds(self, columns: NDArray[Any]) -> Floats:
        """The log odds of the rows of ``columns`` (n, c), shape (n,)."""
        found: Floats = columns @ np.array(self.coefficients) + self.intercept
        return found

    def probability(self, columns: NDArray[Any]) -> Floats:
        """The probability of the rows of ``columns`` (n, c), shape (n,)."""
        return sigmoid(self.log_odds(columns))

    def adjusted(self, shift: float, stretch: float) -> Logistic:
        """The model whose log odds are ``shift + stretch * log_odds``."""
        return Logistic(tuple(stretch * c for c in self.coefficients), shift + stretch * self.intercept)


def sigmoid(values: Any) -> Floats:
    """``1 / (1 + exp(-x))`` without overflow."""
    found: Floats = 0.5 * (1.0 + np.tanh(0.5 * np.asarray(values, np.float64)))
    return found


def standard(columns: NDArray[Any]) -> tuple[Floats, Floats]:
    """The mean and the standard deviation of each column of (n, c), both (c,); a constant column has deviation 1."""
    spread = columns.std(axis=0, dtype=np.float64)
    return columns.mean(axis=0, dtype=np.float64), np.where(spread > _LEAST_SPREAD, spread, 1.0)


def newton(
    design: Floats,
    outcomes: Flags,
    weights: Floats | None = None,
    *,
    penalty: Floats,
    start: Floats,
    prior: Floats | None = None,
    enough: float,
) -> Floats:
    """Minimize the loss of the module's head; a step that does not lower it is halved until it does.

    Args:
        design: The columns, shape (n, c).
        outcomes: Whether each row came true, shape (n,).
        weights: What each row counts for, shape (n,); 1 by default.
        penalty: The penalty of each coefficient, shape (c,).
        start: The coefficients to start from, shape (c,).
        prior: The coefficients that cost no penalty, shape (c,); 0 by default.
        enough: The iteration ends when a step is expected to lower the loss by less.

    Returns:
        The coefficients, shape (c,).
    """
    hits, prior = outcomes.astype(np.float64), np.zeros_like(start) if prior is None else prior
    weights = np.ones(len(hits)) if weights is None else weights

    def loss(beta: Floats) -> float:
        odds = design @ beta
        return float(weights @ (np.logaddexp(0.0, odds) - hits * odds) + 0.5 * (penalty * (beta - prior) ** 2).sum())

    beta, least = start, loss(start)
    for _ in range(_MOST_STEPS):
        chance = sigmoid(design @ beta)
        slope = design.T @ (weights * (hits - chance)) - penalty * (beta - prior)
        curvature = (design * (weights * chance * (1.0 - chance))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        if slope @ step / 2.0 < enough:
            break
        while (found := loss(beta + step)) > least + _ROUNDING * abs(least):
            step = step / 2.0
        beta, least = beta + step, found
    return beta
