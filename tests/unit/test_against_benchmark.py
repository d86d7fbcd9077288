"""How ``make bench NAME=against`` takes turns, counts and judges."""

import json
import sys
import types
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    """Return the benchmark's modules, imported as they import each other."""
    paths = [str(BENCHMARKS), str(BENCHMARKS / "_against")]
    sys.path[:0] = paths
    try:
        import against
        import speak
        from _against import rounds

        return types.SimpleNamespace(against=against, rounds=rounds, speak=speak)
    finally:
        for path in paths:
            sys.path.remove(path)


@pytest.mark.parametrize("sides", ["ab", "abc"])
def test_every_side_is_as_often_first_as_every_other(bench, sides):
    """Over as many turns as there are orders, each side comes equally often at each place."""
    orders = [bench.rounds.rotated(sides, turn) for turn in range(2 * len(sides))]
    for place in zip(*orders, strict=True):
        assert {place.count(side) for side in sides} == {2}


def test_a_goal_is_the_median_ratio_of_neighbours(bench, capsys):
    """A machine that becomes slower changes no ratio, and a figure without a goal is not judged."""
    slower = [1.0, 2.0, 30.0]
    found = {
        "now": {"read_wall": [1.1 * one for one in slower], "compute_wall": slower},
        "e1486a0": {"read_wall": slower, "compute_wall": slower},
    }
    bench.against.show(found, ["e1486a0"])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["figures"]["read_wall_to_e1486a0"] == pytest.approx(1.1)
    assert [goal["met"] for goal in said["goals"]] == [False]


def test_a_side_that_imports_foreign_code_ends(bench, tmp_path):
    """A module from outside of the side's folder ends its script."""
    bench.speak.check_own(str(BENCHMARKS), bench.against)
    with pytest.raises(SystemExit, match="not below"):
        bench.speak.check_own(str(tmp_path), bench.against)
