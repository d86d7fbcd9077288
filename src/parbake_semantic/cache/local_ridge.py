"""The head is fitted only to a question's nearest stored questions, so that adding a question needs no refit.

Kernel ridge regression on the 64 nearest (local learning; Bottou & Vapnik, Local learning algorithms, Neural
Computation 4, 1992). With k the kernel between the question and them, and K their own kernel, ``w = (K + l I)^-1 k``.
The score of an answer is ``sum_{i of the answer} w_i + p (1 - sum w)``, where p is its share of all stored questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg import get_lapack_funcs

from parbake.errors import BadInput
from parbake_semantic.cache.index import EXACT_UP_TO, Nearest
from parbake_semantic.policies.features import SHARPNESS
from parbake_semantic.policies.policy import Match, Ranking
from parbake_semantic.policies.ridge import GAIN, MAX_ALIASES, RIDGE
from parbake_semantic.text.arrays import Floats, Places, Vectors, unit_rows

_NEIGHBOURS = 64
(_solve,) = get_lapack_funcs(("posv",), dtype=np.float32)


class Neighbours:
    """Stored questions with their answers, and the match for a new question. Not thread-safe."""

    def __init__(self, dimensions: int, most: int | None = MAX_ALIASES, *, exact_up_to: int = EXACT_UP_TO) -> None:
        """Create an empty store.

        Args:
            dimensions: Dimensions of the vectors.
            most: The greatest number of questions per answer; ``None`` for no limit.
            exact_up_to: Beyond this number of questions, a graph finds the nearest (see
                :mod:`parbake_semantic.cache.index`).
        """
        self._most = most
        self._index = Nearest(dimensions, exact_up_to)
        self._owner: list[str] = []
        self._aliases: list[str] = []
        self._free: list[int] = []
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        """Number of stored questions."""
        return len(self._owner) - len(self._free)

    def checked(self, vector: object) -> Vectors:
        """The vector as a row of unit length; raises :class:`parbake.BadInput` if it cannot be used."""
        rows = unit_rows(vector, dimensions=self._index.dimensions, field="vector")
        if len(rows) != 1:
            raise BadInput(f"vector must be a single vector; got {len(rows)}", field="vector")
        row: Vectors = rows[0]
        return row

    def has_room(self, answer: str) -> bool:
        """Whether an answer may have one more question."""
        return self._most is None or self._counts.get(answer, 0) < self._most

    def add(self, vector: Vectors, answer: str, alias: str) -> int | None:
        """Store a question.

        Args:
            vector: Its unit vector, shape (dimensions,).
            answer: The name of its answer.
            alias: Its text.

        Returns:
            The row; ``None`` if the answer already has the greatest number of questions.
        """
        if not self.has_room(answer):
            return None
        if self._free:
            row = self._free.pop()
            self._index.put(row, vector)
            self._owner[row], self._aliases[row] = answer, alias
        else:
            row = len(self._owner)
            self._index.add(vector)
            self._owner.append(answer)
            self._aliases.append(alias)
        self._counts[answer] = self._counts.get(answer, 0) + 1
        return row

    def give(self, row: int, answer: str) -> None:
        """Assign a stored question to another answer."""
        self._uncount(self._owner[row])
        self._owner[row] = answer
        self._counts[answer] = self._counts.get(answer, 0) + 1

    def remove(self, row: int) -> None:
        """Remove a stored question; its row is given to another one."""
        self._uncount(self._owner[row])
        self._owner[row] = self._aliases[row] = ""
        self._index.put(row, None)
        self._free.append(row)

    def _uncount(self, answer: str) -> None:
        self._counts[answer] -= 1
        if not self._counts[answer]:
            del self._counts[answer]

    def match(self, vector: Vectors, ranking: Ranking = "head") -> Match | None:
        """The best answer for a unit vector; ``None`` if nothing is stored."""
        if not len(self):
            return None
        places, cosines, near = self._index.nearest(vector, _NEIGHBOURS)
        if self._free:
            kept = np.array([bool(self._owner[i]) for i in places])
            places, cosines, near = places[kept], cosines[kept], near[kept]
            if not len(places):
                return None
        owner = [self._owner[i] for i in places]
        number: dict[str, int] = {}
        group = np.array([number.setdefault(one, len(number)) for one in owner])
        answers = list(number)
        counts = [self._counts[a] for a in answers]
        scores = _scores(cosines, near, group, np.array(counts) / len(self))
        closest = np.full(len(answers), -1.0)
        np.maximum.at(closest, group, cosines)
        best = int((scores if ranking == "head" else closest).argmax())
        mass = np.bincount(group, np.exp(SHARPNESS * (cosines - 1.0)))
        first = int(np.where(group == best, cosines, -2.0).argmax())
        return Match(
            answers[best],
            float(scores[best]),
            _margin(scores, best),
            float(closest[best]),
            self._aliases[places[first]],
            _margin(closest, best),
            float(mass[best] / mass.sum()),
            math.log(counts[best]),
        )


def _scores(cosines: Floats, near: Vectors, group: Places, shares: Floats) -> Floats:
    kernel = near @ near.T
    kernel -= 1.0
    kernel *= GAIN
    np.exp(kernel, out=kernel)
    kernel.flat[:: len(kernel) + 1] += RIDGE  # so that it is positive definite
    weights = _solve(kernel, np.exp(GAIN * (cosines - 1.0)))[1].astype(np.float64)
    found: Floats = np.bincount(group, weights, len(shares)) + shares * (1.0 - weights.sum())
    return found


def _margin(values: Floats | Sequence[float], best: int) -> float:
    if len(values) == 1:
        return 1.0
    second, first = np.partition(values, -2)[-2:]
    return float(values[best] - (second if values[best] == first else first))
