"""What 5 million shoppers take, and 500 million: bytes, batch hours, events a second, lag, and dollars.

Measured here, on one machine: rows a second and bytes a row of a batch run into LMDB, acknowledged events a second, and
the CPU of one refresh. The rest is arithmetic on that, but for the event lane's lag, which is simulated: purchases come
at random (more by day than by night) and wait for a free core of a worker.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import math
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
from _report import Goal, percentile, report

import parbake as pb

SHOPPERS = (5_000_000, 500_000_000)
KEYS, EVENTS = 40_000, 2_000
CANDIDATES = 50
RUNS_A_DAY = 4
PURCHASES_A_DAY = 0.05
"""Per shopper: one in twenty buys on a day."""
PEAK = 2.5
"""The busiest hour has so many times the mean."""
CORE_HOUR_USD, GB_MONTH_USD = 0.04, 0.10
LAG_S = 1.0
MODEL_S = 0.000_583
"""CPU seconds of one list of candidates out of 50,000 products (``make bench NAME=hybrid``)."""


class Candidate(msgspec.Struct, frozen=True):
    """A product with its score."""

    asin: str
    score: float


@dataclass(frozen=True)
class Measured:
    """What was seen on this machine."""

    rows_per_s: float
    bytes_per_row: float
    events_per_s: float
    refresh_s: float


async def measure(folder: Path) -> Measured:
    """Build a generation, raise events, and refresh after them."""
    tasks = pb.Registry()
    made = [Candidate(f"B{n:09}", n / 7) for n in range(CANDIDATES)]

    def shoppers() -> list[str]:
        return [f"u{n:09}" for n in range(KEYS)]

    @tasks.artifact(
        freshness_sla="8h", refresh=pb.every("6h"), invalidated_by=[pb.fence("user/{shopper}")],
        fallback_if_stale=pb.Recompute(), owner="recs", keys=shoppers, chunk=1_000,
    )  # fmt: skip
    def liked(shopper: pb.Keys[str]) -> dict[str, list[Candidate]]:
        return dict.fromkeys(shopper, made)

    app = pb.App(tasks, store=f"lmdb://{folder}/store", batch=pb.Batch(throttle=None))
    began = time.perf_counter()
    await app.materialize(liked)
    rows_per_s = KEYS / (time.perf_counter() - began)
    size = sum(path.stat().st_blocks * 512 for path in (folder / "store").rglob("*") if path.is_file())
    began = time.perf_counter()
    tags = [f"user/u{n:09}" for n in range(EVENTS)]
    await asyncio.gather(*(app.touch(tag) for tag in tags))
    events_per_s = EVENTS / (time.perf_counter() - began)
    began = time.process_time()
    for n in range(EVENTS):
        await app.serve(liked, f"u{n:09}")
    refresh_s = (time.process_time() - began) / EVENTS
    await app.close()
    return Measured(rows_per_s, size / KEYS, events_per_s, refresh_s + MODEL_S)


def lag_p99(rate: float, work_s: float, cores: int, *, seconds: int = 120, seed: int = 0) -> float:
    """The 99th percentile of the time from a purchase to refreshed candidates, by simulation, in seconds.

    Purchases come as a Poisson process of ``rate`` a second; the worker looks every 100 ms and refreshes on ``cores``.
    """
    rng, at, lags = random.Random(seed), 0.0, []
    free = [0.0] * cores
    heapq.heapify(free)
    while at < seconds:
        at += rng.expovariate(rate)
        seen = math.ceil(at / 0.1) * 0.1  # the event lane's tick
        start = max(seen, heapq.heappop(free))
        heapq.heappush(free, start + work_s)
        lags.append(start + work_s - at)
    return percentile(lags, 99)


def sized(shoppers: int, found: Measured) -> dict[str, float]:
    """Everything for so many shoppers; the event lane has the fewest cores that keep up with the busiest hour."""
    purchases = shoppers * PURCHASES_A_DAY / 86_400 * PEAK
    cores = max(1, math.ceil(purchases * found.refresh_s * 1.2))
    share = max(1, cores // 64)  # one shard of the simulation stands for all
    lag = lag_p99(purchases / share, found.refresh_s, max(1, cores // share))
    batch_core_s = shoppers * (MODEL_S + 1 / found.rows_per_s)
    usd = RUNS_A_DAY * batch_core_s / 3600 * CORE_HOUR_USD + cores * 24 * CORE_HOUR_USD
    store_gb = 2 * shoppers * found.bytes_per_row / 1e9  # the current generation and the one before
    return {
        "store GB": store_gb,
        "one run, core hours": batch_core_s / 3600,
        "one run in 2 h, cores": math.ceil(batch_core_s / 7200),
        "events/s in the busiest hour": purchases,
        "stores' event writers": math.ceil(purchases / found.events_per_s),
        "event lane, cores": cores,
        "purchase to candidates p99 s": lag,
        "USD a day, 4 full runs": usd + store_gb * GB_MONTH_USD / 30,
    }


def main() -> None:
    """Measure, size and report."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder)))
    print(
        f"measured: {found.rows_per_s:,.0f} rows/s, {found.bytes_per_row:,.0f} bytes a row, "
        f"{found.events_per_s:,.0f} events/s, {found.refresh_s * 1e3:.2f} ms of CPU a refresh"
    )
    small, large = (sized(shoppers, found) for shoppers in SHOPPERS)
    rows = [(name, small[name], large[name]) for name in small]
    worst = max(small["purchase to candidates p99 s"], large["purchase to candidates p99 s"])
    report(
        "scale",
        ("what", "5 million shoppers", "500 million"),
        rows,
        figures={
            "rows_per_s": found.rows_per_s,
            "bytes_per_row": found.bytes_per_row,
            "events_per_s": found.events_per_s,
            "refresh_ms": found.refresh_s * 1e3,
            "usd_a_day_5m": small["USD a day, 4 full runs"],
            "usd_a_day_500m": large["USD a day, 4 full runs"],
        },
        goals=[Goal("simulated purchase to candidates, p99", worst, "s", f"<= {LAG_S:g}", worst <= LAG_S)],
    )


if __name__ == "__main__":
    main()
