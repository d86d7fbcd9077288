"""One event over up to a million artifacts on disk: what it costs, and what deleting them would.

The records lie in LMDB, all fenced by one tag. An event raises the tag's watermark, whatever hangs on it; beside it,
200,000 keys are deleted from LMDB, and from Valkey as a set of tagged keys is. After each event, reads are sampled.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import lmdb
import msgspec
import redis
from _report import Goal, percentile, report
from _valkey import installed, serving

from parbake.ports.event_log import Change
from parbake.ports.store import Store
from parbake.protocol.check import killed_by
from parbake.protocol.control import Pointer, Promotion
from parbake.protocol.record import Meta, Record, Tags
from parbake.stores import open_store

SIZES = (1, 1_000, 100_000, 1_000_000)
EVENTS, SAMPLED, DELETED, CHUNK = 200, 10_000, 200_000, 10_000
TASK, TAG = "bench@1", "fact/all"


def bar(steps: Iterable[int], total: int, what: str) -> Iterator[int]:
    """Go through ``steps``, each so many keys in, and show how far that is, for people."""
    for done in steps:
        yield done
        shown = min(total, done + CHUNK)
        sys.stderr.write(f"\r{what}: {'#' * (30 * shown // total):30} {shown:,} of {total:,}")
    sys.stderr.write("\n")


def name_of(n: int) -> bytes:
    """Names that come in order, as keys of a batch run do."""
    return b"%08d" % n


async def fill(store: Store, count: int) -> None:
    """So many small records, promoted, all fenced by the one tag."""
    generation, stamp, control = await store.begin()
    now, packed = time.time(), stamp.pack()
    meta, payload = Meta(Tags((TAG,)), generation, "1"), msgspec.msgpack.encode("value")
    record = Record(packed, now, float("inf"), "batch", absent=False, meta=meta, payload=payload)
    for start in bar(range(0, count, CHUNK), count, f"{count:,} records"):
        rows = [(name_of(n), record) for n in range(start, min(count, start + CHUNK))]
        await store.write_base(TASK, generation, rows)
    pointer = Pointer(generation, now, now, count)
    await store.promote(Promotion({TASK: pointer}, {TASK: control.pointer(TASK)}, control.incarnation))


async def served(store: Store, count: int, sampled: int) -> int:
    """How many of some records, drawn at random, may be served."""
    draw, found, now = random.Random(count), 0, time.time()
    for _ in range(sampled):
        lookup = await store.read(TASK, name_of(draw.randrange(count)))
        found += sum(killed_by(r, lookup.control, lookup.marks, now=now) is None for r in lookup.records)
    return found


async def measure(folder: Path) -> tuple[dict[int, list[float]], int, int]:
    """Seconds per event by the number of records, reads served before the first event, and after the last."""
    stores = {size: open_store(f"lmdb://{folder}/{size}?map_size=4GiB") for size in SIZES}
    before = after = 0
    for size, store in stores.items():
        await fill(store, size)
        before += await served(store, size, 100)
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(EVENTS):  # in turn, so that a slow moment of the disk meets all of them
        for size, store in stores.items():
            started = time.perf_counter()
            await store.apply([Change((TAG,))], now=time.time())
            taken[size].append(time.perf_counter() - started)
    for size, store in stores.items():
        after += await served(store, size, SAMPLED // len(SIZES))
        await store.close()
    return taken, before, after


def delete_from_lmdb(folder: Path) -> float:
    """Seconds to delete so many small items in one transaction."""
    with lmdb.open(str(folder / "deleted"), map_size=1 << 30) as env:
        with env.begin(write=True) as txn:
            for n in range(DELETED):
                txn.put(name_of(n), bytes(100))
        started = time.perf_counter()
        with env.begin(write=True) as txn:
            for n in range(DELETED):
                txn.delete(name_of(n))
        return time.perf_counter() - started


def delete_from_valkey() -> float:
    """Seconds to delete so many items by the set of keys that a tag holds: read it in pages, delete what it names."""
    with serving() as port, redis.Redis(port=port) as client:
        for start in range(0, DELETED, CHUNK):
            names = [name_of(n) for n in range(start, start + CHUNK)]
            client.mset(dict.fromkeys(names, bytes(100)))
            client.sadd("tag", *names)
        started, cursor = time.perf_counter(), -1
        while cursor:
            cursor, names = client.sscan("tag", max(cursor, 0), count=CHUNK)
            if names:
                client.unlink(*names)
        client.unlink("tag")
        return time.perf_counter() - started


def table(taken: dict[int, list[float]], deleting: dict[str, float]) -> list[Sequence[object]]:
    """The lines for people."""
    one = percentile(taken[1], 50)
    rows: list[Sequence[object]] = [
        (f"event over {size:,} records", percentile(t, 50) * 1e3, percentile(t, 99) * 1e3, percentile(t, 50) / one)
        for size, t in taken.items()
    ]
    rows += [(f"{DELETED:,} keys deleted in {name}", s * 1e3, "", s / one) for name, s in deleting.items()]
    return rows


def main() -> None:
    """Measure and report."""
    argparse.ArgumentParser(description="Time one event over up to a million records.").parse_args()
    with tempfile.TemporaryDirectory() as name:
        taken, before, after = asyncio.run(measure(Path(name)))
        deleting = {"LMDB": delete_from_lmdb(Path(name))}
    if installed():
        deleting["Valkey"] = delete_from_valkey()
    ratio = percentile(taken[SIZES[-1]], 50) / percentile(taken[1], 50)
    figures = {f"{size}_p50_ms": percentile(t, 50) * 1e3 for size, t in taken.items()}
    figures |= {f"delete_{n}_ms": s * 1e3 for n, s in deleting.items()} | {"ratio": ratio, "served_before": before}
    goals = [
        Goal("p50 over 1,000,000 records to p50 over 1", ratio, "times", "<= 2", met=ratio <= 2),
        Goal(f"of {SAMPLED:,} reads after the event, served", after, "reads", "= 0", met=after == 0),
        Goal("of 400 reads before it, served", before, "reads", "= 400", met=before == 100 * len(SIZES)),
    ]
    print(f"{EVENTS} events over each number of records, in turn\n")
    report(
        "invalidate",
        ("what", "p50 ms", "p99 ms", "to one record"),
        table(taken, deleting),
        figures=figures,
        goals=goals,
    )


if __name__ == "__main__":
    main()
