"""The kernel-ridge head on frozen embeddings, and its leave-out predictions for its own aliases.

The scores of the answers for a unit query q are ``f = exp(g (E q - 1)) alpha + p`` with ``alpha = (K + l I)^-1 (Y -
p)`` and ``K = exp(g (E E' - 1))``: E are the aliases' unit vectors, Y their one-hot answers, p each answer's share of
the aliases. This is kernel ridge regression with a Gaussian kernel on the unit sphere (Rasmussen & Williams, Gaussian
Processes for Machine Learning, 2006, ch. 6.2). Leave-one-out predictions need no refit (the same, sec. 5.4.2), and
neither do those that leave out a block: with A = (K + l I)^-1, the residual of the rows S is ``A_SS^-1 alpha_S``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from parbake_semantic.text.arrays import Floats, Places, Vectors

GAIN, RIDGE = 2.5, 0.15
MAX_ALIASES = 60


@dataclass(frozen=True)
class Head:
    """A fitted head over n aliases, grouped by answer, and m answers.

    ``vectors`` is (n, dimensions), ``owner`` (n,) the answer of each alias, ``inverse`` (n, n) is A, ``alpha`` (n, m),
    ``shares`` (m,).
    """

    vectors: Vectors
    owner: Places
    inverse: Floats
    alpha: Floats
    shares: Floats

    @property
    def answers(self) -> int:
        """Number of answers."""
        return len(self.shares)

    def groups(self) -> Iterator[tuple[int, slice]]:
        """Each answer with the rows of its aliases."""
        bounds = np.searchsorted(self.owner, np.arange(self.answers + 1))
        for answer in range(self.answers):
            yield answer, slice(int(bounds[answer]), int(bounds[answer + 1]))

    def scores(self, queries: Vectors) -> Floats:
        """Scores of unit queries (q, dimensions), shape (q, m)."""
        found: Floats = kernel(queries, self.vectors) @ self.alpha + self.shares
        return found

    def alias_left_out(self) -> Floats:
        """The prediction for each alias without itself (the shares stay), shape (n, m): ``Y - alpha_i / A_ii``."""
        one_hot = np.zeros_like(self.alpha)
        one_hot[np.arange(len(self.owner)), self.owner] = 1.0
        found: Floats = one_hot - self.alpha / np.diagonal(self.inverse)[:, None]
        return found

    def answer_left_out(self) -> Floats:
        """The prediction for each alias without all aliases of its answer, shape (n, m); that answer has -inf."""
        found = np.empty_like(self.alpha)
        for answer, rows in self.groups():
            found[rows] = -np.linalg.solve(self.inverse[rows, rows], self.alpha[rows])
            found[rows, answer] = -np.inf
        return found


def kernel(left: Vectors, right: Vectors) -> Floats:
    """``exp(g (cosine - 1))`` of unit rows, shape (left, right)."""
    found: Floats = np.exp(GAIN * (left.astype(np.float64) @ right.T.astype(np.float64) - 1.0))
    return found


def fit(vectors: Vectors, owner: Places, answers: int) -> Head:
    """Fit a head. It takes about 0.1 s for 1,300 aliases and 2 s for 3,700; the cost grows with the cube.

    Args:
        vectors: The aliases' unit vectors, shape (n, dimensions).
        owner: The number of each alias's answer, in ascending order, shape (n,).
        answers: Number of answers.
    """
    targets = np.zeros((len(owner), answers))
    targets[np.arange(len(owner)), owner] = 1.0
    shares: Floats = np.asarray(targets.sum(axis=0) / max(1, len(owner)), np.float64)
    inverse = np.asarray(np.linalg.inv(kernel(vectors, vectors) + RIDGE * np.eye(len(owner))), np.float64)
    return Head(vectors, owner, inverse, inverse @ (targets - shares), shares)
