"""What each method shows at each request of a fold, told as which of the five places were wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .data import Data, Floats, Ints, Rows
from .folds import Request
from .judge import DEPTH
from .models import Examples, Reranker
from .station import LONGEST, Board, Station, relevance

COUNTS = (20, 50, 100, 200)
AGES = (0, 1, 2, 5, 10, 20)
STORED_AGE = 5
LEARNED = 100
FULL, HYBRID, EVENTS = "full real-time", "hybrid", "hybrid + events"
STORED, STORED_FILTERED = "fully precomputed", "fully precomputed, owned items filtered"
TRENDING, BASE = "trending", "fresh base order, no context"
LINEAR, TREES = "linear", "LightGBM"
Hits = NDArray[np.bool_]


@dataclass(frozen=True)
class Way:
    """One way to answer. ``age`` is the age of the stored list in interactions; ``scorer`` is empty for none."""

    approach: str
    scorer: str = ""
    count: int = LONGEST
    age: int = 0


def lengths(requests: Sequence[Request]) -> Ints:
    """How many interactions each request knows."""
    return np.array([request.length for request in requests], dtype=np.int64)


def unprocessed(data: Data, requests: Sequence[Request], delay_s: float) -> Ints:
    """How many interactions before each request are younger than ``delay_s``, so that no refresh has seen them yet."""
    known = [data.times(request.user)[: request.length] for request in requests]
    return np.array([(ts > r.ts - delay_s).sum() for ts, r in zip(known, requests, strict=True)], dtype=np.int64)


def add_examples(station: Station, requests: Sequence[Request], *, fresh: Examples, mixed: Examples, seed: int) -> None:
    """Add a fold's lists to what later folds learn from, fresh ones and ones of mixed ages; labels end with the fold.

    In a fresh list the list's score and the live one are the same: a reranker that saw only such lists does not know
    what their difference means. It has to learn from lists as they are served.
    """
    now = lengths(requests)
    ages = np.random.default_rng((seed, len(requests))).choice(AGES, size=len(requests))
    labels = [request.label for request in requests]
    for examples, lists in ((fresh, now), (mixed, now - ages)):
        board = station.board(requests, lists, now)
        wanted = relevance(board, labels, station.data.items).astype(np.float64)
        for rows, place, label in zip(board.rows, board.place, wanted, strict=True):
            chosen = (place >= 0) & (place < LEARNED)
            examples.add(rows[chosen], label[chosen])


@dataclass(frozen=True)
class Scored:
    """A board with each scorer's scores (requests, 200) and which items are wanted."""

    place: Ints
    is_wanted: Hits
    scores: dict[str, Floats]

    def hits(self, approach: str, age: int) -> Iterator[tuple[Way, Hits]]:
        """Yield the hits of each scorer and length of list."""
        for name, scores in self.scores.items():
            for count in COUNTS:
                yield Way(approach, name, count, age), top_hits(scores, self.place, self.is_wanted, count)

    def where(self, choose: NDArray[np.bool_], other: Scored) -> Scored:
        """Return these lists where ``choose`` (requests,), and the other's elsewhere."""
        pick = choose[:, None]
        scores = {name: np.where(pick, mine, other.scores[name]) for name, mine in self.scores.items()}
        return Scored(np.where(pick, self.place, other.place), np.where(pick, self.is_wanted, other.is_wanted), scores)

    def without(self, dropped: NDArray[np.bool_]) -> Scored:
        """Return the lists without some items (requests, 200)."""
        return Scored(np.where(dropped, -1, self.place), self.is_wanted, self.scores)


def shown(
    station: Station, requests: Sequence[Request], reranker: Reranker, delay_s: float
) -> Iterator[tuple[Way, Hits]]:
    """Yield the hits (requests, 5) of every way to answer; one reranker serves them all."""
    now, lag = lengths(requests), unprocessed(station.data, requests, delay_s)

    def scored(lists: Ints, pasts: Ints) -> Scored:
        return score(station, station.board(requests, lists, pasts), requests, reranker)

    full, refreshed = scored(now, now), scored(now - np.minimum(lag, AGES[-1]), now)
    yield from full.hits(FULL, 0)
    yield Way(BASE), full.is_wanted[:, :DEPTH]
    yield Way(TRENDING), trending_hits(station.data, station.shelf.trending, requests)
    owned = [station.data.past(request.user, request.length) for request in requests]
    for age in AGES:
        aged = scored(now - age, now) if age else full
        yield from aged.hits(HYBRID, age)
        yield from refreshed.where(lag < age, aged).hits(EVENTS, age)
    before = station.board(requests, now - STORED_AGE, now - STORED_AGE)
    stored = score(station, before, requests, reranker)
    yield from stored.hits(STORED, STORED_AGE)
    yield from stored.without(relevance(before, owned, station.data.items)).hits(STORED_FILTERED, STORED_AGE)


def score(station: Station, board: Board, requests: Sequence[Request], reranker: Reranker) -> Scored:
    """Score every listed item with both scorers."""
    listed, found = board.place >= 0, {}
    scorers: dict[str, Callable[[Rows], Rows | Floats]] = {LINEAR: reranker.linear, TREES: reranker.boosted}
    for name, scorer in scorers.items():
        found[name] = np.full(board.place.shape, -np.inf)
        found[name][listed] = scorer(board.rows[listed])
    return Scored(board.place, relevance(board, [r.wanted for r in requests], station.data.items), found)


def top_hits(scores: Floats, place: Ints, is_wanted: Hits, count: int) -> Hits:
    """Return which of the five best of the first ``count`` places were wanted; equal scores keep the list's order."""
    within = np.where((place >= 0) & (place < count), scores, -np.inf)
    order = np.argsort(-within, axis=1, kind="stable")[:, :DEPTH]
    return np.take_along_axis(is_wanted, order, axis=1) & (np.take_along_axis(within, order, axis=1) > -np.inf)


def trending_hits(data: Data, trending: Ints, requests: Sequence[Request]) -> Hits:
    """Which of the five best of ``trending`` that a user does not have were wanted."""
    found = np.zeros((len(requests), DEPTH), dtype=np.bool_)
    for n, request in enumerate(requests):
        # The past hides at most as many of the best as it is long.
        best = trending[: request.length + DEPTH]
        left = best[~np.isin(best, data.past(request.user, request.length))][:DEPTH]
        found[n, : len(left)] = np.isin(left, request.wanted)
    return found
