"""What a loop's clock tells: whether the loop had a moment without work."""

import threading
import time

import pytest

from parbake.process.loop_time import LoopClock


def spin(seconds):
    """Work for so long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@pytest.fixture
def clock():
    """Return a clock that has just been started."""
    found = LoopClock()
    found.restart()
    return found


def test_a_thread_that_sleeps_has_rested(clock):
    """A thread that gave up its processor had nothing to do."""
    time.sleep(0.01)
    spent = clock.read()
    assert spent.has_rested
    assert spent.worked_s < spent.passed_s


def test_a_thread_that_works_all_the_time_has_not_rested(clock):
    """A thread that never gave up its processor had always something to do, whoever else had it meanwhile."""
    spin(0.03)
    spent = clock.read()
    assert not spent.has_rested
    assert spent.worked_s >= 0.03
    assert spent.worked_s + spent.kept_s <= spent.passed_s + 0.001


def test_a_thread_that_waits_for_a_busy_one_of_its_process_has_not_rested(clock):
    """While another thread works, this one may have waited for the interpreter, or for what that one computes."""
    other = threading.Thread(target=spin, args=(0.05,))
    other.start()
    other.join()
    spent = clock.read()
    assert spent.others_s >= 0.04
    assert not spent.has_rested


def test_a_system_that_counts_no_time_of_threads_says_nothing(monkeypatch):
    """Where the file is missing nothing is known, and nothing fails."""
    monkeypatch.setattr("parbake.process.loop_time._SCHEDSTAT", "/proc/none")
    clock = LoopClock()
    clock.restart()
    assert clock.read() is None
