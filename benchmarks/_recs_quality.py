"""Measures the recommendations: NDCG@10 on the held-out last week, with paired bootstrap intervals over shoppers.

Everything is trained on the log before the cut: the factors, the reranker (whose own labels are the week before the
cut) and the trending products. Each shopper who bought something in the last week and was known before it counts once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retail_assistant.recs.log import Floats, Log
from retail_assistant.recs.rerank import rerank
from retail_assistant.recs.training import fitting
from retail_assistant.recs.training.examples import base_lists, past_of
from retail_assistant.recs.training.ndcg import DEPTH, Interval, ndcg, paired_interval
from retail_assistant.recs.training.week import Week, popular

HELD_OUT_DAYS = 7


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
    week = Week(log, days=HELD_OUT_DAYS)
    model = fitting.train(Week(week.before))
    best, _ = popular(week.before)
    bounds, sold, after = week.before.bounds(), week.before.purchases(), week.after.purchases()
    sold_at, bought_at = sold.bounds(), after.bounds()
    scores = []
    for shopper, base in base_lists(week.factors, week.before, week.known_buyers).items():
        past = past_of(week.before, bounds, shopper)
        owned = sold.item[sold_at[shopper] : sold_at[shopper + 1]]
        wanted = after.item[bought_at[shopper] : bought_at[shopper + 1]]
        shown = [rerank(model, base, past, top=DEPTH, is_short=is_short) for is_short in (False, True)]
        ranked = (best[~np.isin(best, owned)], *(model.table.find([c.asin for c in one]) for one in (base, *shown)))
        scores.append([ndcg(found, wanted) for found in ranked])
    trending, factors, trees, linear = np.array(scores).reshape(-1, 4).T
    return Quality(trending, factors, trees, linear)
