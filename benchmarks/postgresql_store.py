"""A store in PostgreSQL: what a read and an acknowledgement cost beside bare statements, and how fast runs are written.

Every read asks the server for the record, its watermarks, the control record and the heartbeats, in one round trip. The
bare read is a prepared SELECT of the same rows by the same client in the same run. Two processes write a generation
each, as the batch lane does. The server syncs each commit, to the disk of the temporary folder.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time

import _reads
import psycopg
from _postgresql import address, serving
from _reads import KEYS, Block, Reading, Times, in_turn, served, tasks, titles
from _report import Goal, percentile, report
from publish import BATCH, records
from read_redis import timed

import parbake as pb
from parbake.stores import open_store

ROWS, PROCESSES, EVENTS = 100_000, 2, 300
LABELS = {
    "bare": "psycopg SELECT of the same rows",
    "store": "Store.read alone",
    "serve": "app.serve, 50 strings",
}


async def bare_of(port: int, names: list[bytes]) -> tuple[psycopg.AsyncConnection, Block]:
    """A prepared SELECT of some rows by a cursor, with the settings that the store uses."""
    client = await psycopg.AsyncConnection.connect(address(port), autocommit=True)
    for setting in ("plan_cache_mode = force_generic_plan", "enable_seqscan = off", "enable_bitmapscan = off"):
        await client.execute(f"SET {setting}")
    statement = "SELECT name, value FROM parbake.parbake_items WHERE name = ANY(%b)"

    async def read(_: str) -> object:
        cursor = await client.execute(statement, [names], prepare=True, binary=True)
        return await cursor.fetchall()

    assert await read("")
    return client, timed(read)


async def reads(port: int) -> dict[str, Times]:
    """Every way to read in turn."""
    app = pb.App(tasks, store=address(port))
    await app.touch("shelf/s1")
    for n in range(KEYS):
        await app.serve(titles, f"s{n}")
    store, plan = app.engine.store, app.engine.bound_task(titles)
    asked: list[list[bytes]] = []
    fetch = store.items.fetch

    async def noting(names: list[bytes]) -> object:
        asked.append(list(names))
        return await fetch(names)

    store.items.fetch = noting
    await store.read(plan.ref, plan.keys.encode("s1"))
    await store.read(plan.ref, plan.keys.encode("s1"))
    del store.items.fetch
    client, bare = await bare_of(port, asked[-1])
    ways = {
        "bare": bare,
        "store": timed(lambda key: store.read(plan.ref, plan.keys.encode(key))),
        "serve": served(app, titles),
    }
    keys = [f"s{n % KEYS}" for n in range(_reads.READS)]
    found = await in_turn({name: Reading(block, keys) for name, block in ways.items()})
    await client.close()
    await app.close()
    return found


async def acknowledgements(port: int) -> tuple[list[float], list[float]]:
    """Seconds of an event, and of an UPDATE of one row by the same client."""
    app = pb.App(pb.Registry(), store=address(port), open=["fact"])
    client = await psycopg.AsyncConnection.connect(address(port), autocommit=True)
    await client.execute("CREATE TABLE counted(n BIGINT)")
    await client.execute("INSERT INTO counted VALUES (0)")
    events, updates = [], []
    for _ in range(EVENTS):
        before = time.perf_counter()
        await app.touch("fact/a")
        between = time.perf_counter()
        await client.execute("UPDATE counted SET n = n + 1")
        events.append(between - before)
        updates.append(time.perf_counter() - between)
    await client.close()
    await app.close()
    return events, updates


def write(port: int, rows: int, begin: multiprocessing.synchronize.Barrier, told: multiprocessing.Queue) -> None:
    """Write a generation and tell when it began and ended."""

    async def run() -> None:
        store = open_store(address(port))
        generation, stamp, _ = await store.begin()
        made = list(records(stamp.pack(), generation, rows))
        begin.wait()
        before = time.monotonic()
        for start in range(0, rows, BATCH):
            await store.write_base("bench@1", generation, made[start : start + BATCH])
        told.put((before, time.monotonic()))
        assert await store.rows(generation) == rows
        await store.close()

    asyncio.run(run())


def rows_per_second(port: int, processes: int) -> float:
    """Rows a second that processes write together; what they write was made before."""
    context = multiprocessing.get_context("spawn")
    begin, told = context.Barrier(processes), context.Queue()
    rows = ROWS // processes
    running = [context.Process(target=write, args=(port, rows, begin, told)) for _ in range(processes)]
    for one in running:
        one.start()
    times = [told.get() for _ in running]
    for one in running:
        one.join()
    return rows * processes / (max(end for _, end in times) - min(start for start, _ in times))


def bytes_per_row(port: int) -> float:
    """What a row of the generations takes, with its index entry."""
    with psycopg.connect(address(port), autocommit=True) as client:
        client.execute("VACUUM parbake.parbake_items")
        (size, rows) = client.execute(
            "SELECT pg_total_relation_size('parbake.parbake_items'), count(*) FROM parbake.parbake_items"
        ).fetchone() or (0, 1)
    return float(size / rows)


def main() -> None:
    """Measure and report."""
    with serving() as port:
        times = asyncio.run(reads(port))
        events, updates = asyncio.run(acknowledgements(port))
        rates = {n: rows_per_second(port, n) for n in (1, PROCESSES)}
        size = bytes_per_row(port)
    bare = times["bare"]
    rows: list[tuple[object, ...]] = [
        (label, t.p50_us, t.p99_us, f"{t.p50_us / bare.p50_us:.2f} x")
        for label, t in ((label, times[name]) for name, label in LABELS.items())
    ]
    for label, seconds in (("UPDATE of one row, committed", updates), ("app.touch, acknowledged", events)):
        p50, p99 = (percentile(seconds, share) * 1e6 for share in (50, 99))
        rows.append((label, p50, p99, f"{p50 / percentile(updates, 50) / 1e6:.2f} x"))
    ratio, rate = times["store"].p50_us / bare.p50_us, rates[PROCESSES]
    figures = {f"{name}_{what}": getattr(t, what) for name, t in times.items() for what in ("p50_us", "p99_us")}
    figures |= {"ratio": ratio, "touch_p50_us": percentile(events, 50) * 1e6}
    figures |= {"update_p50_us": percentile(updates, 50) * 1e6, "bytes_per_row": size}
    figures |= {f"rows_per_second_{n}": found for n, found in rates.items()}
    print(f"{_reads.READS:,} reads each; {', '.join(f'{r:,.0f} rows/s by {n}' for n, r in rates.items())}")
    print(f"{size:,.0f} bytes a row, with its index entry\n")
    goals = [
        Goal("Store.read p50 to a bare SELECT of the same rows", ratio, "times", "<= 1.3", met=ratio <= 1.3),
        Goal("rows written by two processes", rate, "rows/s", ">= 30,000", met=rate >= 30_000),
    ]
    report("postgresql_store", ("what", "p50 us", "p99 us", "to bare"), rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
