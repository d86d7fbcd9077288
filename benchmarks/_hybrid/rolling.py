"""The run over the folds: choose settings before the first test fold, then train on what is past and judge."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from . import judge
from .data import Data, Floats, Ints, Unusable
from .features import FEATURES, GROUPS, decayed_counts, trending_order
from .folds import Asked, Fold, Request, make_folds, make_requests
from .methods import (
    COUNTS,
    STORED_AGE,
    Hits,
    Way,
    add_examples,
    lengths,
    shown,
    top_hits,
    trending_hits,
    unprocessed,
)
from .models import Examples, Reranker, Settings, train_linear, train_reranker
from .station import Station, make_station, relevance

TUNED_FOLDS = 4
HALF_LIVES_DAYS = (7.0, 14.0, 30.0, 90.0, 365.0, 3_650.0)
GRID = ((10.0, 1.0), (10.0, 4.0), (30.0, 4.0), (100.0, 16.0))
MOST_LISTS = 2_000
WARM = 30
FRESH_ONLY, TOO_OLD = "learned from fresh lists only", f"the same on lists {STORED_AGE} interactions old"
Tick = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    per_user: int
    test_folds: int
    delay_s: float
    grid: Sequence[tuple[float, float]] = GRID


@dataclass(frozen=True)
class Outcome:
    """Scores of every way, request by request; the arrays run parallel. ``reranker`` is the last fold's."""

    settings: Settings
    tried: dict[str, float]
    users: Ints
    lengths: Ints
    ndcg: dict[Way, Floats]
    hit: dict[Way, Floats]
    ablation: dict[str, Floats]
    reranker: Reranker
    lag: Ints
    known: int
    following: int


def steps(plan: Plan) -> int:
    """How often a run ticks."""
    return len(plan.grid) + TUNED_FOLDS + plan.test_folds


def run(data: Data, plan: Plan, tick: Tick) -> Outcome:
    """Measure.

    Raises:
        Unusable: no fold holds a request, or no list a hit to learn from.
    """
    folds = make_folds(data)
    if len(folds) <= TUNED_FOLDS + 1:
        raise Unusable(f"the times of {data.name} fall into {len(folds)} distinct folds; at least 6 are needed")
    asked = {fold.number: make_requests(data, fold, per_user=plan.per_user) for fold in folds}
    early, tested = folds[:TUNED_FOLDS], folds[TUNED_FOLDS:][-plan.test_folds :]
    settings, tried = choose(data, early, asked, plan, tick)
    fresh, mixed, found = Examples(), Examples(), _Found()
    for fold in (*early, *tested):
        tick(f"fold {fold.number + 1} of {len(folds)}")
        requests = asked[fold.number].requests
        if not requests:
            continue
        station = make_station(data, fold, settings)
        if fold.number >= TUNED_FOLDS:
            if not fresh.rows or not mixed.rows:
                raise Unusable(f"no early list of {data.name} holds an item that its user went on to choose")
            found.judge(station, asked[fold.number], _latest(fresh), _latest(mixed), plan)
        add_examples(station, requests, fresh=fresh, mixed=mixed, seed=fold.number)
    return found.outcome(settings, tried)


def choose(
    data: Data, folds: Sequence[Fold], asked: dict[int, Asked], plan: Plan, tick: Tick
) -> tuple[Settings, dict[str, float]]:
    """Choose ALS by the NDCG@5 of its own order, and the half-life of trending by that of trending."""
    halves = {half: _judged(_trending(data, folds, asked, half)) for half in HALF_LIVES_DAYS}
    half_life = max(halves, key=lambda half: halves[half])
    found: dict[Settings, float] = {}
    for regularization, confidence in plan.grid:
        tick(f"ALS, regularization {regularization:g}, confidence {confidence:g}")
        settings = Settings(regularization, confidence, half_life)
        found[settings] = _judged(_base(data, folds, asked, settings))
    tried = {f"ALS {s.regularization:g}/{s.confidence:g}": score for s, score in found.items()}
    tried |= {f"trending {half:g} d": score for half, score in halves.items()}
    return max(found, key=lambda settings: found[settings]), tried


