"""What an acknowledgement costs, who is served older values after one, and how many rows a second are published.

Embedded acknowledgements stand beside this disk's own ``fdatasync`` of the same run: an acknowledgement is durable, so
it cannot be cheaper than that, and the figure wanders with the machine. Valkey appends and syncs before each answer.
Two processes read beside every publisher; each value holds the version that it was computed from. Last, records of 50
strings are written as the batch lane writes them, and promoted, beside Feast's write of the same rows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import _peers
import msgspec
from _observe import KEYS, Floor, Seen, readers
from _report import Goal, percentile, report
from _valkey import installed, serving

import parbake as pb
from parbake.lanes.batch.partition import FLUSH_ROWS
from parbake.protocol.control import Pointer, Promotion
from parbake.protocol.record import Meta, Record, Tags, encode
from parbake.stores import open_store

PUBLISHERS = (1, 2, 4, 8)
PER_PUBLISHER = 200
ENOUGH_READS = 100_000
ROWS, BATCH, FEAST_ROWS = 100_000, FLUSH_ROWS, 2_000
ITEMS = 50


@dataclass(frozen=True)
class Acks:
    """Seconds from publishing an event to its acknowledgement."""

    seconds: list[float]

    def ms(self, share: float) -> float:
        """A percentile in milliseconds."""
        return percentile(self.seconds, share) * 1e3


def fdatasync(folder: Path, count: int = 300) -> Acks:
    """What the disk takes for one small page, as the store's log of a commit."""
    taken = []
    with (folder / "synced").open("wb", buffering=0) as file:
        for _ in range(count):
            file.seek(0)
            file.write(os.urandom(4096))
            before = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - before)
    return Acks(taken)


async def acknowledge(store: str, floor: Floor, publishers: int) -> Acks:
    """So many publishers at once, each with a key of its own: commit, publish, and note the acknowledgement."""
    app = pb.App(pb.Registry(), store=store, open=["fact"])
    await app.touch("fact/0")
    taken: list[float] = []

    async def publisher(key: int) -> None:
        for _ in range(PER_PUBLISHER):
            number = floor.get(key, acknowledged=False) + 1
            floor.set(key, number, acknowledged=False)
            before = time.perf_counter()
            await app.touch(f"fact/{key}")
            taken.append(time.perf_counter() - before)
            floor.set(key, number, acknowledged=True)

    await asyncio.gather(*(publisher(key % KEYS) for key in range(publishers)))
    await app.close()
    return Acks(taken)


async def observe(store: str, path: Path, seconds: float) -> Seen:
    """Publish at an even pace while two other processes read."""
    floor = Floor(path)
    app = pb.App(pb.Registry(), store=store, open=["fact"])
    with readers(store, path, seconds) as seen:
        ends, number = time.monotonic() + seconds, 0
        while time.monotonic() < ends:
            number += 1
            key = number % KEYS
            version = floor.get(key, acknowledged=False) + 1
            floor.set(key, version, acknowledged=False)
            await app.touch(f"fact/{key}")
            floor.set(key, version, acknowledged=True)
            await asyncio.sleep(0.002)
    await app.close()
    return seen


def records(stamp: bytes, generation: int, rows: int) -> Iterator[tuple[bytes, Record]]:
    """What the batch lane has made of so many keys: 50 strings each, as peers/feast_write.py writes them."""
    payload_of, now = msgspec.msgpack.Encoder().encode, time.time()
    for n in range(rows):
        titles = [f"s{n} title {item:03d}" for item in range(ITEMS)]
        meta = Meta(Tags((f"shelf/s{n}", "shelf")), generation, "1", cost_s=0.001)
        yield (
            f"s{n}".encode(),
            Record(stamp, now, float("inf"), "batch", absent=False, meta=meta, payload=payload_of(titles)),
        )


@dataclass(frozen=True)
class Rates:
    """Rows per second, per second of this process's CPU, and of a plain file with the same bytes synced as often."""

    rows: float
    per_cpu_second: float
    plain_file: float


async def publish_rows(folder: Path, rows: int) -> Rates:
    """Through ``write_base`` and ``promote``; the records are made beforehand, as the peer's are."""
    store = open_store(f"lmdb://{folder}")
    generation, stamp, control = await store.begin()
    made = list(records(stamp.pack(), generation, rows))
    now = time.time()
    started, cpu = time.perf_counter(), time.process_time()
    for start in range(0, rows, BATCH):
        await store.write_base("bench@1", generation, made[start : start + BATCH])
    pointers = {"bench@1": Pointer(generation, now, now, rows)}
    await store.promote(Promotion(pointers, {"bench@1": 0}, control.incarnation))
    taken, cpu = time.perf_counter() - started, time.process_time() - cpu
    await store.close()
    return Rates(rows / taken, rows / cpu, plain_file(folder / "plain", made))


def plain_file(path: Path, made: Sequence[tuple[bytes, Record]]) -> float:
    """Rows per second when the encoded records are only appended to a file: what the disk gives at best."""
    chunks = [b"".join(encode(r) for _, r in made[start : start + BATCH]) for start in range(0, len(made), BATCH)]
    started = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for chunk in chunks:
            file.write(chunk)
            os.fdatasync(file.fileno())
    return len(made) / (time.perf_counter() - started)


