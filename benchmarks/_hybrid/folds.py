"""Rolling folds in time, and the requests inside one.

A model knows what happened strictly before its fold. A request is placed where a user's next interaction has a strictly
later time than the one before, so that nothing of the same moment is known.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .data import Data, Ints

FIRST, STEP = 0.30, 0.05
FEWEST_PAST = 5
WANTED = 10
PER_USER = 20


@dataclass(frozen=True)
class Fold:
    """From ``start`` until before ``end`` (epoch seconds); ``number`` counts from 0."""

    number: int
    start: float
    end: float


@dataclass(frozen=True)
class Request:
    """One user after ``length`` interactions, at ``ts`` (epoch seconds).

    ``wanted`` are the known ones of the next ten items; ``label`` those of them that lie inside the fold.
    """

    user: int
    length: int
    ts: float
    wanted: Ints
    label: Ints


@dataclass(frozen=True)
class Asked:
    """The requests of a fold; how many of the next items were ``known``, of how many ``following``."""

    requests: Sequence[Request]
    known: int
    following: int


def make_folds(data: Data) -> list[Fold]:
    """Split the time after the 30 % quantile of interactions into folds of 5 % each."""
    count = round((1.0 - FIRST) / STEP)
    edges = [float(np.quantile(data.ts, FIRST + STEP * n, method="lower")) for n in range(count)]
    edges = [*sorted(set(edges)), np.inf]
    return [Fold(n, start, end) for n, (start, end) in enumerate(itertools.pairwise(edges))]


def known_items(data: Data, fold: Fold) -> NDArray[np.bool_]:
    """Return which items somebody had interacted with before the fold."""
    known = np.zeros(data.items, dtype=np.bool_)
    known[data.item[data.ts < fold.start]] = True
    return known


def make_requests(data: Data, fold: Fold, *, per_user: int = PER_USER, seed: int = 7) -> Asked:
    """Draw a fold's requests: at most ``per_user`` of each user, each with something to find."""
    rng = np.random.default_rng((seed, fold.number))
    known = known_items(data, fold)
    found: list[Request] = []
    for user in np.unique(data.user[(data.ts >= fold.start) & (data.ts < fold.end)]).tolist():
        places = request_places(data, fold, user)
        chosen = np.sort(rng.permutation(places)[:per_user])
        found += [_request(data, fold, user, length, known) for length in chosen.tolist()]
    following = sum(min(WANTED, len(data.times(r.user)) - r.length) for r in found)
    kept = [request for request in found if len(request.wanted)]
    return Asked(kept, sum(len(r.wanted) for r in found), following)


def request_places(data: Data, fold: Fold, user: int) -> Ints:
    """Return the lengths of history at which the user may ask: enough past, and the next item strictly later."""
    ts = data.times(user)
    later = np.flatnonzero(np.diff(ts, prepend=-np.inf) > 0)
    inside = (ts[later] >= fold.start) & (ts[later] < fold.end)
    return later[inside & (later >= FEWEST_PAST)]


def _request(data: Data, fold: Fold, user: int, length: int, known: NDArray[np.bool_]) -> Request:
    following = slice(data.bounds[user] + length, min(data.bounds[user] + length + WANTED, data.bounds[user + 1]))
    items, ts = data.item[following], data.ts[following]
    is_known = known[items]
    return Request(user, length, float(ts[0]), items[is_known], items[is_known & (ts < fold.end)])
