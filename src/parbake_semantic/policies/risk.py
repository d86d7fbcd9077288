"""The lowest threshold at which the share of wrong answers stays within the allowed bound, with 95 % confidence.

With y the weight of the errors above a threshold, v its variance and m the largest weight, the upper limit is that of a
gamma variable with matched mean and variance, ``(y + m)`` and ``(v + m^2)``. This is the limit of a weighted sum of
Poisson counts (Fay & Feuer, Confidence intervals for directly standardized rates, Statistics in Medicine 16, 1997).

Wordings of one answer go wrong together, so v is the variance of a sum over answers with errors e_c. For a fixed number
C of answers it is ``C / (C - 1) sum (e_c - y / C)^2`` (Cochran, Sampling techniques, 3rd ed., sec. 9.2). If their
number is random as well, it is ``sum e_c^2``. It is never less than for independent errors.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from parbake_semantic.text.arrays import Flags, Floats, Places

CONFIDENCE = 0.95
Per = Literal["served", "request"]
"""What the share of errors refers to: served answers, or all requests."""


def lowest_threshold(
    ranks: Floats,
    wrong: Flags | Floats,
    weights: Floats,
    clusters: Places,
    *,
    error: float,
    per: Per = "served",
    fixed: bool = True,
) -> float | None:
    """Find the lowest rank down to which answers may be served.

    Args:
        ranks: The certainty of each row's match, shape (n,); any scale on which higher is more certain.
        wrong: Whether each row is wrong, or the probability that it is, shape (n,).
        weights: The weight of each row, above 0, shape (n,).
        clusters: The number of the answer that each row belongs to, shape (n,).
        error: The allowed share of errors, in (0, 1).
        per: What the share of errors refers to.
        fixed: Whether the number of answers is fixed; otherwise it is random.

    Returns:
        A value of ``ranks``, or ``None`` if no threshold holds the bound.
    """
    if not len(ranks):
        return None
    order = np.argsort(-ranks, kind="stable")
    ranked = ranks[order]
    upper = upper_limits(wrong[order], weights[order], clusters[order], per=per, fixed=fixed)
    last_of_equals = np.append(ranked[:-1] != ranked[1:], True)
    holds = np.flatnonzero((upper <= error) & last_of_equals)
    return float(ranked[holds[-1]]) if len(holds) else None


def upper_limits(
    wrong: Flags | Floats, weights: Floats, clusters: Places, *, per: Per = "served", fixed: bool = True
) -> Floats:
    """Compute the upper 95 % confidence limit of the share of errors, if the first 1, 2, ... n rows are served.

    Args:
        wrong: Whether each row is wrong, or the probability that it is, shape (n,).
        weights: The weight of each row, above 0, shape (n,).
        clusters: The number of the answer that each row belongs to, shape (n,).
        per: What the share of errors refers to.
        fixed: Whether the number of answers is fixed; otherwise it is random.

    Returns:
        The upper limits, shape (n,).
    """
    from scipy.special import gammaincinv  # takes 0.2 s to import, and most processes never calibrate

    errors = weights * wrong
    total = np.cumsum(weights) if per == "served" else np.full(len(weights), weights.sum())
    y = np.cumsum(errors)
    m = float(weights.max())
    variance = np.cumsum(_squares(errors, clusters))
    if fixed and (count := len(np.unique(clusters))) > 1:  # a single cluster does not show a variance
        variance = (variance - y**2 / count) * count / (count - 1)
    mean, variance = y + m, np.maximum(variance, np.cumsum(weights * errors)) + m * m
    found: Floats = gammaincinv(mean**2 / variance, CONFIDENCE) * variance / mean / total
    return found


def _squares(errors: Floats, clusters: Places) -> Floats:
    """The amount that each row adds to the sum of squared errors over clusters."""
    order = np.argsort(clusters, kind="stable")
    running = np.cumsum(errors[order])
    starts = np.searchsorted(clusters[order], clusters[order])
    after = running - np.where(starts > 0, running[starts - 1], 0.0)
    found = np.empty_like(errors)
    found[order] = after**2 - (after - errors[order]) ** 2
    return found
