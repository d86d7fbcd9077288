"""The next window: which keys a plan computes ahead for it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from parbake_planner.breakeven import Prices
from parbake_planner.forecast.predictors import HabitPredictor, Predictor
from parbake_planner.forecast.request_log import DAY, Codes, RequestLog, checked
from parbake_planner.forecast.windows import Windows, between
from parbake_planner.per_key import Activity, PerKey

_MINUTE = 60.0


def from_minutes(rows: Iterable[tuple[int, bytes, int]], *, now: float, population: int | None = None) -> RequestLog:
    """Make a request log from counts per minute. The requests of a minute are spread evenly over it.

    Args:
        rows: One entry per minute and key: the minute since the epoch, the key's name, and the number of requests.
        now: The time at which the log ends, in epoch seconds.
        population: The number of keys that exist. Requested keys always count.

    Returns:
        The log. Keys are numbered in the order of their first appearance in ``rows``.

    Raises:
        BadInput: There was no request.
    """
    codes: dict[bytes, int] = {}
    keys, minutes, counts = [], [], []
    for minute, name, count in rows:
        keys.append(codes.setdefault(name, len(codes)))
        minutes.append(minute)
        counts.append(count)
    times = np.array(counts, dtype=np.int64)
    key = np.repeat(np.array(keys, dtype=np.int32), times)
    place = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
    time = np.repeat(np.array(minutes, dtype=np.float64) * _MINUTE, times) + _MINUTE * (place + 0.5) / np.repeat(
        times, times
    )
    everybody = None if population is None else max(population, len(codes))
    return checked(key, time, keys=len(codes), names=tuple(codes), now=now, population=everybody)


def until(log: RequestLog, width: float, now: float) -> Windows:
    """Cut a log into windows so that the last one ends now and the next one is the window to plan for.

    Args:
        log: The requests.
        width: The length of a window, in seconds.
        now: The end of the last window, in epoch seconds.
    """
    count = max(1, math.ceil((now - log.time[0]) / width))
    return between(log, now - width * np.arange(count, -1, -1.0), width)


def picks(
    log: RequestLog, prices: Prices, *, sla_s: float, now: float, predictor: Predictor | None = None
) -> tuple[Codes, float | None]:
    """Choose the keys that are worth computing now.

    Args:
        log: The requests until now.
        prices: What it costs to compute, store and miss a result.
        sla_s: How long a result may be served, in seconds.
        now: The current time, in epoch seconds.
        predictor: Predicts how likely each key is to be requested; :class:`HabitPredictor` by default.

    Returns:
        The keys, as positions in ``log.names``, and the mean of their request probabilities (``None`` if no key is
        worth computing).
    """
    windows = until(log, sla_s, now)
    policy = PerKey(Activity(log, windows), prices, predictor or HabitPredictor(), (windows.count,))
    keys = policy.picks(windows.count, np.full(log.keys, now - DAY))
    return keys, float(policy.chance(keys, windows.count).mean()) if len(keys) else None
