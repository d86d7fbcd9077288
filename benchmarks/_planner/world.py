"""A shop's requests, drawn: 50,000 users and 4,000 requests a day, the design's example at one hundredth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parbake_planner.forecast.request_log import DAY, RequestLog, checked

USERS, REQUESTS_A_DAY, SCALE = 50_000, 4_000.0, 100
WIDTH, A_DAY, WEEK = 6 * 3600.0, 4, 28
"""Seconds of a freshness window, and how many make a day and a week."""
MONDAY = 1_791_763_200.0
SESSION, PAUSE_S, SWING = 1.4, 120.0, 0.6
"""Mean requests of a session, seconds between them, and how much the hour of the day matters."""
ON = 0.25
"""Share of weeks in which a user of the on/off kind comes at all."""


@dataclass(frozen=True)
class Kind:
    """How requests spread over users: ``rank ** -zipf``, and whether users are away in most weeks."""

    name: str
    zipf: float
    on_off: bool = False


KINDS = (
    Kind("Zipf 1.0", 1.0),
    Kind("Zipf 1.0, on/off weeks", 1.0, on_off=True),
    Kind("Zipf 1.2", 1.2),
    Kind("Zipf 0.8", 0.8),
    Kind("uniform", 0.0),
)


@dataclass(frozen=True)
class World:
    """A log with the chance that each user comes in each window (windows, users), as drawn from.

    ``usual`` (windows, users) is the number of sessions that were expected before it was drawn who is away.
    """

    log: RequestLog
    chance: NDArray[np.float32]
    usual: NDArray[np.float32]


def drawn(kind: Kind, seed: int, *, days: int, users: int = USERS, requests: float = REQUESTS_A_DAY) -> World:
    """Draw sessions by a Poisson process per user and window, each of a geometric number of requests."""
    rng = np.random.default_rng(seed)
    rate = np.arange(1, users + 1.0) ** -kind.zipf
    rate *= requests / SESSION / rate.sum() / A_DAY
    rng.shuffle(rate)
    hours = 1 + SWING * np.cos((np.arange(A_DAY) / A_DAY + 0.125 - 0.75) * 2 * np.pi)
    weeks = -(-days * A_DAY // WEEK)
    here = (rng.random((weeks, users)) < ON) / ON if kind.on_off else np.ones((weeks, users))
    chance, usual = (np.empty((days * A_DAY, users), dtype=np.float32) for _ in range(2))
    keys, times = [], []
    for window in range(days * A_DAY):
        usual[window] = rate * hours[window % A_DAY]
        expected = rate * hours[window % A_DAY] * here[window // WEEK]
        chance[window] = -np.expm1(-expected)
        who, when = _sessions(rng, expected, MONDAY + window * WIDTH)
        keys.append(who)
        times.append(when)
    key, time = np.concatenate(keys).astype(np.int32), np.concatenate(times)
    within = time < MONDAY + days * DAY
    log = checked(key[within], time[within], keys=int(key.max()) + 1, now=MONDAY + 1e9, population=users)
    return World(log, chance, usual)


def _sessions(rng: np.random.Generator, expected: NDArray[np.float64], begin: float) -> tuple[object, object]:
    count = int(rng.poisson(expected.sum()))
    who = rng.choice(len(expected), count, p=expected / expected.sum())
    start = begin + rng.random(count) * WIDTH
    length = rng.geometric(1 / SESSION, count)
    first = np.cumsum(length) - length
    pauses = rng.exponential(PAUSE_S, int(length.sum()))
    pauses[first] = 0
    passed = np.cumsum(pauses)
    return np.repeat(who, length), np.repeat(start, length) + passed - np.repeat(passed[first], length)
