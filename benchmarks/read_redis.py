"""The cost of a read out of Valkey: ``await app.serve`` beside a bare GET of the same bytes in the same run.

Nothing is kept in memory: every read asks the server for the record, its watermarks and the control record, in one
round trip. What the contract and the fence cost is the difference to a bare GET by ``redis.asyncio``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import _reads
import msgspec
import redis
import redis.asyncio
from _reads import KEYS, Block, Reading, Times, in_turn, served, tasks, titles
from _report import Goal, report
from _valkey import serving

import parbake as pb
from parbake.protocol.record import encode

LABELS = {
    "bare": "redis.asyncio GET of the record's bytes",
    "decoded": "the same + typed decode of the value",
    "serve": "app.serve, 50 strings",
    "store": "Store.read alone",
    "sync": "redis-py GET, synchronous",
}


def timed(read: Callable[[str], Awaitable[object]]) -> Block:
    """One read after the other, each timed."""

    async def block(keys: Sequence[str]) -> list[float]:
        times = []
        for key in keys:
            before = time.perf_counter()
            await read(key)
            times.append(time.perf_counter() - before)
        return times

    return block


async def measure(port: int) -> dict[str, Times]:
    """Every way to read in turn."""
    app = pb.App(tasks, store=f"redis://127.0.0.1:{port}?durability=server")
    for n in range(KEYS):
        await app.serve(titles, f"s{n}")
    store, plan = app.engine.store, app.engine.bound_task(titles)
    (record,) = (await store.read(plan.ref, plan.keys.encode("s1"))).records
    client, blocking = redis.asyncio.Redis(port=port), redis.Redis(port=port)
    await client.set("bare", encode(record))
    await client.set("value", record.payload)
    decode = msgspec.msgpack.Decoder(list[str]).decode

    async def decoded(_: str) -> object:
        return decode(await client.get("value"))

    async def at_once(_: str) -> object:
        return blocking.get("bare")

    ways = {
        "bare": timed(lambda _: client.get("bare")),
        "decoded": timed(decoded),
        "serve": served(app, titles),
        "store": timed(lambda key: store.read(plan.ref, plan.keys.encode(key))),
        "sync": timed(at_once),
    }
    keys = [f"s{n % KEYS}" for n in range(_reads.READS)]
    found = await in_turn({name: Reading(block, keys) for name, block in ways.items()})
    await client.aclose()
    blocking.close()
    await app.close()
    return found


def main() -> None:
    """Measure and report."""
    with serving() as port:
        times = asyncio.run(measure(port))
    bare = times["bare"]
    ratio = times["serve"].p50_us / bare.p50_us
    figures = {f"{n}_{what}": getattr(t, what) for n, t in times.items() for what in ("p50_us", "p99_us", "quiet_us")}
    figures |= {"ratio": ratio, "quiet_ratio": times["serve"].quiet_us / bare.quiet_us}
    rows = [
        (label, t.p50_us, t.p99_us, t.quiet_us, f"{t.per_cpu_second:,.0f}", f"{t.p50_us / bare.p50_us:.2f} x")
        for label, t in ((label, times[name]) for name, label in LABELS.items())
    ]
    print(f"{_reads.READS:,} reads each, in turn by {_reads.READS // _reads.BLOCKS:,}\n")
    columns = ("what", "p50 us", "p99 us", "p50 of the quietest block", "reads per CPU-second", "p50 to bare GET")
    goal = Goal("app.serve p50 to a bare redis.asyncio GET", ratio, "times", "<= 1.3", met=ratio <= 1.3)
    report("read_redis", columns, rows, figures=figures, goals=[goal])


if __name__ == "__main__":
    main()
