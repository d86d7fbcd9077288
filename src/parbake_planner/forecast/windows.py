"""Freshness windows: the time of a request log, cut into the spans for which one result is stored."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parbake_planner.forecast.request_log import DAY, Flags, RequestLog


@dataclass(frozen=True, slots=True)
class Windows:
    """Time cut into freshness windows.

    Attributes:
        start: Begin of the first window, in epoch seconds.
        width: Length of a window, in seconds.
        bounds: Row of the log at which each window begins, and the end of the last one, shape (count + 1,).
        usable: False for a window with a gap or a clock jump, or one that the log covers only in part, shape (count,).
        known: Per key, the first window that begins after the key is known (0 for all if the population is known).
    """

    start: float
    width: float
    bounds: NDArray[np.int64]
    usable: Flags
    known: NDArray[np.int32]

    @property
    def count(self) -> int:
        """Number of windows."""
        return len(self.usable)

    def begin(self, window: int) -> float:
        """Begin of a window, in epoch seconds."""
        return self.start + window * self.width


def cut(log: RequestLog, width: float) -> Windows:
    """Cut a log into windows, from the begin of its first UTC day or, if ``width`` is shorter, a multiple of it."""
    grid = min(width, DAY)
    start = math.floor(log.time[0] / grid) * grid
    edges = start + np.arange(int((log.time[-1] - start) // width) + 2) * width
    found = between(log, edges, width)
    found.usable[-1] &= bool(log.time[-1] >= edges[-1] - width / 100)
    return found


def between(log: RequestLog, edges: NDArray[np.float64], width: float) -> Windows:
    """Cut a log into windows between given edges.

    Args:
        log: The requests.
        edges: The begin of each window and the end of the last, in epoch seconds, shape (windows + 1,).
        width: The length of a window, in seconds.
    """
    start, count = float(edges[0]), len(edges) - 1
    usable = np.ones(count, dtype=np.bool_)
    usable[0] = log.time[0] <= start + width / 2
    for begin, end in log.left_out:
        usable[max(0, int((begin - start) // width)) : int((end - start) // width) + 1] = False
    known = np.full(log.keys, 0 if log.population else count, dtype=np.int32)
    if not log.population:
        keys, rows = np.unique(log.key, return_index=True)
        known[keys] = np.minimum((log.time[rows] - start) // width + 1, count)
    return Windows(start, width, np.searchsorted(log.time, edges), usable, known)
