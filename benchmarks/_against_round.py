"""One round of :mod:`against` in a process of its own, with whatever parbake is on its path: medians, as JSON."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable

from _reads import KEYS, tasks, titles

import parbake as pb
from parbake.ports.cloudevents import CloudEvent

READS, EVENTS = 20_000, 300


async def timed(
    count: int, act: Callable[[int], Awaitable[object]], before: Callable[[int], Awaitable[object]]
) -> float:
    """Median microseconds of an act; what comes before each is not counted."""
    times = []
    for n in range(count):
        await before(n % KEYS)
        began = time.perf_counter_ns()
        await act(n % KEYS)
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


async def nothing(_: int) -> None:
    """Nothing comes before."""


async def measure() -> dict[str, float]:
    """All of them, on one store."""
    with tempfile.TemporaryDirectory() as folder:
        app = pb.App(tasks, store=f"lmdb://{folder}/store")

        def read(n: int) -> Awaitable[object]:
            return app.serve(titles, f"s{n}")

        def touch(n: int) -> Awaitable[object]:
            return app.touch(f"shelf/s{n}")

        def publish(n: int) -> Awaitable[object]:
            return app.publish(CloudEvent(uuid.uuid4().hex, "bench", "shelf.changed", f"shelf/s{n}"))

        for n in range(KEYS):
            await read(n)
        found = {
            "read": await timed(READS, read, nothing),
            "invalidate": await timed(EVENTS, touch, nothing),
            "publish": await timed(EVENTS, publish, nothing),
            "compute": await timed(EVENTS, read, touch),
        }
        await app.close()
        return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(measure())))
