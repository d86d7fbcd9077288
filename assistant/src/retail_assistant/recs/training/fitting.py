"""Trains the reranker on what shoppers chose in the week after a cut."""

from __future__ import annotations

import numpy as np

from retail_assistant.recs.context import COLUMNS
from retail_assistant.recs.features import ItemTable, make_table
from retail_assistant.recs.log import Floats
from retail_assistant.recs.rerank import RerankerModel
from retail_assistant.recs.training.examples import Examples, make_examples
from retail_assistant.recs.training.week import Week

TREES = 60
_PARAMS = {
    "objective": "lambdarank", "num_leaves": 16, "learning_rate": 0.2, "min_data_in_leaf": 40, "lambda_l2": 5.0,
    "feature_fraction": 0.8, "seed": 7, "deterministic": True, "force_row_wise": True, "num_threads": 2, "verbose": -1,
}  # fmt: skip
_MOST_STEPS = 12
# Newton's error is squared with each step: after one as small as this, nothing is left that a score would show.
_SMALL_STEP = 1e-6
_RIDGE = 1.0


def train(week: Week) -> RerankerModel:
    """Train on the days after a week's cut; the item table that requests use is as of the log's end."""
    table = make_table(week.log, space=week.table.space)
    return fit(make_examples(week), table, week.log.end)


def fit(found: Examples, table: ItemTable, until: float) -> RerankerModel:
    """Train both scorers on examples whose labels end at ``until`` (epoch seconds); ``table`` is what requests use."""
    booster, weights = "", _own_order()
    if found.labels.any():
        booster, weights = _train_trees(found), _train_linear(found)
    return RerankerModel(booster, weights, table, found.features_until, found.labels_from, until)


def _train_trees(found: Examples) -> str:
    import lightgbm

    data = lightgbm.Dataset(
        found.rows,
        found.labels.astype(np.float32),
        group=found.sizes,
        weight=np.repeat(found.weights, found.sizes),
        feature_name=list(COLUMNS),
    )
    return str(lightgbm.train(_PARAMS, data, num_boost_round=TREES).model_to_string())


def _train_linear(found: Examples) -> list[float]:
    """Logistic regression by Newton's method on standardised features, given back for raw ones."""
    rows, each = found.rows.astype(np.float64), np.repeat(found.weights, found.sizes)
    spread = rows.std(axis=0)
    spread[spread == 0] = 1.0
    scaled = np.column_stack(((rows - rows.mean(axis=0)) / spread, np.ones(len(rows))))
    weights: Floats = np.zeros(scaled.shape[1])
    for _ in range(_MOST_STEPS):
        chance = 1.0 / (1.0 + np.exp(-scaled @ weights))
        curve = (scaled.T * (each * chance * (1.0 - chance))) @ scaled + _RIDGE * np.eye(len(weights))
        step = np.linalg.solve(curve, scaled.T @ (each * (found.labels - chance)) - _RIDGE * weights)
        weights += step
        if np.abs(step).max() < _SMALL_STEP:
            break
    return [float(w) for w in weights[:-1] / spread]


def _own_order() -> list[float]:
    """Weights that keep a list's own order."""
    return [-1.0 if name == "rank" else 0.0 for name in COLUMNS]
