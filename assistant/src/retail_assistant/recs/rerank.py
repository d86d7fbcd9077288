"""The reranker: a LightGBM ranker and a linear scorer, trained on what shoppers chose in the week after a cut.

All data of the features (candidates, popularity, history) is from before the cut, and every label from after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from retail_assistant.recs import als
from retail_assistant.recs.context import NO_CONTEXT, Context
from retail_assistant.recs.examples import COLUMNS, Examples, make_examples, with_added
from retail_assistant.recs.features import ItemTable, Past, Rows, make_table
from retail_assistant.recs.log import DAY, Floats, Ints, Log

LABEL_DAYS = 7
TREES = 60
_PARAMS = {
    "objective": "lambdarank", "num_leaves": 16, "learning_rate": 0.2, "min_data_in_leaf": 40, "lambda_l2": 5.0,
    "feature_fraction": 0.8, "seed": 7, "deterministic": True, "force_row_wise": True, "num_threads": 2, "verbose": -1,
}  # fmt: skip
NOTHING_ADDED: Ints = np.empty(0, dtype=np.int64)
_STEPS = 12
_RIDGE = 1.0


class RerankerModel(msgspec.Struct, frozen=True, dict=True):
    """Both scorers with the item table that they need; ``booster`` is empty if the log had no labels to learn from.

    Features are as of ``features_until``, labels from ``labels_from`` on (epoch seconds). A linear score is
    ``row @ weights``, standardisation folded in; it keeps the list's own order if nothing was learned.
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


def train(log: Log) -> RerankerModel:
    """Train on the log's last week; the item table that requests use is as of the log's end."""
    cut = log.end - LABEL_DAYS * DAY
    before = log.between(0.0, cut)
    return fit(make_examples(before, log.between(cut, np.inf), make_table(before)), make_table(log), log.end)


def fit(found: Examples, table: ItemTable, until: float) -> RerankerModel:
    """Train both scorers on examples whose labels end at ``until`` (epoch seconds); ``table`` is what requests use."""
    booster, weights = "", _own_order()
    if found.labels.any():
        booster, weights = _train_trees(found), _train_linear(found)
    return RerankerModel(booster, weights, table, found.features_until, found.labels_from, until)


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


def _train_trees(found: Examples) -> str:
    import lightgbm

    data = lightgbm.Dataset(found.rows, found.labels.astype(np.float32), group=found.sizes, feature_name=list(COLUMNS))
    return str(lightgbm.train(_PARAMS, data, num_boost_round=TREES).model_to_string())


def _train_linear(found: Examples) -> list[float]:
    """Logistic regression by Newton's method on standardised features, given back for raw ones."""
    rows = found.rows.astype(np.float64)
    spread = rows.std(axis=0)
    spread[spread == 0] = 1.0
    scaled = np.column_stack(((rows - rows.mean(axis=0)) / spread, np.ones(len(rows))))
    weights: Floats = np.zeros(scaled.shape[1])
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-scaled @ weights))
        curve = (scaled.T * (chance * (1.0 - chance))) @ scaled + _RIDGE * np.eye(len(weights))
        weights += np.linalg.solve(curve, scaled.T @ (found.labels - chance) - _RIDGE * weights)
    return [float(w) for w in weights[:-1] / spread]


def _own_order() -> list[float]:
    """Weights that keep a list's own order."""
    return [-1.0 if name == "rank" else 0.0 for name in COLUMNS]
