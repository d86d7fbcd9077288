"""Alternating least squares for implicit feedback: training, folding a history in, and the best items for a vector.

Hu, Koren, Volinsky: Collaborative Filtering for Implicit Feedback Datasets (2008). Training is ``implicit``'s; folding
in solves the same normal equations as its ``recalculate_user``, for many shoppers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from retail_assistant.recs.log import Flags, Ints, Log, confidence
from retail_assistant.recs.topk import Index, Matrix

FACTORS = 64
REGULARIZATION = 6.0
ITERATIONS = 12
THREADS = 2
SEED = 7
TOP = 50

History = tuple[Ints, NDArray[np.float64]]
"""Positions of items, and the confidence in each."""


class Candidate(msgspec.Struct, frozen=True):
    """One recommended product; a higher ``score`` is better, and comparable within one list only."""

    asin: str
    score: float


class AlsModel(msgspec.Struct, frozen=True, dict=True):
    """Item factors: ``factors`` is (items, dims) and ``gram`` (dims, dims), both float32 bytes in row order.

    ``gram`` is the factors' Gram matrix with the regularization on its diagonal. Processes of one machine may share the
    memory of ``factors``, so it is a view and not a copy.
    """

    asins: list[str]
    dims: int
    factors: memoryview
    gram: bytes

    @cached_property
    def matrix(self) -> Matrix:
        """The item factors, decoded once per model."""
        return np.frombuffer(self.factors, dtype=np.float32).reshape(-1, self.dims)

    @cached_property
    def normal(self) -> NDArray[np.float64]:
        """The Gram matrix, decoded once per model."""
        return np.frombuffer(self.gram, dtype=np.float32).reshape(self.dims, self.dims).astype(np.float64)

    @cached_property
    def index(self) -> Index:
        """The factors prepared for search, once per model; raises :class:`parbake.BadInput` if they are not finite."""
        return Index(self.matrix)

    @cached_property
    def positions(self) -> dict[str, int]:
        """The position of each asin in ``asins``, which are sorted."""
        return {asin: n for n, asin in enumerate(self.asins)}


def interactions(log: Log) -> Any:
    """Return the log as a sparse (shoppers, items) matrix of confidences."""
    from scipy import sparse

    shape = (len(log.shoppers), len(log.catalog.asins))
    keys, where = np.unique(log.who * max(1, shape[1]) + log.item, return_inverse=True)
    purchases = np.bincount(where, weights=log.bought, minlength=len(keys))
    views = np.bincount(where, weights=~log.bought, minlength=len(keys))
    values = confidence(purchases, views).astype(np.float32)
    return sparse.csr_matrix((values, (keys // max(1, shape[1]), keys % max(1, shape[1]))), shape=shape)


def train(log: Log, *, dims: int = FACTORS) -> AlsModel:
    """Factorize a log. The same log gives the same factors; items without events have zeros."""
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    if not len(log.who):
        return _model(log, np.zeros((len(log.catalog.asins), dims), dtype=np.float32))
    with threadpool_limits(1, "blas"):
        als = AlternatingLeastSquares(
            factors=dims, regularization=REGULARIZATION, iterations=ITERATIONS, num_threads=THREADS, random_state=SEED
        )
        als.fit(interactions(log), show_progress=False)
        return _model(log, als.item_factors)


def _model(log: Log, factors: Matrix) -> AlsModel:
    dims = factors.shape[1]
    gram = factors.T @ factors + np.float32(REGULARIZATION) * np.eye(dims, dtype=np.float32)
    return AlsModel(list(log.catalog.asins), dims, memoryview(np.ascontiguousarray(factors).tobytes()), gram.tobytes())


def fold_in(model: AlsModel, histories: Sequence[History]) -> Matrix:
    """Return one vector per history: the one that ALS would have learned for a shopper with that history.

    Confidences are at least 1, so that the normal equations are positive definite: solved by Cholesky's decomposition.
    """
    found = np.empty((len(histories), model.dims), dtype=np.float32)
    for n, (items, sure) in enumerate(histories):
        chosen = model.matrix[items].astype(np.float64)
        left = model.normal + (chosen.T * (sure - 1.0)) @ chosen
        found[n] = _solver()(left, sure @ chosen, lower=True, overwrite_a=True)[1]
    return found


@cache
def _solver() -> Any:
    """LAPACK's ``dposv``, which solves positive definite equations."""
    from scipy.linalg import get_lapack_funcs

    return get_lapack_funcs("posv", dtype=np.float64)


def top_candidates(
    model: AlsModel, vectors: Matrix, barred: Sequence[Ints], *, hidden: Flags, top: int = TOP
) -> list[list[Candidate]]:
    """Return each vector's best items, without its ``barred`` positions and the ``hidden`` ones (a mask of items).

    Scores are rounded to five decimals and equal ones ordered by asin, so that the batch and a later single refresh
    agree. Items without factors are never candidates. Raises :class:`parbake.BadInput` for a model or vectors that are
    not finite.
    """
    asins = model.asins
    return [
        [Candidate(asins[n], score) for n, score in zip(items.tolist(), scores.tolist(), strict=True)]
        for items, scores in model.index.top(vectors, barred, hidden=hidden, count=top)
    ]


def usable(model: AlsModel) -> str | None:
    """Return why a model must not be promoted; ``None`` if it may be."""
    if not model.asins:
        return "there are no items"
    if len(model.matrix) != len(model.asins):
        return f"there are factors of {len(model.matrix)} items for {len(model.asins)}"
    if not (np.isfinite(model.matrix).all() and np.isfinite(model.normal).all()):
        return "factors are not finite"
    if not model.matrix.any():
        return "all factors are zero: nothing was learned"
    return None
