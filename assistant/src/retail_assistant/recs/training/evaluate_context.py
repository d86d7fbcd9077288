"""Measures what the page and the words of a request add: NDCG@5 of what shoppers choose soon afterwards.

Everything is trained on the log before the last days. Each shopper counts once, with the mean over their requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from retail_assistant.recs.context import ASKED, COLUMNS, PAGE
from retail_assistant.recs.log import Floats, Ints, Log
from retail_assistant.recs.text_vectors import Rows
from retail_assistant.recs.training.examples import MOST_OCCASIONS, Lists, make_examples, occasion_lists
from retail_assistant.recs.training.fitting import fit
from retail_assistant.recs.training.ndcg import Interval, ndcg, paired_interval
from retail_assistant.recs.training.week import LABEL_DAYS, Occasion, Week, shoppers_of, spread

SHOWN = 5
Kind = Literal["page", "words", "page and words"]
_PAGE = [COLUMNS.index(name) for name in PAGE]
_ASKED = [COLUMNS.index(name) for name in ASKED]


@dataclass(frozen=True)
class ContextQuality:
    """NDCG@5 per shopper, by what the reranker may use of a request; the arrays are parallel.

    All order the same products. The reranker of ``without`` was trained without page and words. The others are one
    model, to which only the page, only the words, or both are shown.
    """

    without: Floats
    page: Floats
    words: Floats
    both: Floats

    def gain(self, ours: Floats) -> Interval:
        """The mean of one of the arrays minus that of ``without``."""
        return paired_interval(ours, self.without)


def evaluate_context(log: Log, *, days: float = LABEL_DAYS) -> dict[Kind, ContextQuality]:
    """Train before the last days of a log, and judge the order of lists at the requests in those days.

    Args:
        log: The whole log.
        days: How many days at its end are judged. As many before them are what the rerankers learn from.

    Returns:
        The quality for requests with a page, with words, and with both. A kind without any request is left out.
    """
    judged_week = Week(log, days=days)
    found = make_examples(Week(judged_week.before, days=days))
    model = fit(found, judged_week.table, judged_week.before.end)
    blind = replace(found, rows=hidden(found.rows, _PAGE + _ASKED))
    without = fit(blind, judged_week.table, judged_week.before.end)
    occasions = spread(judged_week.occasions, MOST_OCCASIONS)
    lists = Lists(judged_week, shoppers_of(occasions))
    scores: dict[Kind, dict[int, list[list[float]]]] = {}
    for one, (items, rows) in occasion_lists(lists, occasions):
        ways = (
            without.score(hidden(rows, _PAGE + _ASKED)),
            model.score(hidden(rows, _ASKED)),
            model.score(hidden(rows, _PAGE)),
            model.score(rows),
        )
        scores.setdefault(_kind(one), {}).setdefault(one.who, []).append([judged(items, way, one) for way in ways])
    return {kind: _by_shopper(list(of.values())) for kind, of in scores.items()}


def hidden(rows: Rows, columns: Sequence[int]) -> Rows:
    """Return features in which some columns say nothing."""
    rows = rows.copy()
    rows[:, columns] = 0
    return rows


def judged(items: Ints, scores: Rows, occasion: Occasion) -> float:
    """Return the NDCG@5 of some items in the order of their scores."""
    return ndcg(items[np.argsort(-scores, kind="stable")], np.array(occasion.wanted), depth=SHOWN)


def _kind(occasion: Occasion) -> Kind:
    if occasion.page is None:
        return "words"
    return "page and words" if occasion.words else "page"


def _by_shopper(scores: Sequence[Sequence[Sequence[float]]]) -> ContextQuality:
    return ContextQuality(*np.array([np.mean(of_one, axis=0) for of_one in scores]).T)
