"""The checks of the fault benchmarks, run on histories that are known to be right or wrong."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def checks():
    """Return the module of the checks, imported as the benchmarks import it."""
    sys.path.insert(0, BENCHMARKS)
    try:
        import _faults_checks

        return _faults_checks
    finally:
        sys.path.remove(BENCHMARKS)


@pytest.fixture
def history(checks):
    """Return a function that makes events from tuples: operation, begin, end, then seen, new and done."""

    def make(*rows):
        made = []
        for op, begin, end, *told in rows:
            if op == "get":
                made.append(checks.Event(op, begin, end, "x", seen=told[0]))
            elif op == "swap":
                made.append(checks.Event(op, begin, end, "x", seen=told[0], new=told[1], done=told[2]))
            else:
                made.append(checks.Event(op, begin, end, "x", version=told[0]))
        return made

    return make


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("swap", 0, 1, "", "a", True), ("get", 2, 3, "a")],
        [("swap", 0, 3, "", "a", True), ("get", 1, 2, "")],
        [("swap", 0, 3, "", "a", True), ("get", 1, 2, "a")],
        [("swap", 0, 2, "", "a", True), ("swap", 1, 3, "", "b", False), ("get", 4, 5, "a")],
        [("swap", 0, 2, "", "a", True), ("swap", 1, 3, "a", "b", True), ("get", 4, 5, "b")],
        [("swap", 0, 1, "", "a", None), ("get", 2, 3, "")],
        [("swap", 0, 1, "", "a", None), ("get", 2, 3, "a")],
        [("swap", 0, 1, "", "a", None), ("get", 2, 3, ""), ("get", 4, 5, "a")],
        [("swap", 0, 5, "", "a", True), ("swap", 0, 5, "a", "b", True), ("swap", 0, 5, "b", "c", True)],
    ],
)
def test_histories_with_an_order_pass(checks, history, rows):
    """A history passes if some order explains it; an unanswered operation may take effect later, or never."""
    assert checks.is_linearizable(history(*rows))


@pytest.mark.parametrize(
    "rows",
    [
        [("swap", 0, 1, "", "a", True), ("get", 2, 3, "")],
        [("swap", 0, 1, "", "a", True), ("swap", 0, 1, "", "b", True)],
        [("swap", 0, 1, "", "a", False)],
        [("get", 0, 1, "a"), ("swap", 2, 3, "", "a", True)],
        [("swap", 0, 9, "", "a", True), ("get", 1, 2, "a"), ("get", 3, 4, "")],
        [("swap", 0, 1, "", "a", None), ("get", 2, 3, "a"), ("get", 4, 5, "")],
        [("swap", 0, 1, "", "a", None), ("swap", 2, 3, "", "b", True), ("get", 4, 5, "a")],
    ],
)
def test_histories_without_an_order_are_found(checks, history, rows):
    """A lost or doubled swap, a value read before its write, and a value that goes back are detected."""
    assert not checks.is_linearizable(history(*rows))


def test_a_long_history_with_unknown_outcomes_ends(checks, history):
    """The check of 200 operations, 30 of them with unknown outcome, terminates."""
    rows = [("swap", n, n + 0.5, str(n) if n else "", str(n + 1), True) for n in range(170)]
    rows += [("swap", n, n + 1, f"{n}?", "never", None) for n in range(30)]
    assert checks.is_linearizable(history(*rows))
    assert not checks.is_linearizable(history(*rows, ("get", 300, 301, "7")))


def test_a_read_is_bound_by_what_was_acknowledged_before_it_began(checks, history):
    """A read that begins after an acknowledgement must not see an older version."""
    acks = [("ack", 0, 1, 1), ("ack", 2, 3, 2), ("ack", 0, 4, 1)]
    allowed = [("read", 2.5, 5, 1), ("read", 3.5, 4, 2), ("read", 5, 6, 3), ("read", 5, 6, None), ("read", 0, 9, 0)]
    assert checks.behind(history(*acks, *allowed)) == []
    assert len(checks.behind(history(*acks, ("read", 3.5, 4, 1), ("read", 4.5, 5, 1), ("read", 1.5, 2, 0)))) == 3
