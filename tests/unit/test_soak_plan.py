"""What ``make bench NAME=soak`` decides before its run, and how it counts afterwards."""

import itertools
import random
import sys
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def soak():
    """Return the module of the benchmark, imported as a script imports it."""
    sys.path.insert(0, BENCHMARKS)
    try:
        import soak

        return soak
    finally:
        sys.path.remove(BENCHMARKS)


@pytest.mark.parametrize("kind", ["lmdb", "valkey"])
def test_a_plan_is_known_before_the_run(soak, kind):
    """A seed gives one plan, in which windows do not overlap and every fault comes once before any comes again."""
    plan, again = (soak.planned(kind, 600.0, 20.0, random.Random(3)) for _ in range(2))
    assert plan == again
    assert plan != soak.planned(kind, 600.0, 20.0, random.Random(4))
    assert all(one.end <= after.at for one, after in itertools.pairwise(plan))
    assert plan[0].at >= soak.CALM_S
    assert plan[-1].end <= 600.0
    first = plan[: len(soak.FAULTS[kind])]
    assert {one.fault for one in first} == set(soak.FAULTS[kind])


def test_a_request_that_a_window_touches_is_in_it(soak):
    """A request counts as inside if any of its time is in the window, and as outside otherwise."""
    times = [(0.0, 0.9), (0.9, 1.1), (1.5, 1.6), (2.9, 3.2), (3.0, 3.1), (0.5, 4.0)]
    asked = [soak.Asked(begin, end, "note", "") for begin, end in times]
    assert [(one.begin, one.end) for one in soak.within(asked, 1.0, 3.0)] == [times[n] for n in (1, 2, 3, 5)]


def test_a_row_counts_only_right_answers(soak):
    """The share and the longest time without an answer leave out requests that went wrong."""
    asked = [soak.Asked(n / 10, n / 10 + 0.01, "note", "503" if 2 <= n < 8 else "") for n in range(10)]
    _, times, requests, right, share, _, longest = soak.row("kill", [(0.0, 1.0)], [asked])
    assert (times, requests, right) == (1, 10, 4)
    assert share == pytest.approx(40)
    assert longest == pytest.approx(0.7)


def test_growth_compares_the_first_quarter_with_the_last(soak):
    """A peak in between is not growth, and neither is one sample that is too high."""
    memory = [(float(n), 300.0 if 30 < n < 60 else 100.0 + 10.0 * (n >= 75)) for n in range(100)]
    memory[80] = (80.0, 900.0)
    assert soak.growth(memory, 100.0) == pytest.approx(10)
