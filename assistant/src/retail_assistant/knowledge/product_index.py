"""The product vectors in memory: a hint of where to look. Every hit is resolved again through the fence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

import parbake as pb
from parbake.protocol.record import Stamp
from parbake.tasks.task_types import Artifact

POLL_S = 0.5
EXACT_UP_TO = 50_000
"""A larger catalog is searched by a graph, if ``usearch`` is installed."""
_FIRST_ROOM = 64
_EFFORT = 256
"""How many products a search of the graph looks at: it misses hardly any of the nearest."""
_log = logging.getLogger("retail_assistant.index")


class Hit(NamedTuple):
    """A product, the cosine of its vector to what was looked for, and the same apart from what all products share."""

    asin: str
    cosine: float
    apart: float


class _Held:
    """Some products with their vectors, each as its direction and distance from the middle of all of them.

    The texts of a shop are alike in what the shop is about. Apart from that, they differ more clearly.
    """

    def __init__(self, vectors: Mapping[str, bytes], exact_up_to: int) -> None:
        stacked = [np.frombuffer(raw, np.float32) for raw in vectors.values()]
        matrix = np.stack(stacked) if stacked else np.zeros((0, 1), np.float32)
        self.asins = list(vectors)
        self.rows = {asin: row for row, asin in enumerate(self.asins)}
        self.middle: Any = matrix.mean(axis=0) if len(stacked) > 1 else np.float32(0)
        self.directions, self.distances = _unit(matrix - self.middle)
        self.graph: Any = _graph(self.directions) if len(self.asins) > exact_up_to else None

    def put(self, asin: str, vector: Any) -> None:
        row = self.rows.get(asin, len(self.asins))
        if row == len(self.directions):
            room = np.zeros((max(_FIRST_ROOM, row), len(vector)), np.float32)
            self.directions = np.vstack((self.directions, room)) if row else room
            self.distances = np.concatenate((self.distances, np.zeros(len(room), np.float32)))
        self._set(row, *_unit(vector - self.middle))
        if row == len(self.asins):
            self.asins.append(asin)
            self.rows[asin] = row

    def remove(self, asin: str) -> None:
        """Let the last product take the place of one."""
        row = self.rows.pop(asin, None)
        if row is None:
            return
        last, moved = len(self.asins) - 1, self.asins[-1]
        if row != last:
            self._set(row, self.directions[last], self.distances[last])
            self.asins[row], self.rows[moved] = moved, row
        self.asins.pop()
        if self.graph is not None:
            self.graph.remove(last)

    def nearest(self, vector: Any, limit: int, rows: list[int] | None) -> list[Hit]:
        """The nearest of some rows, or of all."""
        direction, _ = _unit(vector - self.middle)
        if rows is None and self.graph is not None:
            rows = [int(row) for row in self.graph.search(direction, limit).keys]
        chosen: Any = np.arange(len(self.asins)) if rows is None else np.array(rows)
        apart = (self.directions[: len(self.asins)] if rows is None else self.directions[chosen]) @ direction
        order = np.argsort(-apart)[:limit]
        best = chosen[order]
        middle = float(vector @ np.broadcast_to(self.middle, vector.shape))
        cosines = middle + self.distances[best] * (self.directions[best] @ vector)
        found = zip(best.tolist(), cosines.tolist(), apart[order].tolist(), strict=True)
        return [Hit(self.asins[row], cosine, far) for row, cosine, far in found]

    def _set(self, row: int, direction: Any, distance: Any) -> None:
        self.directions[row], self.distances[row] = direction, distance
        if self.graph is not None:
            self.graph.remove(row)
            self.graph.add(row, direction)


class ProductIndex:
    """Nearest neighbours over unit vectors: exact, in 10 ms at 50,000 products, or by a graph if there are more."""

    def __init__(self, *, exact_up_to: int = EXACT_UP_TO) -> None:
        """Start empty; a catalog of more products than ``exact_up_to`` is searched by a graph."""
        self._exact_up_to = exact_up_to
        self._held = _Held({}, exact_up_to)

    def __len__(self) -> int:
        """How many products it holds."""
        return len(self._held.asins)

    def replace(self, vectors: Mapping[str, bytes]) -> None:
        """Hold exactly these products; searches see all of them at once."""
        self._held = _Held(vectors, self._exact_up_to)

    def put(self, asin: str, raw: bytes | None) -> None:
        """Add, change or (``None``) remove one product."""
        if raw is None:
            self._held.remove(asin)
        else:
            self._held.put(asin, np.frombuffer(raw, np.float32))

    def search(self, vector: Any, limit: int, among: Collection[str] | None = None) -> list[Hit]:
        """Return the nearest products, best first.

        Args:
            vector: A float32 unit vector, shape (dimensions,).
            limit: How many are wanted at most.
            among: The only products that are looked for; all of them are compared.
        """
        held = self._held
        rows = None if among is None else [row for row in map(held.rows.get, among) if row is not None]
        return held.nearest(vector, limit, rows) if held.asins and rows != [] else []


def _unit(vectors: Any) -> tuple[Any, Any]:
    """Vectors as their directions and their lengths."""
    lengths = np.linalg.norm(vectors, axis=-1)
    return vectors / np.maximum(lengths, np.float32(1e-9))[..., None], lengths


def _graph(matrix: Any) -> Any:
    """A navigable graph of unit vectors by their rows; ``None`` without ``usearch`` (``pip install usearch``)."""
    try:
        library: Any = import_module("usearch.index")
    except ImportError:
        return None
    graph = library.Index(ndim=matrix.shape[1], metric="ip", dtype="f16", expansion_search=_EFFORT)
    graph.add(np.arange(len(matrix)), matrix, threads=1)  # several threads leave a few rows that nothing leads to
    return graph


class IndexFollower:
    """Keeps an index in step with the stored embeddings: whole after a batch run, product by product after events."""

    def __init__(self, app: pb.App, task: Artifact[str, bytes], index: ProductIndex) -> None:
        """``task`` is the artifact whose values are the vectors."""
        self._app = app
        self._task = task
        self._index = index
        self._generation = -1
        self._stamp = Stamp(0, 0)

    async def step(self) -> None:
        """Look once at what has changed."""
        generation = await self._app.ops.generation(self._task)
        if generation != self._generation:
            self._stamp = await self._app.stamp()
            stored = {key: value async for key, value in self._app.stored(self._task)}
            await asyncio.to_thread(self._index.replace, stored)
            self._generation = generation
            return
        for entry in await self._app.ops.raised_since(self._stamp):
            for tag in entry.tags:
                family, _, asin = tag.partition("/")
                if family == "product" and asin not in ("", "*"):
                    served = await self._app.serve(self._task, asin)
                    self._index.put(asin, served.value)
            self._stamp = entry.stamp

    async def run(self) -> None:
        """Follow until cancelled."""
        is_behind = False
        while True:
            try:
                await self.step()
            except pb.ParbakeError as error:
                _log.log(logging.DEBUG if is_behind else logging.WARNING, "the index cannot follow: %s", error)
                is_behind = True
            else:
                is_behind = False
            await asyncio.sleep(POLL_S)
