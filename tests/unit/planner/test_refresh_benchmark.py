"""The refresh intervals of ``make bench NAME=planner``, checked by formulas and a simulation."""

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parbake.errors import BadInput

BENCHMARKS = str(Path(__file__).parents[3] / "benchmarks")
positive = st.floats(1e-3, 1e3)


@pytest.fixture(scope="module")
def refresh():
    """Return the module of intervals, imported as the benchmarks import it."""
    sys.path.insert(0, BENCHMARKS)
    try:
        from _planner import refresh

        return refresh
    finally:
        sys.path.remove(BENCHMARKS)


def population(seed=0, keys=2_000):
    """Draw reads and changes per day."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(0, 2, keys)), np.exp(rng.normal(-1, 2, keys))


def test_the_share_of_stale_reads_is_what_a_simulation_finds(refresh):
    """The formula for the stale share equals a simulation with random changes."""
    rng, rate, interval = np.random.default_rng(0), 0.7, 2.0
    first = rng.exponential(1 / rate, 200_000)
    read = rng.random(200_000) * interval
    assert float(refresh.stale_share(np.asarray([rate]), interval)[0]) == pytest.approx(
        (read > first).mean(), abs=0.005
    )


@given(reads=positive, changes=positive, cost=positive, stale=positive)
def test_no_interval_on_the_grid_is_cheaper_than_the_chosen_one(refresh, reads, changes, cost, stale):
    """No interval on the grid, and not never refreshing, is cheaper; infinity is chosen if refreshing never pays."""
    one, two = np.asarray([reads]), np.asarray([changes])
    chosen = refresh.per_key(one, two, refresh=cost, stale=stale)
    costs = [
        float(refresh.cost_rate(one, two, t, refresh=cost, stale=stale)[0])
        for t in (chosen[0], *refresh.GRID, math.inf)
    ]
    assert costs[0] <= min(costs) * (1 + 1e-9)
    if stale * reads <= cost * changes:
        assert chosen[0] == math.inf


def test_for_rare_changes_the_square_root_law_holds(refresh):
    """For rare changes the chosen interval is the one nearest to the square-root law."""
    law = math.sqrt(2 * 0.01 / (1.0 * 10 * 0.02))
    chosen = refresh.per_key(np.asarray([10.0]), np.asarray([0.02]), refresh=0.01, stale=1.0)[0]
    near = min(refresh.GRID, key=lambda t: abs(math.log(t / law)))
    assert chosen == near


def test_each_key_its_own_interval_is_cheaper_than_one_for_all(refresh):
    """If reads and changes vary widely, one interval for all costs over 1.5 times as much as one per key."""
    reads, changes = population()
    prices = {"refresh": 0.00012, "stale": 0.001}
    each, one = refresh.per_key(reads, changes, **prices), refresh.single(reads, changes, **prices)
    costs = [float(refresh.cost_rate(reads, changes, t, **prices).sum()) for t in (one, each)]
    assert costs[0] / costs[1] > 1.5


def test_a_budget_is_spent_where_it_makes_most_reads_fresh(refresh):
    """The whole budget is spent, and shifting it between keys lowers the fresh share."""
    reads, changes = population()
    rates = refresh.under_budget(reads, changes, 2_000.0)
    assert rates.sum() == pytest.approx(2_000.0)
    best = refresh.fresh_share(reads, changes, rates, evenly=False)
    rng = np.random.default_rng(0)
    for one, other in itertools.pairwise(rng.choice(np.flatnonzero(rates > 0.1), 40, replace=False)):
        moved = rates.copy()
        moved[one] -= 0.05
        moved[other] += 0.05
        assert refresh.fresh_share(reads, changes, moved, evenly=False) < best
    assert refresh.fresh_share(reads, changes, rates) >= refresh.fresh_share(reads, changes, np.full(2_000, 4.0))


def test_bad_rates_and_budgets_are_refused(refresh):
    """Invalid rates and budgets are refused; keys without changes need no refresh."""
    reads, changes = population(keys=10)
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(BadInput, match="changes"):
            refresh.per_key(reads, np.full(10, wrong), refresh=1.0, stale=1.0)
    with pytest.raises(BadInput, match="budget"):
        refresh.under_budget(reads, changes, 0.0)
    assert refresh.under_budget(reads, np.zeros(10), 5.0).sum() == 0
    assert refresh.fresh_share(reads, np.zeros(10), np.zeros(10)) == 1.0
