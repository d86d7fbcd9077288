"""The reranker: a LightGBM ranker and a linear scorer, trained on the purchases in the week after a cut.

All data of the features (candidates, popularity, history) is from before the cut, and every label from after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from retail_assistant.recs import als
from retail_assistant.recs.features import FEATURES, ItemTable, Past, Rows, make_rows, make_table, recent
from retail_assistant.recs.log import DAY, Flags, Floats, Ints, Log

LABEL_DAYS = 7
TREES = 20
LARGEST_GROUPS = 6_000
HELD_OUT = 10
_PARAMS = {
    "objective": "lambdarank", "num_leaves": 12, "learning_rate": 0.25, "min_data_in_leaf": 40, "lambda_l2": 5.0,
    "feature_fraction": 0.8, "seed": 7, "deterministic": True, "force_row_wise": True, "num_threads": 2, "verbose": -1,
}  # fmt: skip
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


@dataclass(frozen=True)
class Examples:
    """Lists as they would have been shown at the cut: features, whether bought afterwards, and each list's length."""

    rows: Rows
    labels: Flags
    sizes: Ints
    features_until: float
    labels_from: float


def train(log: Log) -> RerankerModel:
    """Train on the log's last week; the item table that requests use is as of the log's end."""
    cut = log.end - LABEL_DAYS * DAY
    found = make_examples(log.between(0.0, cut), log.between(cut, np.inf))
    booster, weights = "", _own_order()
    if found.labels.any():
        booster, weights = _train_trees(found), _train_linear(found)
    return RerankerModel(booster, weights, make_table(log), found.features_until, found.labels_from, log.end)


def make_examples(before: Log, after: Log, *, groups: int = LARGEST_GROUPS) -> Examples:
    """Build the lists of shoppers who bought something ``after`` and were known ``before``, with their purchases.

    Shoppers of :func:`held_out` are left out.
    """
    model, table = als.train(before), make_table(before)
    buyers = known_buyers(before, after)
    lists = base_lists(model, before, buyers[~held_out(before, buyers)][:groups])
    bounds, sold = before.bounds(), after.purchases()
    sold_at = sold.bounds()
    rows, labels = [], []
    for shopper, candidates in lists.items():
        past = past_of(before, bounds, shopper)
        items = table.find([c.asin for c in candidates])
        rows.append(make_rows(table, items, np.array([c.score for c in candidates]), past))
        labels.append(np.isin(items, sold.item[sold_at[shopper] : sold_at[shopper + 1]]))
    return Examples(
        np.concatenate(rows) if rows else np.empty((0, len(FEATURES)), dtype=np.float32),
        np.concatenate(labels) if labels else np.empty(0, dtype=np.bool_),
        np.array([len(group) for group in labels], dtype=np.int64),
        before.end,
        float(after.ts.min()) if len(after.ts) else np.inf,
    )


def held_out(log: Log, shoppers: Ints) -> Flags:
    """Return a mask of the shoppers (positions in the log) that are never trained on: one in ten, always the same."""
    return np.array([crc32(log.shoppers[n].encode()) % HELD_OUT == 0 for n in shoppers.tolist()], dtype=np.bool_)


def known_buyers(before: Log, after: Log) -> Ints:
    """Return the shoppers (positions) who were known before and bought something after."""
    known = np.flatnonzero(np.diff(before.bounds()))
    return np.intersect1d(known, after.purchases().who)


def base_lists(model: als.AlsModel, log: Log, shoppers: Ints) -> dict[int, list[als.Candidate]]:
    """Return the candidates of some shoppers (positions in the log), folded in from the log."""
    matrix, sold = als.interactions(log), log.purchases()
    starts, sold_at = matrix.indptr, sold.bounds()
    hidden = ~np.array(log.catalog.listed, dtype=np.bool_)
    found: dict[int, list[als.Candidate]] = {}
    for part in np.array_split(shoppers, max(1, len(shoppers) // 512)):
        spans = [slice(starts[n], starts[n + 1]) for n in part]
        vectors = als.fold_in(model, [(matrix.indices[s], matrix.data[s].astype(np.float64)) for s in spans])
        owned = [sold.item[sold_at[n] : sold_at[n + 1]] for n in part]
        found.update(zip(part.tolist(), als.top_candidates(model, vectors, owned, hidden=hidden), strict=True))
    return found


def past_of(log: Log, bounds: Ints, shopper: int) -> Past:
    """Return one shopper's history as a request would read it at the log's end."""
    span = slice(bounds[shopper], bounds[shopper + 1])
    return recent(Past(log.item[span], log.ts[span], log.bought[span]))


def rerank(
    model: RerankerModel, candidates: Sequence[als.Candidate], past: Past, *, top: int, is_short: bool = False
) -> list[als.Candidate]:
    """Return the ``top`` of a list in the model's order; equal scores keep the list's."""
    if not candidates:
        return []
    items = model.table.find([c.asin for c in candidates])
    rows = make_rows(model.table, items, np.array([c.score for c in candidates]), past)
    scores = model.score(rows, is_short=is_short)
    order = np.argsort(-scores, kind="stable")[:top]
    return [als.Candidate(candidates[n].asin, score) for n, score in zip(order, scores[order].tolist(), strict=True)]


def _train_trees(found: Examples) -> str:
    import lightgbm

    data = lightgbm.Dataset(found.rows, found.labels.astype(np.float32), group=found.sizes, feature_name=list(FEATURES))
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
    return [-1.0 if name == "rank" else 0.0 for name in FEATURES]
