"""Exact best items for many vectors: maximum inner product search over the whole catalog.

Scores are counted block by block with a float32 matrix product, and only those above a threshold of their vector are
examined: the score of the K-th best item so far, less the possible error of float32 (a dot product of n terms errs by
at most ``n u / (1 - n u)`` times the product of the norms; Higham, Accuracy and Stability of Numerical Algorithms,
section 3.1). Items stand in the order of their norms, so that a vector is finished once the norms of the rest cannot
reach its threshold (Cauchy-Schwarz). What remains is scored again in float64: a result depends neither on the size of a
block nor on the other vectors of the same call.

Plain numpy is enough, since most of the time goes into the matrix product. BLAS runs it on one thread: blocks that fit
into a cache are so small that two threads make a search about twice as slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import parbake as pb
from retail_assistant.recs.log import Flags, Floats, Ints

DECIMALS = 5
Matrix = NDArray[np.float32]
Best = tuple[Ints, Floats]
"""Positions of items and their scores, best first."""

VECTORS = 1024
"""How many vectors are searched at once: a call with as many, or a multiple, is the cheapest."""
_AREA = 1 << 18  # scores in a block; it then takes a megabyte, which fits into the cache of one core
_FEWEST, _MOST = 256, 4096  # items in a block
_FRESH = 32  # new scores per vector for which raising the threshold pays
_KEPT = 1 << 20  # scores kept before they are cut to the best; all items can have equal scores
_RESCORED = 2048
_CAUTION = 0.06  # a guessed floor stays this far below the known scores; too high a guess costs a second search
_STEP = 10.0**-DECIMALS


class Index:
    """Item factors prepared for search. An index is immutable, so threads may share it.

    ``items`` are the positions of the items with factors, longest vectors first; ``learned`` is a mask of them.
    """

    def __init__(self, factors: Matrix) -> None:
        """``factors`` is (items, dims), float32. Raises :class:`parbake.BadInput` for factors that are not finite."""
        norms = _norms(factors, "factors")
        order = np.argsort(-norms, kind="stable")
        self.items: Ints = order[: np.count_nonzero(norms)]
        self.factors = np.ascontiguousarray(factors[self.items])
        self.columns = np.ascontiguousarray(self.factors.T)  # the layout that the matrix product reads fastest
        self.norms = norms[self.items]
        self.place: Ints = np.full(len(factors), -1)
        self.place[self.items] = np.arange(len(self.items))
        self.learned: Flags = self.place >= 0
        terms = (factors.shape[1] + 2) * 2.0**-24  # two more for :class:`_Front`
        self.error = terms / (1.0 - terms) * self.norms.max(initial=0.0)

    def top(self, vectors: Matrix, barred: Sequence[Ints], *, hidden: Flags, count: int) -> list[Best]:
        """Return each vector's ``count`` best items, or all of them if there are fewer.

        ``vectors`` is (vectors, dims), float32; ``barred`` has the positions that each vector must not get, ``hidden``
        is a mask of the items for no vector. Scores are rounded to five decimals, and equal ones are in the order of
        the items. Items whose factors are all zero are never returned. Raises :class:`parbake.BadInput` for vectors
        that are not finite or that would give an infinite score, and for a count below 1.
        """
        if count < 1:
            raise pb.BadInput(f"count={count} must be at least 1", field="count")
        lengths = _norms(vectors, "vectors")
        if lengths.max(initial=0.0) * self.norms.max(initial=0.0) >= np.finfo(np.float32).max / 2:
            raise pb.BadInput("vectors are so long that a score would not be finite", field="vectors")
        found: list[Best] = []
        allowed, reach = ~hidden[self.items], -np.inf
        with _pools().limit(limits=1, user_api="blas"):
            for start in range(0, len(vectors), VECTORS):
                part = slice(start, start + VECTORS)
                search = _Search(self, (vectors[part], lengths[part]), barred[part], allowed, count)
                found += search.run(reach)
                reach = search.reach()
        return found


class _Front:
    """The vectors that are still searched, prepared for the product with the next block.

    If all floors are well above 0, each vector is divided by its own floor, so that one bar applies to the whole block:
    numpy compares with a number three times as fast as with a column.
    """

    def __init__(self, search: _Search, rows: Ints, *, is_scaled: bool = True) -> None:
        floor, self.rows, self.is_scaled = search.floor[rows], rows, is_scaled
        well_above = search.lengths[rows] * max(1e-6 * search.index.norms[0], 1e-30)
        self.unit = np.ones(len(rows), dtype=np.float32)
        self.bar: Matrix | np.float32 = floor[:, None]
        if is_scaled and (floor > well_above).all():
            self.unit, self.bar = floor, np.float32(1.0)
        self.vectors = search.vectors[rows] / self.unit[:, None]


class _Search:
    """Searches for several vectors at once: the K best scores so far, and the floor above which scores are examined."""

    def __init__(
        self, index: Index, vectors: tuple[Matrix, Floats], barred: Sequence[Ints], allowed: Flags, count: int
    ) -> None:
        self.index, self._barred, self._allowed = index, barred, allowed
        self.vectors, self.lengths = vectors
        self._slack = 2.0 * (index.error * self.lengths + _STEP)
        self._best = np.full((len(barred), min(count, len(index.items))), -np.inf, dtype=np.float32)
        self.floor: Matrix = np.full(len(barred), -np.inf, dtype=np.float32)
        self._kept: list[_Scored] = []
        self._fresh: list[_Scored] = []
        self._news = 0

    def reach(self) -> float:
        """Return the share of a vector's length that its K-th best score nearly always reaches, from this search."""
        last = self._best[:, :1].min(axis=1, initial=np.inf)
        known = (self.lengths > 0) & np.isfinite(last)
        lowest = float((last[known] / self.lengths[known]).min(initial=np.inf))
        return lowest - _CAUTION * abs(lowest) if known.any() else -np.inf

    def run(self, reach: float) -> list[Best]:
        """Search above guessed floors (see :meth:`reach`), again without one for vectors whose guess was too high."""
        guess = self.floor
        if reach > -np.inf:
            guess = (reach * self.lengths).astype(np.float32)
            self.floor = guess.copy()
        if len(self.index.items):
            self._scan()
        row, place, score = self._cut()
        ends = np.searchsorted(row, np.arange(len(self._best) + 1))
        items = self.index.items[place]
        found = [(items[a:b], score[a:b]) for a, b in pairwise(ends.tolist())]
        again = np.flatnonzero(self._lowered() < guess).tolist()
        if again:
            part = (self.vectors[again], self.lengths[again])
            retry = _Search(self.index, part, [self._barred[n] for n in again], self._allowed, self._best.shape[1])
            for n, best in zip(again, retry.run(-np.inf), strict=True):
                found[n] = best
            self._best[again] = retry._best
        return found

    def _scan(self) -> None:
        front, start, owned = _Front(self, np.arange(len(self.floor)), is_scaled=False), 0, self._owned()
        scores = np.empty(max(_AREA, len(self.floor) * _FEWEST), dtype=np.float32)
        flags = np.empty(len(scores), dtype=np.bool_)
        while start < len(self.index.items) and len(front.rows):
            width = min(max(_FEWEST, _AREA // len(front.rows)), _MOST, len(self.index.items) - start)
            block = scores[: len(front.rows) * width].reshape(len(front.rows), width)
            np.matmul(front.vectors, self.index.columns[:, start : start + width], out=block)
            self._bar(block, front.rows, start, owned)
            if not start:
                block[:, ~self._allowed[:width]] = -np.inf
                self._raise(front.rows, block)
                front = _Front(self, front.rows, is_scaled=False)
            self._collect(block, flags[: block.size], front, start)
            start += width
            front = self._advance(front, start)
        self._settle(front.rows)

    def _owned(self) -> tuple[Ints, Ints]:
        """The barred items as rows and places, ordered by place."""
        row = np.repeat(np.arange(len(self._barred)), [len(items) for items in self._barred])
        place = self.index.place[np.concatenate([np.empty(0, dtype=np.int64), *self._barred])]
        order = np.argsort(place, kind="stable")
        order = order[np.count_nonzero(place < 0) :]
        return row[order], place[order]

    def _bar(self, block: Matrix, rows: Ints, start: int, owned: tuple[Ints, Ints]) -> None:
        low, high = owned[1].searchsorted((start, start + block.shape[1]))
        if low < high:
            row, place = owned[0][low:high], owned[1][low:high] - start
            line = np.minimum(rows.searchsorted(row), len(rows) - 1)
            here = rows[line] == row
            block[line[here], place[here]] = -np.inf

    def _collect(self, block: Matrix, flags: Flags, front: _Front, start: int) -> None:
        """Keep the scores above the floor."""
        np.greater(block, front.bar, out=flags.reshape(block.shape))
        hits = np.flatnonzero(flags)
        line, column = np.divmod(hits, block.shape[1])
        scored = front.rows[line], column + start, block.ravel()[hits] * front.unit[line]
        if start:
            scored = _chosen(scored, self._allowed[scored[1]])
            self._fresh.append(scored)
            self._news += len(scored[0])
        self._kept.append(scored)

    def _advance(self, front: _Front, start: int) -> _Front:
        """Raise the floors if that pays, and drop the vectors for which no item from ``start`` on can matter."""
        rows, is_changed = front.rows, not front.is_scaled
        if self._news >= _FRESH * len(rows):
            is_changed = True
            self._settle(rows)
        rest = self.index.norms[start] if start < len(self.index.items) else 0.0
        bound = self.lengths[rows] * rest
        if (bound < self.floor[rows]).any():
            is_changed = True
            self._settle(rows)
            rows = rows[bound >= self.floor[rows]]
        return _Front(self, rows) if is_changed else front

    def _settle(self, active: Ints) -> None:
        """Raise the floors by the scores found since the last call."""
        if self._fresh:
            row, _, score = _joined(self._fresh)
            self._fresh, self._news = [], 0
            self._raise(active, _padded(np.searchsorted(active, row), score, len(active)))
        if sum(len(row) for row, _, _ in self._kept) > _KEPT:
            row, place, exact = self._cut()
            self._kept = [(row, place, exact.astype(np.float32))]

    def _raise(self, active: Ints, scores: Matrix) -> None:
        count = self._best.shape[1]
        both = np.concatenate((self._best[active], scores), axis=1)
        both.partition(both.shape[1] - count, axis=1)
        self._best[active] = both[:, -count:]
        self.floor[active] = np.maximum(self.floor[active], self._lowered()[active])

    def _lowered(self) -> Matrix:
        """The bound below which a score cannot matter, because it would be rounded to less than the K-th best."""
        last = self._best[:, :1].min(axis=1, initial=np.inf)
        below: Matrix = np.nextafter((last - self._slack).astype(np.float32), np.float32(-np.inf))
        return below

    def _cut(self) -> tuple[Ints, Ints, Floats]:
        """Return the K best of the kept scores: rows, places and rounded scores, in their final order."""
        row, place, score = _joined(self._kept)
        row, place, _ = _chosen((row, place, score), score > self.floor[row])
        exact = np.empty(len(row))
        for start in range(0, len(row), _RESCORED):
            part = slice(start, start + _RESCORED)
            factors, vectors = self.index.factors[place[part]], self.vectors[row[part]]
            np.einsum("nd,nd->n", factors, vectors, out=exact[part], dtype=np.float64)
        exact = np.round(exact, DECIMALS)
        order = np.argsort(self.index.items[place])
        order = order[np.argsort(-exact[order], kind="stable")]
        order = order[np.argsort(row[order].astype(np.uint16), kind="stable")]
        row, place, exact = row[order], place[order], exact[order]
        rank = np.arange(len(row)) - np.searchsorted(row, np.arange(len(self._best)))[row]
        near = rank < self._best.shape[1]
        return row[near], place[near], exact[near]


_Scored = tuple[Ints, Ints, Matrix]
"""Rows, places and scores, which run parallel."""


@cache
def _pools() -> Any:
    """Return the controller of BLAS' threads; finding the libraries takes milliseconds, so it is cached."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _norms(values: Matrix, name: str) -> Floats:
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise pb.BadInput(f"{name}: row {row} is not finite", field=name)
    norms: Floats = np.sqrt(np.einsum("nd,nd->n", values, values, dtype=np.float64))
    return norms


def _joined(parts: Sequence[_Scored]) -> _Scored:
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    row, place, score = (np.concatenate(column) for column in zip(*parts, strict=True))
    return row, place, score


def _chosen(scored: _Scored, keep: Flags) -> _Scored:
    row, place, score = scored
    return (row[keep], place[keep], score[keep])


def _padded(row: Ints, score: Matrix, rows: int) -> Matrix:
    """Arrange scores as a matrix with a line for each row."""
    order = np.argsort(row.astype(np.uint16), kind="stable")
    row, score = row[order], score[order]
    sizes = np.bincount(row, minlength=rows)
    lines = np.full((rows, sizes.max(initial=0)), -np.inf, dtype=np.float32)
    lines[row, np.arange(len(row)) - (np.cumsum(sizes) - sizes)[row]] = score
    return lines
