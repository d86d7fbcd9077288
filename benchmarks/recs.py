"""Recommendations: are they better than the simple thing, and what does one cost?

Quality: NDCG@10 on the held-out last week of the generated log, with paired 95 % bootstrap intervals over shoppers.
Latency: the public ``await app.serve(recommendations, ...)`` out of LMDB, candidates -> live filter -> rerank -> 5, in
process; beside it the same request with the linear scorer, and the bare read of the candidates.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

from _report import Goal, percentile, report

import parbake as pb
from retail_assistant.recs import evaluate
from retail_assistant.recs.shelf import LiveShelf
from retail_assistant.recs.tasks import candidates, factors, recommendations, reranker, tasks, trending
from retail_assistant.recs.views import History
from retail_assistant.shop.world import generate

READS, WARM = 5_000, 500
NOW = 1_790_000_000.0
SHORT = "15ms"
Serve = Callable[[str], Awaitable[object]]


class Quiet:
    """A tracker that notes nothing, for reading a view outside a task."""

    def entity(self, tag: str) -> None:
        """See the tracker port."""

    def whole_set(self, family: str) -> None:
        """See the tracker port."""

    def query(
        self, view: type[object], statement: str, parameters: Mapping[str, object], rows: Sequence[object]
    ) -> None:
        """See the tracker port."""


@contextlib.contextmanager
def opened(source: pb.SqliteSource) -> Iterator[History]:
    """The history view, outside any task."""
    with contextlib.closing(source), source.open(History, Quiet()) as view:
        yield view


async def measure(serve: Serve, shoppers: list[str]) -> tuple[list[float], float]:
    """Seconds per call after a warm-up, and calls per CPU-second."""
    for n in range(WARM):
        await serve(shoppers[n % len(shoppers)])
    times, cpu = [], time.process_time()
    for n in range(READS):
        before = time.perf_counter()
        await serve(shoppers[n % len(shoppers)])
        times.append(time.perf_counter() - before)
    return times, READS / (time.process_time() - cpu)


async def latencies(folder: Path, shop: Path, shoppers: list[str]) -> dict[str, tuple[list[float], float]]:
    """Build everything ahead, as a first start does, then measure each way to answer."""
    shelf = LiveShelf(shop)
    families = ("user", "product", "policy", "promotion", "reviews")
    source = pb.SqliteSource(shop, families=families, views=(History,))
    app = pb.App(tasks, store=f"lmdb://{folder}/store", sources=[source], resources={LiveShelf: shelf})
    await app.drain()
    for task in (trending, factors, reranker):
        run = await app.materialize(task)
        for built in run.built:
            print(f"built {built.task}: {built.rows} rows in {built.took_s:.2f} s")

    async def short(shopper: str) -> object:
        async with app.request(SHORT):
            return await app.serve(recommendations, shopper, shopper=shopper)

    ways: dict[str, Serve] = {
        "recommendations": lambda shopper: app.serve(recommendations, shopper, shopper=shopper),
        "with words": lambda shopper: app.serve(recommendations, shopper, shopper=shopper, words="no horror, please"),
        "linear scorer": short,
        "candidates only": lambda shopper: app.serve(candidates, shopper),
    }
    found = {name: await measure(way, shoppers) for name, way in ways.items()}
    await app.close()
    shelf.close()
    return found


def goals(quality: evaluate.Quality, p50_us: float) -> list[Goal]:
    """The stated goals."""
    gains = (("factors - trending", quality.factors_gain), ("reranker - base order", quality.reranker_gain))
    stated = [
        Goal(f"NDCG@10 {name}: mean {gain.mean:.3f}, 95 % from", gain.low, "", "> 0", gain.low > 0)
        for name, gain in gains
    ]
    return [*stated, Goal("recommendations p50", p50_us, "us", "<= 500", p50_us <= 500)]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=2_000)
    parser.add_argument("--shoppers", type=int, default=10_000)
    sizes = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shop = Path(folder, "shop.db")
        generate(shop, now=NOW, products=sizes.products, shoppers=sizes.shoppers, messages=0)
        with opened(pb.SqliteSource(shop, families=("user",), views=(History,))) as view:
            quality = evaluate.evaluate(view.log())
        with contextlib.closing(sqlite3.connect(shop)) as conn:
            shoppers = [row[0] for row in conn.execute("SELECT id FROM shoppers ORDER BY id LIMIT 5000")]
        found = asyncio.run(latencies(Path(folder), shop, shoppers))
    rows = [(name, percentile(t, 50) * 1e6, percentile(t, 99) * 1e6, per_s) for name, (t, per_s) in found.items()]
    means = {name: float(getattr(quality, name).mean()) for name in ("trending", "factors", "trees", "linear")}
    for name, mean in means.items():
        print(f"NDCG@10 {name}: {mean:.4f} ({len(quality.trees)} shoppers)")
    report(
        "recs",
        ("what", "p50 us", "p99 us", "per CPU-second"),
        rows,
        figures={
            "p50_us": rows[0][1],
            "p99_us": rows[0][2],
            "per_cpu_second": rows[0][3],
            **{f"ndcg10_{name}": mean for name, mean in means.items()},
            "factors_gain_low": quality.factors_gain.low,
            "reranker_gain_low": quality.reranker_gain.low,
        },
        goals=goals(quality, rows[0][1]),
    )


if __name__ == "__main__":
    main()
