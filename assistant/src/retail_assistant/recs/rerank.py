"""The reranker: orders a list for one request, by a LightGBM ranker or a linear scorer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from retail_assistant.recs import als
from retail_assistant.recs.context import NO_CONTEXT, Context, with_added
from retail_assistant.recs.features import ItemTable, Past
from retail_assistant.recs.log import Ints
from retail_assistant.recs.text_vectors import Rows

NOTHING_ADDED: Ints = np.empty(0, dtype=np.int64)


class RerankerModel(msgspec.Struct, frozen=True, dict=True):
    """Both scorers with the item table that they need; ``booster`` is empty if the log had no labels to learn from.

    Candidates and popularity are as of ``features_until``, labels from ``labels_from`` on (epoch seconds). A linear
    score is ``row @ weights``, standardisation folded in; it keeps the list's own order if nothing was learned.
    """

    booster: str
    weights: list[float]
    table: ItemTable
    features_until: float
    labels_from: float
    labels_until: float

    @cached_property
    def trees(self) -> Any:
        """The booster, parsed once per model; ``None`` if there is none."""
        if not self.booster:
            return None
        import lightgbm

        return lightgbm.Booster(model_str=self.booster)

    @cached_property
    def linear(self) -> Rows:
        """The linear scorer's weights as an array."""
        return np.array(self.weights, dtype=np.float32)

    def score(self, rows: Rows, *, is_short: bool = False) -> NDArray[Any]:
        """Return a score per row, higher is better; by the linear scorer if time ``is_short``."""
        if is_short or self.trees is None:
            return np.asarray(rows @ self.linear)
        return np.asarray(self.trees.predict(rows, num_threads=1))


def rerank(
    model: RerankerModel,
    candidates: Sequence[als.Candidate],
    past: Past,
    *,
    top: int,
    is_short: bool = False,
    context: Context = NO_CONTEXT,
    added: Ints = NOTHING_ADDED,
) -> list[als.Candidate]:
    """Return the ``top`` of a list in the model's order; equal scores keep the list's.

    Args:
        model: The trained reranker.
        candidates: The shopper's list, best first.
        past: The shopper's events.
        top: How many to return.
        is_short: Whether time is short, so that the linear scorer must do.
        context: The page and the words of the request.
        added: Rows of the item table that the context adds to the list.
    """
    items = model.table.find([c.asin for c in candidates])
    base = (items, np.array([c.score for c in candidates]))
    every, rows = with_added(model.table, base, added, past=past, context=context)
    if not len(every):
        return []
    scores = model.score(rows, is_short=is_short)
    order = np.argsort(-scores, kind="stable")[:top]
    asins = [*(c.asin for c in candidates), *(model.table.asins[n] for n in added.tolist())]
    return [als.Candidate(asins[n], score) for n, score in zip(order, scores[order].tolist(), strict=True)]
