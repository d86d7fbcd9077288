"""Judges a trained reranker before it is promoted, by shoppers whom its training left out."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from retail_assistant.recs.context import COLUMNS, CONTEXT
from retail_assistant.recs.log import Ints
from retail_assistant.recs.rerank import RerankerModel
from retail_assistant.recs.training.evaluate_context import hidden, judged
from retail_assistant.recs.training.examples import Lists, buyer_lists, occasion_lists
from retail_assistant.recs.training.ndcg import Interval, ndcg, paired_interval
from retail_assistant.recs.training.week import Occasion, Week, shoppers_of, spread

FEWEST_JUDGED = 10
MOST_JUDGED = 1_000
Judged = Literal["trees", "linear", "context"]
_OBJECTIONS: dict[Judged, str] = {
    "trees": "the trees order worse than the candidates' own order",
    "linear": "the linear scorer orders worse than the candidates' own order",
    "context": "the trees order worse with page and words than without",
}
_CONTEXT = [COLUMNS.index(name) for name in CONTEXT]


def reranker_usable(model: RerankerModel, week: Week) -> str | None:
    """Return why a reranker must not be promoted; otherwise ``None``.

    The week is the one that the model was trained on. The reasons are that its order is provably worse than the
    candidates' own, or worse with a request's page and words than without them. A small shop has few shoppers to judge
    by, so only an interval that is wholly below zero counts as proof.
    """
    for judged_by, gain in reranker_gain(model, week).items():
        if gain.high < 0:
            return (
                f"{_OBJECTIONS[judged_by]}: NDCG {gain.mean:+.4f} (95 % {gain.low:+.4f} to {gain.high:+.4f}) on "
                "shoppers it was not trained on"
            )
    return None


def reranker_gain(model: RerankerModel, week: Week) -> dict[Judged, Interval]:
    """Measure a trained reranker on the shoppers that its training left out.

    Features are as of the week's cut, even if the model's own table is newer.

    Args:
        model: The reranker.
        week: The week that it was trained on.

    Returns:
        The gain in NDCG@10 of what is bought, over the candidates' own order, of the ``trees`` and the ``linear``
        scorer; and as ``context`` the gain in NDCG@5 of what is chosen soon after a request, of the trees with its page
        and words over the trees without. A gain with fewer than :data:`FEWEST_JUDGED` shoppers is left out.
    """
    buyers = week.known_buyers[week.is_held_out[week.known_buyers]][:MOST_JUDGED]
    occasions = spread([o for o in week.occasions if week.is_held_out[o.who]], MOST_JUDGED)
    lists = Lists(week, np.union1d(buyers, shoppers_of(occasions)))
    model = msgspec.structs.replace(model, table=week.table)
    found: dict[Judged, Interval] = {}
    if len(buyers) >= FEWEST_JUDGED:
        found |= _gain_of_order(model, lists, buyers)
    if len(shoppers_of(occasions)) >= FEWEST_JUDGED:
        found["context"] = _gain_of_context(model, lists, occasions)
    return found


def _gain_of_order(model: RerankerModel, lists: Lists, buyers: Ints) -> dict[Judged, Interval]:
    scores = []
    for (items, rows), wanted in buyer_lists(lists, buyers):
        orders = [np.argsort(-model.score(rows, is_short=is_short), kind="stable") for is_short in (False, True)]
        scores.append([ndcg(found, wanted) for found in (items, *(items[order] for order in orders))])
    own, trees, linear = np.array(scores).T
    return {"trees": paired_interval(trees, own), "linear": paired_interval(linear, own)}


def _gain_of_context(model: RerankerModel, lists: Lists, occasions: list[Occasion]) -> Interval:
    scores: dict[int, list[tuple[float, float]]] = {}
    for one, (items, rows) in occasion_lists(lists, occasions):
        pair = (judged(items, model.score(rows), one), judged(items, model.score(hidden(rows, _CONTEXT)), one))
        scores.setdefault(one.who, []).append(pair)
    ours, theirs = np.array([np.mean(pairs, axis=0) for pairs in scores.values()]).T
    return paired_interval(ours, theirs)