def _trending(
    data: Data, folds: Sequence[Fold], asked: dict[int, Asked], half: float
) -> Iterator[tuple[Hits, Sequence[Request]]]:
    for fold in folds:
        requests = asked[fold.number].requests
        yield trending_hits(data, trending_order(decayed_counts(data, fold.start, half)), requests), requests


def _base(
    data: Data, folds: Sequence[Fold], asked: dict[int, Asked], settings: Settings
) -> Iterator[tuple[Hits, Sequence[Request]]]:
    for fold in folds:
        requests = asked[fold.number].requests
        if requests:
            station, now = make_station(data, fold, settings), lengths(requests)
            board = station.board(requests, now, now)
            yield relevance(board, [r.wanted for r in requests], data.items)[:, : judge.DEPTH], requests


def _judged(parts: Iterator[tuple[Hits, Sequence[Request]]]) -> float:
    """The mean over users of NDCG@5."""
    scores, users = [np.empty(0)], [np.empty(0, dtype=np.int64)]
    for hits, requests in parts:
        scores.append(judge.ndcg(hits, _wanted(requests)))
        users.append(_users(requests))
    joined = np.concatenate(scores)
    return float(judge.by_user(joined, np.concatenate(users)).mean()) if len(joined) else 0.0


def _latest(examples: Examples) -> Examples:
    return Examples(examples.rows[-MOST_LISTS:], examples.labels[-MOST_LISTS:])


def _wanted(requests: Sequence[Request]) -> Ints:
    return np.array([len(request.wanted) for request in requests], dtype=np.int64)


def _users(requests: Sequence[Request]) -> Ints:
    return np.array([request.user for request in requests], dtype=np.int64)


class _Found:
    """Scores by fold, joined at the end."""

    def __init__(self) -> None:
        self.ndcg: dict[Way, list[Floats]] = {}
        self.hit: dict[Way, list[Floats]] = {}
        self.ablation: dict[str, list[Floats]] = {}
        self.requests: list[Request] = []
        self.reranker: Reranker | None = None
        self.lag: list[Ints] = []
        self.known = self.following = 0

    def judge(self, station: Station, asked: Asked, fresh: Examples, mixed: Examples, plan: Plan) -> None:
        """Judge every way on one fold."""
        requests, wanted = asked.requests, _wanted(asked.requests)
        self.reranker = train_reranker(mixed)
        for way, hits in shown(station, requests, self.reranker, plan.delay_s):
            self.ndcg.setdefault(way, []).append(judge.ndcg(hits, wanted))
            self.hit.setdefault(way, []).append(judge.hit_rate(hits))
        self._ablate(station, requests, fresh, mixed)
        self.requests += requests
        self.lag.append(unprocessed(station.data, requests, plan.delay_s))
        self.known, self.following = self.known + asked.known, self.following + asked.following

    def _ablate(self, station: Station, requests: Sequence[Request], fresh: Examples, mixed: Examples) -> None:
        """Full real-time, linear, with ever more kinds of features; and learned from fresh lists, for fresh and old."""
        kinds = list(itertools.accumulate(([FEATURES.index(n) for n in names] for _, names in GROUPS)))
        tried = {name: (train_linear(mixed, columns), 0) for (name, _), columns in zip(GROUPS, kinds, strict=True)}
        weights, now = train_linear(fresh), lengths(requests)
        for name, (used, age) in {**tried, FRESH_ONLY: (weights, 0), TOO_OLD: (weights, STORED_AGE)}.items():
            board = station.board(requests, now - age, now)
            is_wanted = relevance(board, [r.wanted for r in requests], station.data.items)
            hits = top_hits(board.rows @ used, board.place, is_wanted, COUNTS[-1])
            self.ablation.setdefault(name, []).append(judge.ndcg(hits, _wanted(requests)))

    def outcome(self, settings: Settings, tried: dict[str, float]) -> Outcome:
        """Join the folds."""
        if self.reranker is None:
            raise Unusable("no test fold holds a request: too few users come back")
        ndcg, hit = ({k: np.concatenate(v) for k, v in part.items()} for part in (self.ndcg, self.hit))
        ablation = {name: np.concatenate(parts) for name, parts in self.ablation.items()}
        return Outcome(
            settings, tried, _users(self.requests), lengths(self.requests), ndcg, hit, ablation, self.reranker,
            np.concatenate(self.lag), self.known, self.following,
        )  # fmt: skip
