"""One round of :mod:`against` in a process of its own, with whatever parbake is on its path: medians, as JSON."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time

from _reads import KEYS, tasks, titles

import parbake as pb

READS, EVENTS = 20_000, 300


async def reads(app: pb.App) -> float:
    """Median microseconds of a read of fifty strings with two tags."""
    for n in range(KEYS):
        await app.serve(titles, f"s{n}")
    times = []
    for n in range(READS):
        began = time.perf_counter_ns()
        await app.serve(titles, f"s{n % KEYS}")
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


async def touches(app: pb.App) -> float:
    """Median microseconds until a touch is durable."""
    times = []
    for n in range(EVENTS):
        began = time.perf_counter_ns()
        await app.touch(f"shelf/s{n % KEYS}")
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


async def rewrites(app: pb.App) -> float:
    """Median microseconds of a read that computes and stores, after its entity was touched."""
    times = []
    for n in range(EVENTS):
        await app.touch(f"shelf/s{n % KEYS}")
        began = time.perf_counter_ns()
        await app.serve(titles, f"s{n % KEYS}")
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


async def published(app: pb.App) -> float:
    """Median microseconds until a published event is durable."""
    times = []
    for n in range(EVENTS):
        event = pb.CloudEvent(f"e{n}", "bench", "shelf.changed", f"shelf/s{n % KEYS}")
        began = time.perf_counter_ns()
        await app.publish(event)
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


async def measure() -> dict[str, float]:
    """All of them, on one store."""
    with tempfile.TemporaryDirectory() as folder:
        app = pb.App(tasks, store=f"lmdb://{folder}/store")
        found = {
            "read": await reads(app),
            "invalidate": await touches(app),
            "publish": await published(app),
            "compute": await rewrites(app),
        }
        await app.close()
        return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(measure())))
