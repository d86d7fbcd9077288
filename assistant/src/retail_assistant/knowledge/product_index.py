"""The product vectors in memory: a hint of where to look. Every hit is resolved again through the fence."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import numpy as np

import parbake as pb
from parbake.protocol.record import Stamp
from parbake.tasks.task_types import Artifact

POLL_S = 0.5
_log = logging.getLogger("retail_assistant.index")


class ProductIndex:
    """Exact nearest neighbours over unit vectors (microseconds at a few thousand products)."""

    def __init__(self) -> None:
        """Start empty."""
        self._rows: dict[str, int] = {}
        self._asins: list[str] = []
        self._vectors: Any = np.zeros((0, 1), np.float32)

    def __len__(self) -> int:
        """How many products it holds."""
        return len(self._rows)

    def replace(self, vectors: dict[str, bytes]) -> None:
        """Hold exactly these products."""
        self._asins = list(vectors)
        self._rows = {asin: i for i, asin in enumerate(self._asins)}
        stacked = [np.frombuffer(raw, np.float32) for raw in vectors.values()]
        self._vectors = np.stack(stacked) if stacked else np.zeros((0, 1), np.float32)

    def put(self, asin: str, raw: bytes | None) -> None:
        """Add, change or (``None``) remove one product."""
        kept = {a: self._vectors[i].tobytes() for a, i in self._rows.items() if a != asin}
        if raw is not None:
            kept[asin] = raw
        self.replace(kept)

    def search(self, vector: Any, limit: int) -> list[tuple[str, float]]:
        """The nearest products with their cosines, best first."""
        if not self._asins:
            return []
        cosines = self._vectors @ vector
        top = np.argsort(-cosines)[:limit]
        return [(self._asins[i], float(cosines[i])) for i in top]


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
            self._index.replace(stored)
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
        while True:
            try:
                await self.step()
            except pb.ParbakeError as error:
                _log.warning("the index could not follow: %s", error)
            await asyncio.sleep(POLL_S)
