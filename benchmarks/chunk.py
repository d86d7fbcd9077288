"""What a batch costs by the size of its chunks, where a view names the entities that it reads.

10,003 rows, each of which is bound by an entity of its own. The figure is CPU seconds of the whole run, the median of
some rounds in which the sizes alternate. It should not depend on the size: a row is bound by what it read itself, and
what the rows of a call read together must not be looked at again for each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from _report import Goal, report
from rich.progress import track

import parbake as pb
from parbake.adapters.sqlite import OUTBOX_DDL, SqliteSource

ROWS, SIZES, ROUNDS, WITHIN = 10_003, (64, 512, 2048), 5, 1.2


class Items(pb.View):
    """Rows that name their entities."""

    families = ("item",)

    def many(self, names: Iterable[str]) -> dict[str, str]:
        """Read some rows."""
        found = {}
        for name in names:
            self.entity(f"item/{name}")
            found[name] = name
        return found


def cpu_of(size: int) -> float:
    """CPU seconds of a run with chunks of a size."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.sqlite"
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(OUTBOX_DDL)
        tasks = pb.Registry()

        def listed() -> list[str]:
            return [f"k{number}" for number in range(ROWS)]

        @tasks.artifact(
            freshness_sla="2h", invalidated_by=[pb.fence("item/{key}")], fallback_if_stale=pb.Recompute(),
            owner="bench", refresh=pb.every("1h"), keys=listed, chunk=size,
        )  # fmt: skip
        def items(asked: pb.Keys[str], *, rows: pb.Source[Items]) -> dict[str, str]:
            return rows.many(asked)

        source = SqliteSource(path, families=("item",), views=(Items,), name="items")
        return asyncio.run(_run(pb.App(tasks, sources=[source]), items))


async def _run(app: pb.App, items: pb.Stored) -> float:
    await app.drain()
    before = time.process_time()
    await app.materialize(items)
    took = time.process_time() - before
    await app.close()
    return took


def main() -> None:
    """Measure and report."""
    found: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in track(range(ROUNDS), "Rounds"):
        for size in SIZES:
            found[size].append(cpu_of(size))
    figures = {f"chunk_{size}_cpu_s": statistics.median(took) for size, took in found.items()}
    spread = max(figures.values()) / min(figures.values())
    report(
        "chunk",
        ("chunk", "CPU s", "us a row"),
        [(size, took, 1e6 * took / ROWS) for size, took in zip(SIZES, figures.values(), strict=True)],
        figures=figures | {"spread": spread},
        goals=[Goal("dearest size / cheapest size", spread, "x", f"<= {WITHIN}", spread <= WITHIN)],
    )


if __name__ == "__main__":
    main()
