"""Recommendations: are they better than the simple thing, and what does one cost?

Quality: NDCG@10 on the held-out last week of the generated log, with paired 95 % bootstrap intervals over shoppers.
Latency: the public ``await app.serve(recommendations, ...)`` out of LMDB, candidates -> live filter -> rerank -> 5, in
process; beside it the same request with the linear scorer, and the bare read of the candidates.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import lmdb
import msgspec
from _http_load import closed_loop, open_loop
from _log import read_log
from _recs_quality import Quality, evaluate
from _report import Goal, percentile, report
from _shop import KEY

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from retail_assistant.recs.als import Candidate
from retail_assistant.recs.recs_tasks import candidates, factors, recommendations, reranker, tasks, trending
from retail_assistant.recs.refining import Moment
from retail_assistant.recs.rerank import RerankerModel
from retail_assistant.recs.shelf import LiveShelf
from retail_assistant.recs.taste_view import History
from retail_assistant.recs.training import fitting
from retail_assistant.recs.training.week import Week
from retail_assistant.world import generate

READS, WARM = 5_000, 500
NOW = 1_790_000_000.0
SHORT = "15ms"
Serve = Callable[[str], Awaitable[object]]


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


class ByHand:
    """The steps of a recommendation with nothing around them: a bare get and decode, the shelf, the reranker."""

    def __init__(self, folder: Path, shelf: LiveShelf, model: RerankerModel) -> None:
        """Open a file of its own."""
        self._env = lmdb.open(str(folder / "bare"), map_size=1 << 28)
        self._shelf, self._model = shelf, model
        self._decode = msgspec.msgpack.Decoder(list[Candidate]).decode

    async def take(self, app: pb.App, shoppers: list[str]) -> None:
        """Copy what the store holds."""
        with self._env.begin(write=True) as txn:
            for shopper in shoppers:
                value = (await app.serve(candidates, shopper)).unwrap()
                txn.put(shopper.encode(), msgspec.msgpack.encode(value))

    async def recommend(self, shopper: str) -> object:
        """What the task does."""
        with self._env.begin() as txn:
            base = self._decode(txn.get(shopper.encode()))
        moment = Moment(shopper, self._shelf.events(shopper))
        return moment.choose(self._shelf, self._model, base, top=5, is_short=False)


def over_http(folder: Path, shoppers: list[str]) -> tuple[list[float], float]:
    """A server process at half of what it can take; seconds per request, and requests per second at most."""
    environment = {**os.environ, "RETAIL_HOME": str(folder), "STORE": f"lmdb://{folder}/store", "PARBAKE_TOKEN": KEY}
    words = [sys.executable, "-m", "parbake", "serve", "retail_assistant.compose:served", "--port", "0"]
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            return asyncio.run(_half_load(int(server.stderr.readline().rsplit(":", 1)[1]), shoppers))
        finally:
            server.terminate()


async def _half_load(port: int, shoppers: list[str]) -> tuple[list[float], float]:
    def body(number: int) -> object:
        shopper = shoppers[number % len(shoppers)]
        return {"key": shopper, "live": {"shopper": shopper}}

    path = "/v1/serve/recommendations"
    await closed_loop(port, path, body, 2.0, key=KEY)
    most = await closed_loop(port, path, body, 5.0, key=KEY)
    return await open_loop(port, path, body, most / 2, 10.0, key=KEY), most


async def latencies(folder: Path, shop: Path, shoppers: list[str]) -> dict[str, tuple[list[float], float]]:
    """Build everything ahead, as a first start does, then measure each way to answer."""
    shelf = LiveShelf(shop)
    families = ("user", "product", "policy", "promotion", "reviews")
    source = SqliteSource(shop, families=families, views=(History,))
    app = pb.App(
        tasks, store=f"lmdb://{folder}/store", sources=[source], open=["session"], resources={LiveShelf: shelf}
    )
    await app.drain()
    for task in (trending, factors, reranker):
        run = await app.materialize(task)
        for built in run.built:
            print(f"built {built.task}: {built.rows} rows in {built.took_s:.2f} s")

    by_hand = ByHand(folder, shelf, fitting.train(Week(read_log(shop))))
    await by_hand.take(app, shoppers)

    async def short(shopper: str) -> object:
        async with app.request(SHORT):
            return await app.serve(recommendations, shopper, shopper=shopper)

    ways: dict[str, Serve] = {
        "recommendations": lambda shopper: app.serve(recommendations, shopper, shopper=shopper),
        "the same steps by hand": by_hand.recommend,
        "with words": lambda shopper: app.serve(recommendations, shopper, shopper=shopper, words="no horror, please"),
        "linear scorer": short,
        "candidates only": lambda shopper: app.serve(candidates, shopper),
    }
    found = {name: await measure(way, shoppers) for name, way in ways.items()}
    await app.close()
    shelf.close()
    return found


def goals(quality: Quality) -> list[Goal]:
    """The stated goals."""
    gains = (("factors - trending", quality.factors_gain), ("reranker - base order", quality.reranker_gain))
    return [
        Goal(f"NDCG@10 {name}: mean {gain.mean:.3f}, 95 % from", gain.low, "", "> 0", gain.low > 0)
        for name, gain in gains
    ]


def at_most(what: str, value: float, unit: str, most: float) -> Goal:
    """A goal from above."""
    return Goal(what, value, unit, f"<= {most:g}", value <= most)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=2_000)
    parser.add_argument("--shoppers", type=int, default=10_000)
    sizes = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shop = Path(folder, "shop.db")
        generate(shop, now=NOW, products=sizes.products, shoppers=sizes.shoppers, messages=0)
        quality = evaluate(read_log(shop))
        with contextlib.closing(sqlite3.connect(shop)) as conn:
            shoppers = [row[0] for row in conn.execute("SELECT id FROM shoppers ORDER BY id LIMIT 5000")]
        found = asyncio.run(latencies(Path(folder), shop, shoppers))
        http, most = over_http(Path(folder), shoppers)
    rows = [(name, percentile(t, 50) * 1e6, percentile(t, 99) * 1e6, per_s) for name, (t, per_s) in found.items()]
    overhead = rows[0][1] / rows[1][1] - 1
    rows.append((f"over HTTP, half of {most:.0f}/s", percentile(http, 50) * 1e6, percentile(http, 99) * 1e6, most))
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
            "by_hand_p50_us": rows[1][1],
            "http_p50_us": rows[-1][1],
            "http_p99_us": rows[-1][2],
            "http_per_second": most,
            **{f"ndcg10_{name}": mean for name, mean in means.items()},
            "factors_gain_low": quality.factors_gain.low,
            "reranker_gain_low": quality.reranker_gain.low,
        },
        goals=[
            *goals(quality),
            at_most("LightGBM over 50, p50", rows[0][1], "us", 300),
            at_most("LightGBM over 50, p99", rows[0][2], "us", 1000),
            at_most("framework on top of the steps by hand", overhead * 100, "%", 15),
            at_most("over HTTP at half load, p50", rows[-1][1] / 1e3, "ms", 1.5),
            at_most("over HTTP at half load, p99", rows[-1][2] / 1e3, "ms", 5),
        ],
    )


if __name__ == "__main__":
    main()
