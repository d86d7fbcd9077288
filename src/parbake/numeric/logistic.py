"""Logistic regression by Newton's method (iteratively reweighted least squares), with weights and an L2 penalty.

Minimizes ``sum_i w_i log(1 + exp(-s_i z_i)) + 1/2 sum_j l_j beta_j^2`` with s = +-1. See Hastie, Tibshirani & Friedman,
The Elements of Statistical Learning, 2nd ed., sec. 4.4.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sigmoid(values: Any) -> Floats:
    """``1 / (1 + exp(-x))`` without overflow."""
    found: Floats = 0.5 * (1.0 + np.tanh(0.5 * np.asarray(values, np.float64)))
    return found


def ridge_logistic(
    design: Floats, outcomes: Floats, *, weights: Floats, penalty: Floats, start: Floats, steps: int, enough: float
) -> Floats:
    """The coefficients (c,) for a design (n, c), outcomes of 0 and 1 (n,) and their weights (n,).

    ``penalty`` (c,) is each coefficient's; it ends after so many ``steps``, or where one would lower the loss by less
    than ``enough``. A step that does not lower it, as beyond where the curve is flat, is halved until it does.
    """
    beta, loss = start, _loss(design, outcomes, weights, penalty, start)
    for _ in range(steps):
        chance = sigmoid(design @ beta)
        slope = design.T @ (weights * (outcomes - chance)) - penalty * beta
        curvature = (design * (weights * chance * (1.0 - chance))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        while (found := _loss(design, outcomes, weights, penalty, beta + step)) > loss and np.abs(step).max() > enough:
            step = step / 2.0
        if found > loss - enough:
            break
        beta, loss = beta + step, found
    return beta


def _loss(design: Floats, outcomes: Floats, weights: Floats, penalty: Floats, beta: Floats) -> float:
    odds = design @ beta
    return float(weights @ (np.logaddexp(0.0, odds) - outcomes * odds) + 0.5 * (penalty * beta**2).sum())
