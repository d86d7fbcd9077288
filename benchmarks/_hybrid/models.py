"""What is trained: item factors, a linear and a LightGBM reranker. Folding in is the assistant's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retail_assistant.recs import als

from .data import Data, Floats, Ints, Rows

DIMS = 64
ITERATIONS = 12
TREES = 100
THREADS = 1  # beside other work, a second one spends its time waiting
_STEPS, _HALVINGS = 8, 6
_CONSTANT = 1e-6
_RIDGE = 10.0
_PARAMS = {
    "objective": "lambdarank", "num_leaves": 8, "learning_rate": 0.08, "min_data_in_leaf": 100, "lambda_l2": 10.0,
    "feature_fraction": 0.7, "lambdarank_truncation_level": 10, "seed": 7, "deterministic": True,
    "force_row_wise": True, "num_threads": THREADS, "verbose": -1,
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What is chosen on the folds before the first test fold.

    ``regularization`` and ``confidence`` are those of Hu, Koren, Volinsky (2008), a confidence of ``1 + confidence``
    for an interaction; ``half_life_days`` is how fast the trending counts decay.
    """

    regularization: float
    confidence: float
    half_life_days: float


def train_factors(data: Data, before: float, settings: Settings) -> als.AlsModel:
    """Factorize the interactions strictly before a time (epoch seconds); an item without any has zeros."""
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy import sparse
    from threadpoolctl import threadpool_limits

    seen = data.ts < before
    values = np.full(int(seen.sum()), 1.0 + settings.confidence, dtype=np.float32)
    matrix = sparse.csr_matrix((values, (data.user[seen], data.item[seen])), shape=(data.users, data.items))
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=DIMS,
            regularization=settings.regularization,
            iterations=ITERATIONS,
            num_threads=THREADS,
            random_state=7,
        )
        model.fit(matrix, show_progress=False)
        return make_model(model.item_factors, settings.regularization)


def make_model(factors: Rows, regularization: float) -> als.AlsModel:
    """Return item factors (items, dims) as the model that the assistant folds in with."""
    dims = factors.shape[1]
    gram = factors.T @ factors + np.float32(regularization) * np.eye(dims, dtype=np.float32)
    names = [str(n) for n in range(len(factors))]
    return als.AlsModel(names, dims, np.ascontiguousarray(factors, dtype=np.float32).tobytes(), gram.tobytes())


def fold_in(model: als.AlsModel, pasts: Sequence[Ints], confidence: float) -> Rows:
    """Return the vectors (pasts, dims) of some histories."""
    return als.fold_in(model, [(past, np.full(len(past), 1.0 + confidence)) for past in pasts])


def fold_in_prefixes(model: als.AlsModel, past: Ints, lengths: Sequence[int], confidence: float) -> Rows:
    """Return the vectors (lengths, dims) of one history after each of ``lengths``, which ascend.

    The same as :func:`fold_in` of each, in one pass: from one length to the next only what was added is summed.
    """
    left = model.normal.copy()
    right = np.zeros(model.dims)
    lefts, rights = np.empty((len(lengths), model.dims, model.dims)), np.empty((len(lengths), model.dims, 1))
    for n, (start, end) in enumerate(zip([0, *lengths], lengths, strict=False)):
        added = model.matrix[past[start:end]].astype(np.float64)
        left += confidence * (added.T @ added)
        right += (1.0 + confidence) * added.sum(axis=0)
        lefts[n], rights[n, :, 0] = left, right
    return np.linalg.solve(lefts, rights)[:, :, 0].astype(np.float32)


@dataclass
class Examples:
    """Lists to learn from: features, label per row, and the length of each list."""

    rows: list[Rows] = field(default_factory=list)
    labels: list[Floats] = field(default_factory=list)

    def add(self, rows: Rows, labels: Floats) -> None:
        """Add one list; one without a hit teaches nothing and is left out."""
        if labels.any():
            self.rows.append(rows)
            self.labels.append(labels)


@dataclass(frozen=True)
class Reranker:
    """Both scorers; higher is better."""

    weights: Rows
    trees: Any

    def linear(self, rows: Rows) -> Rows:
        """Score rows by the weights."""
        return rows @ self.weights

    def boosted(self, rows: Rows) -> Floats:
        """Score rows by the trees, on one thread."""
        return np.asarray(self.trees.predict(rows, num_threads=1))


def train_reranker(examples: Examples) -> Reranker:
    """Train both scorers on the same lists."""
    return Reranker(train_linear(examples), train_trees(examples))


def train_trees(examples: Examples) -> Any:
    """Train LightGBM's lambdarank."""
    import lightgbm

    sizes = [len(labels) for labels in examples.labels]
    rows, labels = np.concatenate(examples.rows), np.concatenate(examples.labels)
    return lightgbm.train(_PARAMS, lightgbm.Dataset(rows, labels, group=sizes), num_boost_round=TREES)


def train_linear(examples: Examples, columns: Sequence[int] | None = None) -> Rows:
    """Fit a conditional logit (McFadden 1974): within a list, the chance of an item is the softmax of its score.

    Only the ``columns`` are used, all by default; the others weigh nothing. Standardisation is folded in.
    """
    rows = np.concatenate(examples.rows).astype(np.float64)
    chosen = np.arange(rows.shape[1]) if columns is None else np.array(columns)
    spread = rows[:, chosen].std(axis=0)
    spread[spread < _CONSTANT] = 1.0
    weights = _Logit(rows[:, chosen] / spread, examples.labels).fit()
    found = np.zeros(rows.shape[1], dtype=np.float32)
    found[chosen] = weights / spread
    return found


class _Logit:
    """The likelihood of what was chosen from each list, with a ridge; concave, so Newton's method finds its top."""

    def __init__(self, rows: Floats, labels: Sequence[Floats]) -> None:
        sizes = np.array([len(part) for part in labels])
        self.starts = np.cumsum(sizes) - sizes
        self.group = np.repeat(np.arange(len(sizes)), sizes)
        self.rows = rows - (np.add.reduceat(rows, self.starts) / sizes[:, None])[self.group]
        self.labels = np.concatenate(labels)
        self.hits = np.add.reduceat(self.labels, self.starts)

    def fit(self) -> Floats:
        """Return the weights; a step that makes things worse is halved."""
        weights: Floats = np.zeros(self.rows.shape[1])
        value, step = self._at(weights)
        for _ in range(_STEPS):
            for _ in range(_HALVINGS):
                reached, following = self._at(weights + step)
                if reached >= value:
                    break
                step = step / 2
            else:
                break
            weights, value, step = weights + step, reached, following
        return weights

    def _at(self, weights: Floats) -> tuple[float, Floats]:
        """The likelihood's logarithm, and Newton's step from here."""
        score = self.rows @ weights
        score -= np.maximum.reduceat(score, self.starts)[self.group]
        chance = np.exp(score)
        total = np.add.reduceat(chance, self.starts)
        chance /= total[self.group]
        value = self.labels @ score - self.hits @ np.log(total) - _RIDGE / 2 * weights @ weights
        share = self.hits[self.group] * chance
        means = np.add.reduceat(self.rows * chance[:, None], self.starts)
        curve = (self.rows.T * share) @ self.rows - (means.T * self.hits) @ means + _RIDGE * np.eye(len(weights))
        return float(value), np.linalg.solve(curve, self.rows.T @ (self.labels - share) - _RIDGE * weights)
