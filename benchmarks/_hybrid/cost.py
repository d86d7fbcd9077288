"""What a request costs in CPU: the real steps over synthetic factors, lists read out of LMDB by ``app.serve``.

Every way is timed block by block in turn, so that a slow moment of the machine meets all of them. CPU time is the
process's, with BLAS on one thread; latency is the clock's, in the same process.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import parbake as pb

from .catalogue import Catalogue, Stored, build_ahead, open_app
from .data import Ints
from .methods import LINEAR, TREES
from .models import Reranker

ROUNDS, BLOCK = 12, 100
Answer = Callable[[int], Awaitable[object]]
COMBINATIONS = ((TREES, 50), (LINEAR, 200))


@dataclass
class Timed:
    """CPU microseconds per request of each block, and the seconds that each request took."""

    cpu_us: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def us(self) -> float:
        """The median block."""
        return float(np.median(self.cpu_us))


@dataclass(frozen=True)
class Costs:
    """One catalogue with one reranker: each way's times, each step's CPU, and what building ahead takes.

    ``build_us`` is what a list takes in the batch, writing included, and ``event_us`` what computing one anew for an
    event takes (CPU microseconds); ``stored_bytes`` is what the store takes on disk per list.
    """

    items: int
    scorer: str
    count: int
    ways: Mapping[str, Timed]
    steps: Mapping[str, float]
    build_us: float
    event_us: float
    stored_bytes: float


FULL_BLAS, FULL_INDEX, HYBRID, STORED = "full, BLAS + argpartition", "full, exact index", "hybrid", "fully precomputed"


class Requests:
    """The ways to answer one shopper."""

    def __init__(self, catalogue: Catalogue, app: pb.App, scorer: str, reranker: Reranker) -> None:
        """Keep what every request needs."""
        self.catalogue, self.app = catalogue, app
        self.task = catalogue.task
        self.score = reranker.linear if scorer == LINEAR else reranker.boosted

    async def read(self, shopper: int) -> Stored:
        """Read the stored list through the contract."""
        return (await self.app.serve(self.task, f"u{shopper}")).unwrap()

    async def hybrid(self, shopper: int) -> Ints:
        """Read, drop what is owned, fold in, describe, rerank."""
        catalogue, stored = self.catalogue, await self.read(shopper)
        items, listed = catalogue.without_owned(shopper, stored)
        return self.finish(shopper, items, listed, catalogue.vector(shopper))

    async def full(self, shopper: int) -> Ints:
        """Fold in, score the whole catalogue, take the best, describe, rerank."""
        vector = self.catalogue.vector(shopper)
        items, listed = self.catalogue.retrieve(shopper, vector)
        return self.finish(shopper, items, listed, vector)

    async def indexed(self, shopper: int) -> Ints:
        """The same with the best exact kernel of the project."""
        vector = self.catalogue.vector(shopper)
        items, listed = self.catalogue.retrieve_indexed(shopper, vector)
        return self.finish(shopper, items, listed, vector)

    async def stored(self, shopper: int) -> Ints:
        """Read, and show what is stored without what is owned."""
        items, _ = self.catalogue.without_owned(shopper, await self.read(shopper))
        return items[:5]

    def finish(self, shopper: int, items: Ints, listed: np.ndarray, vector: np.ndarray) -> Ints:
        """Describe and rerank."""
        rows = self.catalogue.rows(shopper, items, listed, vector)
        return items[np.argsort(-self.score(rows), kind="stable")[:5]]

    def ways(self) -> dict[str, Answer]:
        """Every way that can be measured here."""
        found: dict[str, Answer] = {FULL_BLAS: self.full, HYBRID: self.hybrid, STORED: self.stored}
        return found | ({FULL_INDEX: self.indexed} if self.catalogue.index is not None else {})


async def measure(items: int, scorer: str, count: int, reranker: Reranker, folder: Path, *, rounds: int) -> Costs:
    """Build lists of ``count`` ahead, then time every way to answer and every step of it."""
    catalogue = Catalogue.make(items, count)
    app = open_app(folder, catalogue)
    with threadpool_limits(1, "blas"):
        build_us = await build_ahead(app, catalogue)
        requests = Requests(catalogue, app, scorer, reranker)
        ways = await in_turn(requests.ways(), catalogue.shoppers, rounds)
        steps = await step_times(requests, rounds)
    await app.close()
    event_us = steps["fold-in"] + steps["score all and take the best"]
    return Costs(items, scorer, count, ways, steps, build_us, event_us, size_on_disk(folder) / catalogue.shoppers)


def size_on_disk(folder: Path) -> int:
    """The bytes that a folder's files take."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


async def in_turn(ways: Mapping[str, Answer], shoppers: int, rounds: int) -> dict[str, Timed]:
    """Time every way in blocks by turns, after one block to warm up."""
    found = {name: Timed() for name in ways}
    for turn in range(-1, rounds):
        for name, way in ways.items():
            seconds, cpu = [], time.process_time()
            for n in range(BLOCK):
                before = time.perf_counter()
                await way((turn * BLOCK + n) % shoppers)
                seconds.append(time.perf_counter() - before)
            if turn >= 0:
                found[name].cpu_us.append((time.process_time() - cpu) / BLOCK * 1e6)
                found[name].seconds += seconds
    return found


async def step_times(requests: Requests, rounds: int) -> dict[str, float]:
    """CPU microseconds of each step by itself."""
    catalogue = requests.catalogue
    stored = {n: await requests.read(n) for n in range(BLOCK)}
    kept = {n: catalogue.without_owned(n, stored[n]) for n in stored}
    vectors = {n: catalogue.vector(n) for n in stored}
    rows = {n: catalogue.rows(n, *kept[n], vectors[n]) for n in stored}

    def plain(step: Callable[[int], object]) -> Answer:
        async def answer(shopper: int) -> object:
            return step(shopper)

        return answer

    steps = {
        "fold-in": plain(catalogue.vector),
        "read": requests.read,
        "filter": plain(lambda n: catalogue.without_owned(n, stored[n])),
        "features": plain(lambda n: catalogue.rows(n, *kept[n], vectors[n])),
        "rerank": plain(lambda n: np.argsort(-requests.score(rows[n]), kind="stable")[:5]),
        "score all and take the best": plain(lambda n: catalogue.retrieve(n, vectors[n])),
    }
    if catalogue.index is not None:
        steps["the same with the exact index"] = plain(lambda n: catalogue.retrieve_indexed(n, vectors[n]))
    return {name: timed.us for name, timed in (await in_turn(steps, BLOCK, rounds)).items()}
