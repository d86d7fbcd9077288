"""How often to refresh each key: what a refresh costs against what serving an outdated value costs.

Arrays are (keys,): ``reads`` and ``changes`` in events a day, costs in dollars, intervals in days.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from parbake.errors import BadInput

Floats = NDArray[np.float64]
HOUR = 1 / 24
GRID = (HOUR / 4, HOUR / 2, HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR, 12 * HOUR, 1.0, 2.0, 4.0, 7.0, 14.0, 28.0)
"""Intervals to choose from, in days. The square-root law costs 7-50 % more than the best of these where ``D T`` is not
small."""
HALVINGS = 200


def stale_share(changes: Floats, interval: float | Floats) -> Floats:
    """The share of reads that come after a change, at even refreshes: ``1 - (1 - e^-DT)/(DT)``.

    It is the mean, over an interval, of the probability that a Poisson process of changes has struck (Cho &
    Garcia-Molina 2003).

    Args:
        changes: Changes of each key, in events a day, shape (keys,).
        interval: The days between two refreshes, of all keys or of each, shape (keys,).

    Returns:
        The share of each key, in [0, 1], shape (keys,).
    """
    struck = np.asarray(changes * interval, dtype=np.float64)
    safe = np.where(struck > 0, struck, 1.0)
    exact = 1 + np.expm1(-safe) / safe
    found: Floats = np.where(np.isinf(struck), 1.0, np.where(struck > 0, exact, 0.0))
    return found


def cost_rate(reads: Floats, changes: Floats, interval: float | Floats, *, refresh: float, stale: float) -> Floats:
    """The cost of refreshes and of outdated reads: ``c/T + s lambda [1 - (1 - e^-DT)/(DT)]``.

    Args:
        reads: Reads of each key, in events a day, shape (keys,).
        changes: Changes of each key, in events a day, shape (keys,).
        interval: The days between two refreshes, of all keys or of each, shape (keys,); infinite for none.
        refresh: Dollars for a refresh.
        stale: Dollars for a read that is outdated.

    Returns:
        Dollars a day of each key, shape (keys,).
    """
    found: Floats = refresh / np.asarray(interval) + stale * reads * stale_share(changes, interval)
    return found


def never_pays(reads: Floats, changes: Floats, *, refresh: float, stale: float) -> NDArray[np.bool_]:
    """Whether no interval pays, since a refresh costs more than all that it can put right: ``s lambda <= c D``.

    See :func:`cost_rate` for the arguments.
    """
    found: NDArray[np.bool_] = stale * reads <= refresh * changes
    return found


def per_key(reads: Floats, changes: Floats, *, refresh: float, stale: float) -> Floats:
    """The cheapest interval of each key, in days, out of :data:`GRID`; infinite where none pays.

    See :func:`cost_rate` for the arguments.
    """
    _check(reads, changes)
    best = np.full(len(reads), math.inf)
    least = cost_rate(reads, changes, math.inf, refresh=refresh, stale=stale)
    for interval in GRID:
        cost = cost_rate(reads, changes, interval, refresh=refresh, stale=stale)
        better = (cost < least) & ~never_pays(reads, changes, refresh=refresh, stale=stale)
        best[better], least[better] = interval, cost[better]
    return best


def single(reads: Floats, changes: Floats, *, refresh: float, stale: float) -> float:
    """The cheapest interval that is the same for all keys, in days, out of :data:`GRID`; infinite where none pays.

    See :func:`cost_rate` for the arguments.
    """
    _check(reads, changes)
    return min(
        (*GRID, math.inf),
        key=lambda interval: float(cost_rate(reads, changes, interval, refresh=refresh, stale=stale).sum()),
    )


def under_budget(reads: Floats, changes: Floats, budget: float) -> Floats:
    """Spend a budget of refreshes where it makes most reads fresh.

    ``rho = max(0, sqrt(lambda D / nu) - D)`` maximises ``sum lambda rho / (rho + D)``, freshness under refreshes at
    random times (Azar et al. 2018, Kolobov et al. 2019); the price ``nu`` is found by bisection. Keys that change so
    often that no refresh lasts get none.

    Args:
        reads: Reads of each key, in events a day, shape (keys,).
        changes: Changes of each key, in events a day, shape (keys,).
        budget: Refreshes a day of all keys together, above 0.

    Returns:
        Refreshes a day of each key, shape (keys,).

    Raises:
        BadInput: A rate is negative or infinite, or there is no budget.
    """
    _check(reads, changes)
    if not (budget > 0 and math.isfinite(budget)):
        raise BadInput(f"budget={budget}: refreshes a day, above 0", field="budget")
    moving = (changes > 0) & (reads > 0)
    if not moving.any():
        return np.zeros(len(reads))

    def spent(nu: float) -> Floats:
        found: Floats = np.where(moving, np.maximum(0.0, np.sqrt(reads * changes / nu) - changes), 0.0)
        return found

    low, high = 1e-300, float((reads[moving] / changes[moving]).max())
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        if float(spent(middle).sum()) > budget:
            low = middle
        else:
            high = middle
    return spent(high)


def fresh_share(reads: Floats, changes: Floats, rates: Floats, *, evenly: bool = True) -> float:
    """The share of reads that are fresh.

    Args:
        reads: Reads of each key, in events a day, shape (keys,).
        changes: Changes of each key, in events a day, shape (keys,).
        rates: Refreshes of each key, in events a day, shape (keys,).
        evenly: Whether refreshes are evenly spaced; if not, they come at random times.

    Returns:
        The share of all reads, in [0, 1].
    """
    safe = np.maximum(rates, 1e-300)
    held = 1 - stale_share(changes, 1 / safe) if evenly else safe / (safe + changes)
    held = np.where(changes > 0, np.where(rates > 0, held, 0.0), 1.0)
    return float((reads * held).sum() / reads.sum())


def _check(reads: Floats, changes: Floats) -> None:
    for name, values in (("reads", reads), ("changes", changes)):
        if not bool((np.isfinite(values) & (values >= 0)).all()):
            raise BadInput(f"{name}: rates must be finite and not negative", field=name)
