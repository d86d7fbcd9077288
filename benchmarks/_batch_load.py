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
from statistics import mean, median

import httpx
from _report import Goal, percentile

import parbake as pb
from parbake.tasks.task_types import Artifact

HERE = Path(__file__).parent
RATE, SETTLE_S, MEASURED_S, TURNS, RUNS = 100, 6.0, 8.0, 2, 3
BATCH_SHOPPERS, LONGEST_START_S = 500_000, 120.0
CHUNK = 1024
SPIN = """
import os
hasattr(os, "SCHED_IDLE") and os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while True: pass
"""
"""Takes every processor that nobody else wants, at the lowest priority, and computes nothing."""
PURCHASES, PER_SECOND = 1_000, 50
GOAL = 1.1
Part = tuple[dict[str, float], list[Goal]]
World = Callable[..., AbstractContextManager[Path]]


@contextlib.contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside the body, and end it with the body."""
    with subprocess.Popen([sys.executable, *words], cwd=HERE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def requests(world: World) -> Part:
    """A server under an even load in three runs: alone, beside what only spins, beside a throttled batch run.

    At the end once beside a batch run that gives way to nothing. The worst of the three runs is the goal's.
    """
    with world(BATCH_SHOPPERS=5_000, BATCH_ITEMS=20_000) as folder:
        subprocess.run(
            [sys.executable, "-m", "parbake", "materialize", "_batch_app:build", "items"], cwd=HERE, check=True
        )
        os.environ["BATCH_SHOPPERS"] = str(BATCH_SHOPPERS)
        with started("-m", "parbake", "serve", "_batch_app:build", "--port", "0") as server:
            assert server.stderr is not None
            line = server.stderr.readline()
            address = line.split(" at ")[1].strip()
            runs, rude = asyncio.run(_measured(address, folder))
    return _judged(runs, rude)


def _judged(runs: list[dict[str, float]], rude: dict[str, float]) -> Part:
    """The medians, and of the ratios the worst. Where ``again``, idle to idle, is over the goal, nothing is shown."""
    found = {f"{name}_p95_ms": median(run[name] for run in runs) * 1e3 for name in ("idle", "spinning", "batch")}
    found |= {"throttled_keys_per_s": median(run["keys_per_s"] for run in runs)}
    found |= {"unthrottled_ratio": rude["batch"] / rude["idle"], "unthrottled_keys_per_s": rude["keys_per_s"]}
    for name, shown in (("batch", "throttled"), ("spinning", "spinning")):
        ratios = [run[name] / run["idle"] for run in runs]
        found |= {f"{shown}_ratio": median(ratios), f"{shown}_ratio_worst": max(ratios)}
    apart = [max(run["first"], run["again"]) / min(run["first"], run["again"]) for run in runs]
    found |= {"again_ratio": median(apart), "again_ratio_worst": max(apart)}
    worst = found["throttled_ratio_worst"]
    what = "p95 of requests, batch with throttle / idle, the worst of three runs"
    return found, [Goal(what, worst, "times", "<= 1.1", worst <= GOAL)]


async def _measured(address: str, folder: Path) -> tuple[list[dict[str, float]], dict[str, float]]:
    """What each run found, and what was found beside a batch run that gives way to nothing."""
    async with httpx.AsyncClient(base_url=address) as client:
        await _load(client, SETTLE_S)
        runs = [await _compared(client, folder, "build") for _ in range(RUNS)]
        return runs, await _compared(client, folder, "build_rude")


async def _compared(client: httpx.AsyncClient, folder: Path, app: str) -> dict[str, float]:
    """Alone twice, beside spinning, and beside a run of an app, in turns that share what else the machine does.

    The 95th percentiles in seconds, and how many keys the run of the app computed per second.
    """
    took: dict[str, list[float]] = {"first": [], "spinning": [], "again": [], "batch": []}
    rates: list[float] = []
    for _ in range(TURNS):
        took["first"] += await _load(client, MEASURED_S)
        with contextlib.ExitStack() as stack:
            for _ in range(os.cpu_count() or 1):
                stack.enter_context(started("-c", SPIN))
            took["spinning"] += await _load(client, MEASURED_S)
        took["again"] += await _load(client, MEASURED_S)
        seconds, rate = await _beside(client, folder, app)
        took["batch"] += seconds
        rates.append(rate)
        await _load(client, SETTLE_S)
    took["idle"] = took["first"] + took["again"]
    return {name: percentile(seconds, 95) for name, seconds in took.items()} | {"keys_per_s": mean(rates)}


async def _beside(client: httpx.AsyncClient, folder: Path, app: str) -> tuple[list[float], float]:
    """Requests beside a run that computes, as the log of its calls shows; and how many keys it computed per second."""
    log = folder / "calls"
    log.unlink(missing_ok=True)
    os.environ["BATCH_LOG"] = str(log)
    with started(
        "-m", "parbake", "materialize", f"_batch_app:{app}", "candidates", "--processes", "2", "--anew"
    ) as run:
        os.environ.pop("BATCH_LOG")
        until = time.monotonic() + LONGEST_START_S
        while not log.exists():  # it lists its keys first
            if time.monotonic() > until:
                raise SystemExit("the batch run did not begin to compute in time")
            await _load(client, 1.0)
        await _load(client, SETTLE_S)
        before = _calls(log)
        took = await _load(client, MEASURED_S)
        if run.poll() is not None:
            raise SystemExit("the batch run ended while requests were measured")
        return took, (_calls(log) - before) * CHUNK / MEASURED_S


def _calls(log: Path) -> int:
    return len(log.read_text().split())


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
        with started("-m", "parbake", "worker", "retail_assistant.compose:served"):
            taken = asyncio.run(_purchases())
    p99 = percentile(taken, 99)
    figures = {"refresh_p50_ms": percentile(taken, 50) * 1e3, "refresh_p99_ms": p99 * 1e3, "purchases": len(taken)}
    return figures, [Goal(f"purchase to readable candidates at {PER_SECOND}/s, p99", p99, "s", "<= 1", p99 <= 1)]


async def _purchases() -> list[float]:
    from retail_assistant.compose import build
    from retail_assistant.recs.recs_tasks import candidates
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


async def _reads(app: pb.App, task: Artifact, shopper: str) -> AsyncIterator[pb.Served]:
    """Read a shopper's candidates again and again, for at most half a minute."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        yield await app.serve(task, shopper)
        await asyncio.sleep(0.005)
    raise SystemExit(f"the candidates of {shopper} were not refreshed in half a minute")
