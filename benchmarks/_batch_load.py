"""What requests feel of a batch run, and how soon a purchase is seen in the candidates."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
from _report import Goal, percentile

import parbake as pb

HERE = Path(__file__).parent
RATE, SETTLE_S, MEASURED_S = 100, 8.0, 20.0
PURCHASES, PER_SECOND = 1_000, 50
Part = tuple[dict[str, float], list[Goal]]
World = Callable[..., AbstractContextManager[Path]]


@contextlib.contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside the body, and end it with the body."""
    with subprocess.Popen([sys.executable, "-m", *words], cwd=HERE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def requests(world: World) -> Part:
    """A server under an even load: alone, beside a throttled run, beside one that gives way to nothing."""
    with world(BATCH_SHOPPERS=5_000, BATCH_ITEMS=20_000):
        subprocess.run(
            [sys.executable, "-m", "parbake", "materialize", "_batch_app:build", "items"], cwd=HERE, check=True
        )
        os.environ["BATCH_SHOPPERS"] = "5000000"
        with started("parbake", "serve", "_batch_app:build", "--port", "0") as server:
            assert server.stderr is not None
            line = server.stderr.readline()
            address = line.split(" at ")[1].strip()
            found = asyncio.run(_measured(address))
    ratio = found["throttled_p95_ms"] / found["idle_p95_ms"]
    return found, [Goal("p95 of requests, batch with throttle / idle", ratio, "times", "<= 1.1", ratio <= 1.1)]


async def _measured(address: str) -> dict[str, float]:
    async with httpx.AsyncClient(base_url=address) as client:
        await _load(client, SETTLE_S)
        found: dict[str, float] = {}
        for name, app in (("throttled", "build"), ("unthrottled", "build_rude")):
            idle = await _load(client, MEASURED_S / 2)
            with started("parbake", "materialize", f"_batch_app:{app}", "candidates", "--processes", "2"):
                await _load(client, SETTLE_S)
                found[f"{name}_p95_ms"] = percentile(await _load(client, MEASURED_S), 95) * 1e3
            await _load(client, SETTLE_S)
            idle += await _load(client, MEASURED_S / 2)
            found[f"{name}_idle_p95_ms"] = percentile(idle, 95) * 1e3
        found["idle_p95_ms"] = found["throttled_idle_p95_ms"]
        return found


async def _load(client: httpx.AsyncClient, seconds: float) -> list[float]:
    """An even load of reads for some seconds; how long each took."""
    took: list[float] = []
    began = time.perf_counter()

    async def one(number: int) -> None:
        before = time.perf_counter()
        answer = await client.post("/v1/serve/candidates", json={"key": f"u{number * 37 % 5000:08}"})
        answer.raise_for_status()
        took.append(time.perf_counter() - before)

    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * RATE)):
            group.create_task(one(number))
            await asyncio.sleep(max(0.0, began + (number + 1) / RATE - time.perf_counter()))
    return took


def refresh() -> Part:
    """Purchases at an even rate in a generated shop, with its worker beside: until new candidates can be read."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"RETAIL_HOME": folder, "RETAIL_SHOPPERS": "10000", "RETAIL_PRODUCTS": "2000"}
        subprocess.run([sys.executable, "-m", "retail_assistant", "prepare"], check=True, stderr=subprocess.DEVNULL)
        with started("parbake", "worker", "retail_assistant.compose:served"):
            taken = asyncio.run(_purchases())
    p99 = percentile(taken, 99)
    figures = {"refresh_p50_ms": percentile(taken, 50) * 1e3, "refresh_p99_ms": p99 * 1e3, "purchases": len(taken)}
    return figures, [Goal(f"purchase to readable candidates at {PER_SECOND}/s, p99", p99, "s", "<= 1", p99 <= 1)]


async def _purchases() -> list[float]:
    from retail_assistant.compose import build
    from retail_assistant.recs.tasks import candidates
    from retail_assistant.settings import from_environment
    from retail_assistant.shop import records, schema

    settings = from_environment()
    app = build(settings)
    taken: list[float] = []
    with contextlib.closing(schema.connect(settings.data / "shop.db")) as conn:
        products = [row[0] for row in conn.execute("SELECT asin FROM products WHERE listed = 1 ORDER BY asin")]
        with conn:
            conn.execute("UPDATE inventory SET quantity = 1000000")  # a sold-out book is no purchase
        await asyncio.sleep(5)  # the worker comes up

        async def bought(shopper: str, asin: str) -> None:
            records.add_purchase(conn, shopper=shopper, asin=asin, now=time.time())
            await app.drain()
            acked = time.perf_counter()
            async for served in _reads(app, candidates, shopper):
                if served.verdict is pb.Verdict.FRESH:  # until then it says that a refresh is pending
                    break
            taken.append(time.perf_counter() - acked)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(PURCHASES):
                group.create_task(bought(f"u{number * 7 % 9000:05}", products[number * 13 % len(products)]))
                await asyncio.sleep(max(0.0, began + (number + 1) / PER_SECOND - time.perf_counter()))
    await app.close()
    return taken


async def _reads(app: pb.App, task: pb.Artifact, shopper: str) -> AsyncIterator[pb.Served]:
    """Read a shopper's candidates again and again, for at most half a minute."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        yield await app.serve(task, shopper)
        await asyncio.sleep(0.005)
    raise SystemExit(f"the candidates of {shopper} were not refreshed in half a minute")
