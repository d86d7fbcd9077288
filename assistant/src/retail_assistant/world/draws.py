"""Random streams and array draws that the generator's parts share; all are functions of the seed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

T = TypeVar("T")

DAY = 86_400.0
_HOUR_WEIGHTS = np.array(
    [2, 1, 0.6, 0.4, 0.3, 0.5, 1.2, 2.4, 3.2, 3.4, 3.6, 4, 4.6, 4.2, 3.6, 3.6, 4, 4.8, 5.8, 7, 8, 8, 6, 3.8]
)
_HOUR_EDGES = np.cumsum(_HOUR_WEIGHTS) / _HOUR_WEIGHTS.sum()


def stream(seed: int, name: str, part: int = 0) -> np.random.Generator:
    """Return the random stream of a named part of the world; streams do not influence each other."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), part])


def pick(rng: np.random.Generator, among: Sequence[T]) -> T:
    """Return one item, all equally likely."""
    return among[int(rng.integers(len(among)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return true with a probability."""
    return bool(rng.random() < probability)


def chances(rng: np.random.Generator, size: int, probability: float) -> Flags:
    """Return ``size`` independent flags, each set with a probability."""
    return np.asarray(rng.random(size) < probability, dtype=np.bool_)


def clock_times(rng: np.random.Generator, size: int) -> Floats:
    """Return times of day in seconds, busiest in the evening."""
    u = rng.random(size)
    hour = np.searchsorted(_HOUR_EDGES, u, side="right").clip(0, 23)
    return (hour + rng.random(size)) * 3600.0


def moments(rng: np.random.Generator, size: int, *, start: float, days: int) -> Floats:
    """Return times in the ``days`` from ``start`` on (epoch seconds), all days alike, with the daily cycle in UTC."""
    since_midnight = start % DAY
    offset = np.floor(rng.random(size) * days) * DAY + clock_times(rng, size) - since_midnight
    return np.asarray(start + np.floor(offset % (days * DAY)), dtype=np.float64)


def choose_rows(rng: np.random.Generator, weights: NDArray[np.float32]) -> Ints:
    """Return for each row of ``weights`` (rows, choices) one column, with probability proportional to its weight."""
    edges = np.cumsum(weights, axis=1, dtype=np.float32)
    target = rng.random(len(weights), dtype=np.float32) * edges[:, -1]
    chosen = (edges < target[:, None]).sum(axis=1)
    return np.asarray(np.minimum(chosen, weights.shape[1] - 1), dtype=np.int64)


def zipf_weights(size: int, exponent: float) -> Floats:
    """Return ``size`` weights that sum to 1, falling as rank to the power of minus ``exponent``."""
    weights = np.arange(1, size + 1, dtype=np.float64) ** -exponent
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def repeat_index(counts: Ints) -> tuple[Ints, Ints]:
    """Return, for rows repeated ``counts`` times, each copy's row and its number within the row (from 0)."""
    rows = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    starts = np.cumsum(counts) - counts
    return rows, np.arange(len(rows), dtype=np.int64) - starts[rows]
