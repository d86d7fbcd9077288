"""What is frozen at the start of a fold, and the candidate lists that it yields for any point of any history."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from retail_assistant.recs.als import AlsModel

from .data import Data, Ints, Rows
from .features import FEATURES, Shelf, make_rows, make_shelf
from .folds import Fold, Request
from .models import Settings, fold_in_prefixes, train_factors

LONGEST = 200
Point = tuple[int, int]
"""A user, and how many interactions are known."""


@dataclass(frozen=True)
class Board:
    """The lists of many requests, padded to one length; all but ``rows`` are (requests, 200).

    ``place`` is the place in the list as stored (an item that the live filter drops leaves a gap, -1 marks padding),
    ``items`` the item, ``rows`` (requests, 200, 19) the features.
    """

    items: Ints
    place: Ints
    rows: Rows


@dataclass
class Station:
    """The models of one fold, and what was computed with them so far."""

    data: Data
    model: AlsModel
    shelf: Shelf
    settings: Settings
    vectors: dict[Point, Rows] = field(default_factory=dict)
    lists: dict[Point, tuple[Ints, Rows]] = field(default_factory=dict)

    @cached_property
    def is_hidden(self) -> NDArray[np.bool_]:
        """The items that nobody had touched: without factors, they are never candidates."""
        return ~self.model.matrix.any(axis=1)

    def prepare(self, points: Iterable[Point]) -> None:
        """Fold in the histories that are new, and make their lists without what each user had by then."""
        missing = sorted({point for point in points if point not in self.vectors})
        for user, own in itertools.groupby(missing, key=operator.itemgetter(0)):
            lengths = [length for _, length in own]
            past = self.data.past(user, lengths[-1])
            vectors = fold_in_prefixes(self.model, past, lengths, self.settings.confidence)
            scores = vectors @ self.model.matrix.T
            scores[:, self.is_hidden] = -np.inf
            for length, vector, row in zip(lengths, vectors, scores, strict=True):
                row[past[:length]] = -np.inf
                self.vectors[user, length] = vector
                self.lists[user, length] = best(row, LONGEST) if length else self._popular()

    def _popular(self) -> tuple[Ints, Rows]:
        """The list of a user without a past: what is trending."""
        items = self.shelf.trending[:LONGEST]
        return items, np.zeros(len(items), dtype=np.float32)

    def board(self, requests: Sequence[Request], lists: Ints, pasts: Ints) -> Board:
        """Lay out each request's list as made after ``lists`` interactions, filtered and described after ``pasts``."""
        users = [request.user for request in requests]
        made = list(zip(users, np.maximum(lists, 0).tolist(), strict=True))
        now = list(zip(users, np.maximum(pasts, 0).tolist(), strict=True))
        self.prepare([*made, *now])
        items = np.full((len(users), LONGEST), -1)
        place = np.full((len(users), LONGEST), -1)
        rows = np.zeros((len(users), LONGEST, len(FEATURES)), dtype=np.float32)
        is_owned = np.zeros(self.data.items, dtype=np.bool_)
        for n, (before, after) in enumerate(zip(made, now, strict=True)):
            past, (listed, scores) = self.data.past(*after), self.lists[before]
            is_owned[past] = True
            kept = np.flatnonzero(~is_owned[listed])
            is_owned[past] = False
            items[n, : len(kept)], place[n, : len(kept)] = listed[kept], kept
            if len(past):
                rows[n, : len(kept)] = make_rows(self.shelf, listed[kept], scores[kept], past, self.vectors[after])
        return Board(items, place, rows)


def make_station(data: Data, fold: Fold, settings: Settings) -> Station:
    """Train on what happened strictly before the fold."""
    model = train_factors(data, fold.start, settings)
    return Station(data, model, make_shelf(data, model, fold.start, settings.half_life_days), settings)


def best(scores: Rows, top: int) -> tuple[Ints, Rows]:
    """Return the ``top`` items and scores, best first, without those at minus infinity."""
    top = min(top, len(scores))
    chosen = np.argpartition(scores, -top)[-top:]
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    chosen = chosen[scores[chosen] > -np.inf]
    return chosen, scores[chosen]


def relevance(board: Board, wanted: Sequence[Ints], items: int) -> NDArray[np.bool_]:
    """Return which listed items are wanted (requests, 200)."""
    is_wanted = np.zeros(items + 1, dtype=np.bool_)  # the last one stands for padding
    found = np.zeros(board.items.shape, dtype=np.bool_)
    for n, some in enumerate(wanted):
        is_wanted[some] = True
        found[n] = is_wanted[board.items[n]]
        is_wanted[some] = False
    return found
