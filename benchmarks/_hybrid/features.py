"""Nineteen features of a candidate: what is known of the item, and how it relates to what the user did last.

One function builds the rows for training, for judging and for the measured request. ``Shelf`` holds what is frozen at
a time: nothing in it knows an interaction at or after that time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from retail_assistant.recs.als import AlsModel

from .data import Data, Floats, Ints, Rows

STATIC = ("list_score", "list_rank", "popularity", "trend", "age", "stars", "norm", "history")
LAST = ("like_last", "like_last_3", "like_last_10", "like_any_of_10", "popularity_gap", "age_gap")
GENRE = ("genre_of_all", "genre_of_last_5", "genre_of_last")
LIVE = ("live_score", "live_gain")
FEATURES = (*STATIC, *LAST, *GENRE, *LIVE)
GROUPS = (("static", STATIC), ("+ last items", LAST), ("+ genre", GENRE), ("+ live fold-in", LIVE))
DAY = 86_400.0
_LATELY, _FEW, _LAST = 10, 5, 3
_NUMBERS = 5
_POPULARITY, _AGE, _NORM = 0, 2, 4
_LOG_RANKS = np.log1p(np.arange(1_000, dtype=np.float32))


@dataclass(frozen=True)
class Shelf:
    """The items as they were at a time.

    ``table`` is (items, dims + tags + 5), one row per item so that a request touches memory once for each: its factors
    at length 1, its tags at length 1 or 0, and log popularity, log decayed count, log age in days, mean stars, and the
    length of its factors. ``trending`` holds items, best first.
    """

    table: Rows
    dims: int
    trending: Ints


def make_shelf(data: Data, model: AlsModel, before: float, half_life_days: float) -> Shelf:
    """Lay out what was known strictly before a time (epoch seconds)."""
    seen = data.ts < before
    item, ts, stars = data.item[seen], data.ts[seen], data.stars[seen]
    decayed = decayed_counts(data, before, half_life_days)
    first = np.full(data.items, before)
    np.minimum.at(first, item, ts)
    rated = stars > 0
    means = np.bincount(item[rated], stars[rated], data.items) / np.maximum(
        np.bincount(item[rated], minlength=data.items), 1
    )
    norms = np.linalg.norm(model.matrix, axis=1)
    counts, days = np.bincount(item, minlength=data.items), (before - first) / DAY
    numbers = np.column_stack((np.log1p(counts), np.log1p(decayed), np.log1p(days), means, norms))
    directions = model.matrix / np.maximum(norms, 1e-12)[:, None]
    return Shelf(np.hstack((directions, data.tags, numbers), dtype=np.float32), model.dims, trending_order(decayed))


def decayed_counts(data: Data, before: float, half_life_days: float) -> Floats:
    """Return each item's count before a time, an interaction weighing half as much with each half-life."""
    seen = data.ts < before
    weights = np.exp2((data.ts[seen] - before) / (DAY * half_life_days))
    return np.bincount(data.item[seen], weights, data.items).astype(np.float64)


def trending_order(decayed: Floats) -> Ints:
    """Return the items with a count, the highest first."""
    order = np.argsort(-decayed, kind="stable")
    return order[: int((decayed > 0).sum())]


def make_rows(shelf: Shelf, items: Ints, listed: Rows, past: Ints, live: Rows) -> Rows:
    """Return the features (items, 19) of a list.

    ``items`` and ``listed``, their scores when the list was made, come in the list's order; ``past`` is what the user
    has, oldest first; ``live`` (dims,) the vector folded in from it.
    """
    columns = np.empty((len(FEATURES), len(items)), dtype=np.float32)
    listed_rows, known = shelf.table.take(items, axis=0), shelf.table.take(past, axis=0)
    numbers = listed_rows[:, -_NUMBERS:].T
    alike = _beside(known, live, shelf.dims) @ listed_rows.T
    near = alike[:-4]
    columns[0] = listed
    columns[1] = _LOG_RANKS[: len(items)]
    columns[2:7] = numbers
    columns[7] = math.log1p(len(past))
    columns[8] = near[-1]
    columns[9] = np.add.reduce(near[-_LAST:]) / _LAST
    columns[10] = np.add.reduce(near) / len(near)
    columns[11] = np.maximum.reduce(near)
    usual = np.add.reduce(known[-_FEW:, -_NUMBERS:]) / min(_FEW, len(past))
    columns[12] = np.abs(numbers[_POPULARITY] - usual[_POPULARITY])
    columns[13] = np.abs(numbers[_AGE] - usual[_AGE])
    columns[14:17] = alike[-3:]
    np.multiply(alike[-4], numbers[_NORM], out=columns[17])
    np.subtract(columns[17], columns[0], out=columns[18])
    return columns.T


def _beside(known: Rows, live: Rows, dims: int) -> Rows:
    """What the items are compared with, as rows of the table: the last items, the live vector, and three tastes."""
    count = min(_LATELY, len(known))
    beside = np.zeros((count + 4, known.shape[1]), dtype=np.float32)
    beside[:count, :dims] = known[-count:, :dims]
    beside[count, :dims] = live
    tags = known[:, dims:-_NUMBERS]
    for n, taste in enumerate((_unit(tags), _unit(tags[-_FEW:]), tags[-1]), start=count + 1):
        beside[n, dims:-_NUMBERS] = taste
    return beside


def _unit(rows: Rows) -> Rows:
    total = np.add.reduce(rows)
    return total / max(math.sqrt(float(total @ total)), 1e-9)