def feast(rows: int) -> float:
    """Rows per second of Feast's fastest way to write the same rows here."""
    stores = ["sqlite", *(["redis"] if installed() else [])]
    found = _peers.run("feast_write.py", "--rows", str(rows), "--batch", "100", "--stores", *stores)
    rates = [s[how] for s in found["stores"].values() for how in ("rows_per_s", "rows_per_s_in_batches")]
    return float(max(rates))


def places(folder: Path, stack: ExitStack) -> dict[str, str]:
    """The stores that are measured, by name."""
    found = {"LMDB": f"lmdb://{folder}/store"}
    if installed():
        found["Valkey"] = f"redis://127.0.0.1:{stack.enter_context(serving(durable=True))}"
    return found


def measure(folder: Path, seconds: float) -> tuple[dict[str, Acks], dict[str, Seen]]:
    """Acknowledgements and readers of every store."""
    acks, seen = {"fdatasync": fdatasync(folder)}, {}
    with ExitStack() as stack:
        for name, url in places(folder, stack).items():
            floor = Floor(folder / f"{name}.acks")
            for publishers in PUBLISHERS:
                acks[f"{name}, {publishers} at once"] = asyncio.run(acknowledge(url, floor, publishers))
            acks[f"fdatasync after {name}"] = fdatasync(folder)
            seen[name] = asyncio.run(observe(url, folder / f"{name}.floor", seconds))
    return acks, seen


def goals(acks: dict[str, Acks], seen: dict[str, Seen], rate: float, peer: float) -> list[Goal]:
    """What is promised, with what was measured."""
    syncs = Acks(acks["fdatasync"].seconds + acks["fdatasync after LMDB"].seconds)
    ours, limit = acks["LMDB, 1 at once"].ms(50), 3 * syncs.ms(50) + 1
    stale, reads = sum(s.older for s in seen.values()), sum(s.reads for s in seen.values())
    found = [
        Goal("LMDB, event to acknowledgement, p50", ours, "ms", f"<= 3 fdatasync + 1 = {limit:.2f}", met=ours <= limit),
        Goal("reads after an acknowledgement with an older value", stale, "reads", "= 0", met=stale == 0),
        Goal("reads beside the publisher", reads, "reads", f">= {ENOUGH_READS:,}", met=reads >= ENOUGH_READS),
        Goal("rows published to LMDB", rate, "rows/s", ">= 100,000", met=rate >= 100_000),
        Goal("that is, of Feast's rate", rate / peer, "times", ">= 10", met=rate >= 10 * peer),
    ]
    if (valkey := acks.get("Valkey, 1 at once")) is not None:
        found.insert(1, Goal("Valkey, p99", valkey.ms(99), "ms", "<= 50", met=valkey.ms(99) <= 50))
    return found


def table(acks: dict[str, Acks], seen: dict[str, Seen], rates: Rates, peer: float) -> list[Sequence[object]]:
    """The lines for people."""
    sync = acks["fdatasync"].ms(50)
    rows: list[Sequence[object]] = [
        (f"{name}: event to acknowledgement" if "at once" in name else name, a.ms(50), a.ms(99), a.ms(50) / sync, "")
        for name, a in acks.items()
    ]
    rows += [
        (
            f"{name}: reads in two other processes",
            "",
            "",
            "",
            f"{s.reads:,} reads, {s.computed:,} computed, {s.older} old",
        )
        for name, s in seen.items()
    ]
    rows.append(
        (
            "rows of 50 strings to LMDB, promoted",
            "",
            "",
            "",
            f"{rates.rows:,.0f} rows/s, {rates.per_cpu_second:,.0f} per CPU-second",
        )
    )
    rows.append(("the same bytes to a plain file, synced as often", "", "", "", f"{rates.plain_file:,.0f} rows/s"))
    rows.append(("the same to Feast, its fastest store", "", "", "", f"{peer:,.0f} rows/s"))
    return rows


def main() -> None:
    """Measure and report."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=12.0, help="how long two processes read from each store")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        acks, seen = measure(folder, chosen.seconds)
        runs = [asyncio.run(publish_rows(folder / f"rows{n}", ROWS)) for n in range(3)]
    rates = Rates(*(percentile([getattr(r, name) for r in runs], 50) for name in Rates.__match_args__))
    peer = feast(FEAST_ROWS)
    figures = {f"{n}: {what}_ms": a.ms(share) for n, a in acks.items() for what, share in (("p50", 50), ("p99", 99))}
    figures |= {"rows_per_s": rates.rows, "feast_rows_per_s": peer, "best_rows_per_s": max(r.rows for r in runs)}
    figures |= {"rows_per_cpu_second": rates.per_cpu_second, "plain_file_rows_per_s": rates.plain_file}
    print(f"{PER_PUBLISHER} events of each publisher; {ROWS:,} rows by {BATCH:,}, the median of three runs\n")
    columns = ("what", "p50 ms", "p99 ms", "p50 to fdatasync", "")
    report(
        "publish", columns, table(acks, seen, rates, peer), figures=figures, goals=goals(acks, seen, rates.rows, peer)
    )


if __name__ == "__main__":
    main()
