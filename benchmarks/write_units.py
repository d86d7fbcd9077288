"""What each store takes for the same rows: bytes, DynamoDB's units, dollars, and where one such store ends.

The same app writes the same rows to LMDB, Valkey and DynamoDB. DynamoDB is moto on this machine. It answers without
speed or prices, so its units are computed from the requests that the driver sends: a put takes one write unit for each
KiB begun, twice as many in a transaction, a deletion as many as the put of the item took, and a consistent read one
read unit for each 4 KiB begun. A run is counted when it also deletes the rows of an old one, as every later run does.
Prices and limits are assumptions that stand in this file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import _valkey
import msgspec
from _report import Goal, report

import parbake as pb
from parbake.adapters.dynamodb import DynamoItems
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.tasks.retention import Retention

MOTO = Path(__file__).parents[1] / "tests" / "servers" / "moto_server.py"
KEYS, EVENTS, CANDIDATES = 1_000, 100, 50
SHOPPERS, RUNS_A_DAY, RUN_S = (1_000_000, 5_000_000, 50_000_000, 500_000_000), 4, 7_200
GENERATIONS = 2
WRITE_USD, READ_USD = 0.625e-6, 0.125e-6
"""DynamoDB on demand, per unit."""
TABLE_UNITS_S, PARTITION_UNITS_S = 40_000, 1_000
"""The write units a second that a table takes before its quota is raised, and one partition key ever."""
STORED_USD = {"dynamodb": 0.25, "valkey": 4.0, "lmdb": 0.10}
"""Per gigabyte and month: of a table, of memory with one replica, and of a disk."""
LARGEST_GB = {"dynamodb": math.inf, "valkey": 400.0, "lmdb": 4_000.0}
"""The largest node of memory, and the largest disk of one machine, that is taken for granted."""


class Candidate(msgspec.Struct, frozen=True):
    """A product with its score."""

    asin: str
    score: float


@dataclass
class Units:
    """The units of the requests that a client of DynamoDB sends."""

    written: float = 0.0
    read: float = 0.0
    stored: int = 0
    sizes: dict[bytes, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)

    def request(self, params: Any, model: Any, **_: Any) -> None:
        """Count the writes of a request."""
        self.asked[model.name] = self.asked.get(model.name, 0) + 1
        for requests in params.get("RequestItems", {}).values() if model.name == "BatchWriteItem" else ():
            for one in requests:
                if "PutRequest" in one:
                    self._write(one["PutRequest"]["Item"], 1)
                else:
                    self.written += max(1, math.ceil(self.sizes.get(place_of(one["DeleteRequest"]["Key"]), 0) / 1024))
        for action in params.get("TransactItems", ()):
            self._write(action.get("Put", {}).get("Item", {}), 2)

    def _write(self, item: Any, times: int) -> None:
        size = size_of(item)
        if item:
            self.sizes[place_of(item)] = size
        self.stored += size
        self.written += times * max(1, math.ceil(size / 1024))

    def answer(self, parsed: Any, **_: Any) -> None:
        """Count the reads of an answer; an item that is absent takes a unit, too, and is not counted here."""
        found = [parsed["Item"]] if "Item" in parsed else []
        found += [item for items in parsed.get("Responses", {}).values() for item in items]
        self.read += sum(math.ceil(size_of(item) / 4096) for item in found)
        if "Count" in parsed:  # a query reads its items together; a count transfers none of them
            self.read += max(1, math.ceil(parsed["Count"] * max(self.sizes.values(), default=0) / 4096))


def size_of(item: Any) -> int:
    """The bytes of an item: of its names and values."""
    return sum(len(name) + len(value["B"]) for name, value in item.items())


def place_of(item: Any) -> bytes:
    """The key of an item."""
    return bytes(item["p"]["B"]) + b"/" + bytes(item["k"]["B"])


def app_on(store: Any) -> tuple[pb.App, Any]:
    """An app with one list of candidates for each shopper."""
    tasks = pb.Registry()
    made = [Candidate(f"B{n:09}", n / 7) for n in range(CANDIDATES)]

    def shoppers() -> list[str]:
        return [f"u{n:09}" for n in range(KEYS)]

    @tasks.artifact(
        freshness_sla="8h", refresh=pb.every("6h"), invalidated_by=[pb.fence("user/{shopper}")],
        fallback_if_stale=pb.Recompute(), owner="recs", keys=shoppers, chunk=1_000,
        retention=Retention(generations=GENERATIONS),
    )  # fmt: skip
    def liked(shopper: pb.Keys[str]) -> dict[str, list[Candidate]]:
        return dict.fromkeys(shopper, made)

    return pb.App(tasks, store=store, batch=pb.Batch(throttle=None)), liked


async def bytes_per_row(store: Any, used: Callable[[], Awaitable[int]]) -> float:
    """The bytes that a store takes for each row of a generation."""
    app, liked = app_on(store)
    await app.drain()
    before = await used()
    await app.materialize(liked)
    size = await used() - before
    await app.close()
    return size / KEYS


async def on_lmdb(folder: Path) -> float:
    """The bytes of a row on the disk."""

    async def used() -> int:
        return sum(path.stat().st_blocks * 512 for path in (folder / "store").rglob("*") if path.is_file())

    return await bytes_per_row(f"lmdb://{folder}/store", used)


async def on_valkey() -> float:
    """The bytes of a row in memory."""
    with _valkey.serving(durable=True) as port:
        words = ["valkey-cli", "-p", str(port), "info", "memory"]

        async def used() -> int:
            told = await asyncio.to_thread(subprocess.check_output, words, text=True)
            return int(told.partition("used_memory:")[2].split()[0])

        return await bytes_per_row(f"redis://127.0.0.1:{port}", used)


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """The endpoint of a DynamoDB in memory."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}
    words = [sys.executable, str(MOTO)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


async def on_dynamodb() -> tuple[Units, Units, Units]:
    """The units of a run, of events, and of reads."""
    with moto() as endpoint:
        items = DynamoItems.from_url(f"dynamodb://eu-central-1/units?endpoint={endpoint}&create=true&timeout_s=60")
        await items.open()
        hooks = items._opened()._client.meta.events  # noqa: SLF001  # the hooks of the client that the driver uses
        app, liked = app_on(OptimisticStore(items))
        await app.drain()

        sizes: dict[bytes, int] = {}

        async def counted(work: Callable[[], Awaitable[Any]]) -> Units:
            found = Units(sizes=sizes)
            hooks.register("before-parameter-build.dynamodb", found.request)
            hooks.register("after-call.dynamodb", found.answer)
            await work()
            hooks.unregister("before-parameter-build.dynamodb", found.request)
            hooks.unregister("after-call.dynamodb", found.answer)
            return found

        async def touch() -> None:
            for n in range(EVENTS):
                await app.touch(f"user/u{n:09}")

        async def read() -> None:
            for n in range(EVENTS, 2 * EVENTS):
                await app.serve(liked, f"u{n:09}")

        for _ in range(GENERATIONS):
            await counted(lambda: app.materialize(liked))
        found = [await counted(lambda: app.materialize(liked)), await counted(touch), await counted(read)]
        await app.close()
    return found[0], found[1], found[2]


def ends(kind: str, shoppers: int, row_bytes: float, row_units: float) -> str:
    """Where one such store ends for so many shoppers; empty if it does not."""
    if (size := GENERATIONS * shoppers * row_bytes / 1e9) > LARGEST_GB[kind]:
        return f"{size:,.0f} GB are more than {LARGEST_GB[kind]:,.0f}"
    if kind == "dynamodb" and (rate := shoppers * row_units / RUN_S) > TABLE_UNITS_S:
        return f"{rate:,.0f} units/s are more than {TABLE_UNITS_S:,}"
    return ""


def main() -> None:
    """Measure, size and report."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sizes = {"lmdb": asyncio.run(on_lmdb(Path(folder))), "valkey": asyncio.run(on_valkey())}
    run, events, reads = asyncio.run(on_dynamodb())
    sizes["dynamodb"] = run.stored / KEYS
    units = run.written / KEYS
    print(
        f"bytes a row: {', '.join(f'{kind} {size:,.0f}' for kind, size in sizes.items())}\n"
        f"DynamoDB: {units:.2f} write and {run.read / KEYS:.2f} read units a row, "
        f"{events.written / EVENTS:.1f} write units an event, {reads.read / EVENTS:.1f} read units a read; "
        f"requests of the run {run.asked}"
    )
    rows = []
    for shoppers in SHOPPERS:
        for kind, size in sizes.items():
            stored_gb = GENERATIONS * shoppers * size / 1e9
            units_usd = shoppers * (units * WRITE_USD + run.read / KEYS * READ_USD) * RUNS_A_DAY
            usd = stored_gb * STORED_USD[kind] / 30 + (units_usd if kind == "dynamodb" else 0.0)
            rows.append((f"{shoppers / 1e6:g} M", kind, stored_gb, usd, ends(kind, shoppers, size, units)))
    slowest = SHOPPERS[1] * units / PARTITION_UNITS_S / 3600
    figures = {f"{kind}_bytes_a_row": size for kind, size in sizes.items()} | {
        "write_units_a_row": units,
        "read_units_a_row": run.read / KEYS,
        "write_units_an_event": events.written / EVENTS,
        "read_units_a_read": reads.read / EVENTS,
        "hours_of_a_run_of_5m_in_one_partition": slowest,
    }
    most = 2 * math.ceil(sizes["dynamodb"] / 1024) + 1
    goal = Goal("write units a row, its deletion included", units, "units", f"<= {most}", units <= most)
    report(
        "write_units", ("shoppers", "store", "GB", "USD a day", "where it ends"), rows, figures=figures, goals=[goal]
    )


if __name__ == "__main__":
    main()
