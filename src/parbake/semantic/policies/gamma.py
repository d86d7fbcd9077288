"""Quantiles of the gamma distribution, in numpy.

The start is the cube-root normal approximation (Wilson & Hilferty, The distribution of chi-square, PNAS 17, 1931), made
exact by Newton steps on the regularized incomplete gamma function: its series (Abramowitz & Stegun, Handbook of
Mathematical Functions, 6.5.29) below the mean, its continued fraction (the same, 6.5.31) above it.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from parbake.semantic.text.arrays import Floats

_TERMS, _NEWTON_STEPS, _ENOUGH, _TINY = 5_000, 20, 1e-13, 1e-300


def gamma_quantile(share: float, shape: Floats) -> Floats:
    """The value below which a gamma variable of that shape (scale 1) lies with probability ``share`` in (0, 1)."""
    normal = NormalDist().inv_cdf(share)
    found: Floats = shape * np.maximum(1.0 - 1.0 / (9.0 * shape) + normal / (3.0 * np.sqrt(shape)), 1e-3) ** 3
    for _ in range(_NEWTON_STEPS):
        step = (gamma_cdf(found, shape) - share) / _density(found, shape)
        step = np.clip(step, -found, 0.5 * found)  # never below half of it, never to more than twice
        found = found - step
        if (np.abs(step) <= 1e-11 * found).all():
            break
    return found


def gamma_cdf(value: Floats, shape: Floats) -> Floats:
    """The regularized lower incomplete gamma function ``P(shape, value)``, elementwise; both positive."""
    value, shape = np.broadcast_arrays(np.asarray(value, np.float64), np.asarray(shape, np.float64))
    found = np.empty(value.shape)
    low = value < shape + 1.0
    found[low] = _series(value[low], shape[low])
    found[~low] = 1.0 - _fraction(value[~low], shape[~low])
    return found


def _log_gamma(shape: Floats) -> Floats:
    return np.array([math.lgamma(s) for s in shape.ravel()]).reshape(shape.shape)


def _density(value: Floats, shape: Floats) -> Floats:
    found: Floats = np.exp((shape - 1.0) * np.log(value) - value - _log_gamma(shape))
    return np.maximum(found, _TINY)


def _series(value: Floats, shape: Floats) -> Floats:
    term = np.ones_like(value) / shape
    total, at = term.copy(), shape.copy()
    for _ in range(_TERMS):
        at = at + 1.0
        term = term * value / at
        total += term
        if (term <= total * _ENOUGH).all():
            break
    found: Floats = total * np.exp(shape * np.log(value) - value - _log_gamma(shape))
    return found


def _fraction(value: Floats, shape: Floats) -> Floats:
    """The upper function, by Lentz's method (Lentz, Applied Optics 15, 1976)."""
    b = value + 1.0 - shape
    c, d = np.full_like(value, 1.0 / _TINY), 1.0 / b
    total = d.copy()
    for n in range(1, _TERMS):
        a, b = -n * (n - shape), b + 2.0
        d = 1.0 / _apart(a * d + b)
        c = _apart(b + a / c)
        total = total * (d * c)
        if (np.abs(d * c - 1.0) <= _ENOUGH).all():
            break
    found: Floats = total * np.exp(shape * np.log(value) - value - _log_gamma(shape))
    return found


def _apart(values: Floats) -> Floats:
    return np.where(np.abs(values) < _TINY, _TINY, values)
