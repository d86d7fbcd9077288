"""Comparing times of computations with each other, so that no test depends on how fast a machine is.

The clock is that of the thread's own CPU time, so that other processes do not count.
"""

import statistics
import time

ROUNDS = 9
MOST_TIMES = 3.0
"""Twice the input takes twice the time if the time is linear, and four times the time if it is quadratic."""


def cpu_s(work):
    """Return the CPU seconds that a call takes."""
    started_s = time.thread_time()
    work()
    return time.thread_time() - started_s


def times_as_long(work, *others, rounds=ROUNDS):
    """Return how many times as long as each of some other calls a call takes, as medians of rounds.

    A round makes each call once, so that a moment in which the machine is slow slows all of them.
    """
    ratios = []
    for _ in range(rounds):
        work_s, *others_s = map(cpu_s, (work, *others))
        ratios.append([work_s / other_s for other_s in others_s])
    return [statistics.median(column) for column in zip(*ratios, strict=True)]
