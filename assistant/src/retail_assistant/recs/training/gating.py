"""Judges a trained reranker before it is promoted, by shoppers whom its training left out."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from retail_assistant.recs.context import COLUMNS, CONTEXT, NO_CONTEXT
from retail_assistant.recs.features import make_table
from retail_assistant.recs.log import DAY, Log
from retail_assistant.recs.rerank import RerankerModel
from retail_assistant.recs.training import examples
from retail_assistant.recs.training.evaluate_context import hidden, judged
from retail_assistant.recs.training.examples import Lists
from retail_assistant.recs.training.fitting import LABEL_DAYS
from retail_assistant.recs.training.ndcg import Interval, ndcg, paired_interval

FEWEST_JUDGED = 10
MOST_JUDGED = 1_000
Judged = Literal["trees", "linear", "context"]
_OBJECTIONS: dict[Judged, str] = {
    "trees": "the trees order worse than the candidates' own order",
    "linear": "the linear scorer orders worse than the candidates' own order",
    "context": "the trees order worse with page and words than without",
}
_CONTEXT = [COLUMNS.index(name) for name in CONTEXT]


def reranker_usable(model: RerankerModel, log: Log) -> str | None:
    """Return why a reranker must not be promoted; otherwise ``None``.

    The log is the one that the model was trained on. The reasons are that its order is provably worse than the
    candidates' own, or worse with a request's page and words than without them. A small shop has few shoppers to judge
    by, so only an interval that is wholly below zero counts as proof. It takes as long as training factors once.
    """
    for judged_by, gain in reranker_gain(model, log).items():
        if gain.high < 0:
            return (
                f"{_OBJECTIONS[judged_by]}: NDCG {gain.mean:+.4f} (95 % {gain.low:+.4f} to {gain.high:+.4f}) on "
                "shoppers it was not trained on"
            )
    return None


def reranker_gain(model: RerankerModel, log: Log) -> dict[Judged, Interval]:
    """Measure a trained reranker in the last week, on shoppers that its training left out.

    Features are as of the beginning of the week, even if the model's own table is newer.

    Args:
        model: The reranker.
        log: The log that it was trained on.

    Returns:
        The gain in NDCG@10 of what is bought, over the candidates' own order, of the ``trees`` and the ``linear``
        scorer; and as ``context`` the gain in NDCG@5 of what is chosen soon after a request, of the trees with its page
        and words over the trees without. A gain with fewer than :data:`FEWEST_JUDGED` shoppers is left out.
    """
    cut = log.end - LABEL_DAYS * DAY
    before, after = log.between(0.0, cut), log.between(cut, np.inf)
    buyers = examples.known_buyers(before, after)
    buyers = buyers[examples.held_out(before, buyers)][:MOST_JUDGED]
    occasions = [o for o in examples.find_occasions(after) if examples.held_out(before, np.array([o.who]))[0]]
    occasions = examples.spread(occasions, MOST_JUDGED)
    table = make_table(before)
    lists = Lists(before, table, np.union1d(buyers, examples.shoppers_of(occasions)))
    model = msgspec.structs.replace(model, table=table)
    found: dict[Judged, Interval] = {}
    if len(buyers) >= FEWEST_JUDGED:
        found |= _gain_of_order(model, lists, after, buyers.tolist())
    if len(examples.shoppers_of(occasions)) >= FEWEST_JUDGED:
        found["context"] = _gain_of_context(model, lists, after, occasions)
    return found


def _gain_of_order(model: RerankerModel, lists: Lists, after: Log, buyers: list[int]) -> dict[Judged, Interval]:
    bounds, sold = lists.before.bounds(), after.purchases()
    bought_at, scores = sold.bounds(), []
    for shopper in buyers:
        items, rows = lists.rows(shopper, examples.past_of(lists.before, bounds, shopper), NO_CONTEXT)
        wanted = sold.item[bought_at[shopper] : bought_at[shopper + 1]]
        orders = [np.argsort(-model.score(rows, is_short=is_short), kind="stable") for is_short in (False, True)]
        scores.append([ndcg(found, wanted) for found in (items, *(items[order] for order in orders))])
    own, trees, linear = np.array(scores).T
    return {"trees": paired_interval(trees, own), "linear": paired_interval(linear, own)}


def _gain_of_context(model: RerankerModel, lists: Lists, after: Log, occasions: list[examples.Occasion]) -> Interval:
    scores: dict[int, list[tuple[float, float]]] = {}
    for one, (items, rows) in examples.occasion_lists(lists, after, occasions):
        pair = (judged(items, model.score(rows), one), judged(items, model.score(hidden(rows, _CONTEXT)), one))
        scores.setdefault(one.who, []).append(pair)
    ours, theirs = np.array([np.mean(pairs, axis=0) for pairs in scores.values()]).T
    return paired_interval(ours, theirs)
