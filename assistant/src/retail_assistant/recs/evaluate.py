"""Measures the recommendations: NDCG@10 on the held-out last week, with paired bootstrap intervals over shoppers.

Everything is trained on the log before the cut: the factors, the reranker (whose own labels are the week before the
cut) and the trending products. Each shopper who bought something in the last week and was known before it counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from retail_assistant.recs import als, rerank
from retail_assistant.recs.features import make_table
from retail_assistant.recs.log import DAY, Floats, Ints, Log
from retail_assistant.recs.trends import HALF_LIFE_DAYS, VIEW_SHARE

DEPTH = 10
HELD_OUT_DAYS = 7
RESAMPLES = 2_000
FEWEST_JUDGED = 10
MOST_JUDGED = 1_000
SEED = 7
_DISCOUNT: Floats = 1.0 / np.log2(np.arange(2, DEPTH + 2))


@dataclass(frozen=True)
class Interval:
    """A mean paired difference with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """NDCG@10 per shopper for each way to recommend; the arrays are parallel."""

    trending: Floats
    factors: Floats
    trees: Floats
    linear: Floats

    @property
    def factors_gain(self) -> Interval:
        """The mean NDCG@10 of the factors minus that of trending products."""
        return paired_interval(self.factors, self.trending)

    @property
    def reranker_gain(self) -> Interval:
        """The mean NDCG@10 of the reranked candidates minus that of their own order."""
        return paired_interval(self.trees, self.factors)


def evaluate(log: Log) -> Quality:
    """Train before the last week of a log, and score every method on that week."""
    cut = log.end - HELD_OUT_DAYS * DAY
    before, after = log.between(0.0, cut), log.between(cut, np.inf).purchases()
    shoppers = np.intersect1d(np.flatnonzero(np.diff(before.bounds())), after.who)
    lists = rerank.base_lists(als.train(before), before, shoppers)
    model = rerank.train(before)
    popular = _popular(before)
    bounds, sold, bought_at = before.bounds(), before.purchases(), after.bounds()
    sold_at = sold.bounds()
    scores = []
    for shopper, base in lists.items():
        past = rerank.past_of(before, bounds, shopper)
        owned = sold.item[sold_at[shopper] : sold_at[shopper + 1]]
        wanted = after.item[bought_at[shopper] : bought_at[shopper + 1]]
        shown = [rerank.rerank(model, base, past, top=DEPTH, is_short=is_short) for is_short in (False, True)]
        ranked = (popular[~np.isin(popular, owned)], *(_items(model, found) for found in (base, *shown)))
        scores.append([ndcg(found, wanted) for found in ranked])
    trending, factors, trees, linear = np.array(scores).reshape(-1, 4).T
    return Quality(trending, factors, trees, linear)


def reranker_gain(model: rerank.RerankerModel, log: Log) -> dict[str, Interval]:
    """Measure a trained reranker on the last week's purchases of the shoppers that its training left out.

    Returns reranked minus base order, NDCG@10, of the ``trees`` and the ``linear`` scorer; empty if too few such
    shoppers bought anything for a meaningful interval. Features are as of the beginning of the week, even if the
    model's own table is newer. It takes as long as training factors once.
    """
    cut = log.end - rerank.LABEL_DAYS * DAY
    before, after = log.between(0.0, cut), log.between(cut, np.inf).purchases()
    buyers = rerank.known_buyers(before, after)
    buyers = buyers[rerank.held_out(before, buyers)][:MOST_JUDGED]
    if len(buyers) < FEWEST_JUDGED:
        return {}
    model = msgspec.structs.replace(model, table=make_table(before))
    bounds, bought_at, scores = before.bounds(), after.bounds(), []
    for shopper, base in rerank.base_lists(als.train(before), before, buyers).items():
        past = rerank.past_of(before, bounds, shopper)
        wanted = after.item[bought_at[shopper] : bought_at[shopper + 1]]
        shown = [rerank.rerank(model, base, past, top=DEPTH, is_short=is_short) for is_short in (False, True)]
        scores.append([ndcg(_items(model, found), wanted) for found in (base, *shown)])
    own, trees, linear = np.array(scores).T
    return {"trees": paired_interval(trees, own), "linear": paired_interval(linear, own)}


def reranker_usable(model: rerank.RerankerModel, log: Log) -> str | None:
    """Return why a reranker must not be promoted (its order is provably worse than none); otherwise ``None``.

    The log is the one that the model was trained on (see :func:`reranker_gain`). A small shop has few buyers to judge
    by, so only an interval that is wholly below zero counts as proof.
    """
    for scorer, gain in reranker_gain(model, log).items():
        if gain.high < 0:
            return (
                f"the {scorer} scorer orders worse than the candidates' own order: NDCG@{DEPTH} {gain.mean:+.4f} "
                f"(95 % {gain.low:+.4f} to {gain.high:+.4f}) on shoppers it was not trained on"
            )
    return None


def ndcg(ranked: Ints, wanted: Ints) -> float:
    """Normalised discounted cumulative gain at 10, each wanted item worth the same."""
    hits = np.isin(ranked[:DEPTH], wanted)
    best = _DISCOUNT[: min(DEPTH, len(np.unique(wanted)))].sum()
    return float(_DISCOUNT[: len(hits)][hits].sum() / best) if best else 0.0


def paired_interval(ours: Floats, theirs: Floats) -> Interval:
    """The mean of the per-shopper differences, with the percentile bootstrap's 95 % interval."""
    difference = ours - theirs
    rng = np.random.default_rng(SEED)
    means = [rng.choice(difference, len(difference)).mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(difference.mean()), float(low), float(high))


def _popular(log: Log) -> Ints:
    """The trending products at the log's end, best first, by the same decayed counts as in the task."""
    ages = np.floor((log.end - log.ts) / DAY)
    weights = np.where(log.bought, 1.0, VIEW_SHARE) * np.exp2(-ages / HALF_LIFE_DAYS)
    counts = np.bincount(log.item, weights=weights, minlength=len(log.catalog.asins))
    return np.argsort(-counts, kind="stable")


def _items(model: rerank.RerankerModel, found: Sequence[als.Candidate]) -> Ints:
    return model.table.find([c.asin for c in found])
