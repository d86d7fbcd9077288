"""Changes that come by themselves: what triggers miss and cost, and how soon a commit is acknowledged.

A PostgreSQL server of its own, on this machine. Every comparison has both sides in this run, in alternation.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg
from _capture.orms import missed_by_orms
from _capture.world import World, changed
from _report import Goal, percentile, report
from rich.progress import Progress
from tests.servers import pg

import parbake as pb
from parbake.adapters.postgresql import emit
from parbake.app.plugin import Parts

COLUMNS = ("what", "figure", "unit")
SMALL, TURNS = 400, 7


def main() -> None:
    """Measure, and print the table and the goals."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Example: make bench NAME=capture ARGS='--rows 100000'"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to change in all ways together")
    parser.add_argument("--commits", type=int, default=2_000, help="commits whose acknowledgement is timed")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement of throughput")
    parser.add_argument("--held-s", type=float, default=600.0, help="seconds for which a transaction stays open")
    parser.add_argument("--data", help="unused; other benchmarks read a data set")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    goals: list[Goal] = []
    with (
        on_disk() as place,
        pg.postgresql(place / "data", "max_prepared_transactions=5", "shared_buffers=256MB") as server,
    ):
        world = World(server)
        told = None
        with Progress() as bars:
            bar = bars.add_task("changing rows", total=options.rows)
            for told in changed(world, options.rows):
                bars.update(bar, completed=told.rows)
        assert told is not None
        figures |= {"rows": told.rows, "missed": told.missed, "false": told.false}
        goals += [
            Goal(f"tags missed of {told.rows:,} changed rows", told.missed, "tags", "0", told.missed == 0),
            Goal("tags of families that no statement touched", told.false, "tags", "0", told.false == 0),
        ]
        figures |= missed_by_orms(server)
        trigger_us, one_us, bulk = statements(world, 10) / 10, statements(world, 1), bulk_ratio(world)
        emitting = beside_an_open_transaction(world)
        acked = asyncio.run(acknowledged(world, options.commits))
        held = asyncio.run(beside_forgotten(server, world, options.held_s))
        rate = throughput(server, world, options.seconds)
        world.close()
    figures |= {
        "trigger_us_per_row_of_ten": trigger_us, "trigger_us_of_one_row": one_us,
        "bulk_ratio": bulk, "emit_ms": emitting, "acked_p50_ms": percentile(acked, 50),
        "acked_p99_ms": percentile(acked, 99), "held_s": options.held_s, "held_p99_ms": percentile(held, 99),
        "throughput_ratio": rate,
    }  # fmt: skip
    goals += [
        Goal("a trigger, per row of statements of ten rows", trigger_us, "us", "<= 15", trigger_us <= 15),
        Goal("a trigger, per statement of one row", one_us, "us", "<= 15", one_us <= 15),
        Goal("a statement of 100,000 rows over an uncaptured one", bulk, "x", "<= 1.3", bulk <= 1.3),
        Goal("emit beside an open transaction, p99", emitting, "ms", "<= 5", emitting <= 5),
        Goal("commit to acknowledged, p50", figures["acked_p50_ms"], "ms", "<= 10", figures["acked_p50_ms"] <= 10),
        Goal("commit to acknowledged, p99", figures["acked_p99_ms"], "ms", "<= 30", figures["acked_p99_ms"] <= 30),
        Goal(f"beside a transaction of {options.held_s:.0f} s and a forgotten one, p99", figures["held_p99_ms"], "ms",
             "<= 100", figures["held_p99_ms"] <= 100),
        Goal("commits/s of 8 captured writers over uncaptured ones", rate, "x", ">= 0.9", rate >= 0.9),
    ]  # fmt: skip
    rows = [(what.replace("_", " "), value, "") for what, value in figures.items()]
    report("capture", COLUMNS, rows, figures=figures, goals=goals)


@contextlib.contextmanager
def on_disk() -> Iterator[Path]:
    """A folder on a disk, where a commit takes what it takes, and not in memory."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/var/tmp") as made:
        if os.geteuid() == 0:
            pg.programs()  # makes the server's user
            shutil.chown(made, pg.USER, pg.USER)
        yield Path(made)


def timed(run: Callable[[int], object], count: int) -> float:
    """Seconds per call."""
    started = time.perf_counter()
    for number in range(count):
        run(number)
    return (time.perf_counter() - started) / count


def statements(world: World, rows: int) -> float:
    """The microseconds that a trigger adds to a statement of ``rows`` rows: the median of alternating turns."""
    execute = world.connection.execute
    execute("SET synchronous_commit = off")
    execute("INSERT INTO plain(id) SELECT 's' || n FROM generate_series(1, 1000) n ON CONFLICT DO NOTHING")
    execute("INSERT INTO policies(id) SELECT 's' || n FROM generate_series(1, 1000) n ON CONFLICT DO NOTHING")
    texts = {name: f"UPDATE {name} SET days = days + 1 WHERE id = ANY(%s)".encode() for name in ("plain", "policies")}

    def some(number: int) -> list[str]:
        return [f"s{(number * rows + n) % 1000 + 1}" for n in range(rows)]

    def turn(name: str) -> float:
        return timed(lambda number: execute(texts[name], (some(number),), prepare=True), SMALL)

    pairs = [(turn("plain"), turn("policies")) for _ in range(3 * TURNS)]
    execute("RESET synchronous_commit")
    return statistics.median(captured - plain for plain, captured in pairs) * 1e6


def bulk_ratio(world: World) -> float:
    """How much longer a statement of 100,000 rows takes with triggers: the median of alternating turns."""
    execute = world.connection.execute
    for name in ("plain", "policies"):
        execute(f"TRUNCATE {name} CASCADE".encode())
        execute(f"INSERT INTO {name}(id) SELECT 'b' || n FROM generate_series(1, 100000) n".encode())
    texts = {name: f"UPDATE {name} SET days = days + 1".encode() for name in ("plain", "policies")}
    pairs = [[timed(lambda _, name=name: execute(texts[name]), 1) for name in texts] for _ in range(TURNS)]
    return statistics.median(captured / plain for plain, captured in pairs)


def beside_an_open_transaction(world: World) -> float:
    """How long emit and commit take beside a transaction that has emitted and stays open: p99 in milliseconds."""
    took = []
    with psycopg.connect(world.address) as still, psycopg.connect(world.address) as writer:
        emit(still, "policy/open", "policy.changed")
        for number in range(500):
            started = time.perf_counter()
            emit(writer, f"policy/e{number}", "policy.changed")
            writer.commit()
            took.append((time.perf_counter() - started) * 1e3)
        still.rollback()
    return percentile(took, 99)


@contextlib.contextmanager
def _writing(world: World, commits: int, per_s: float) -> Iterator[dict[str, float]]:
    """A thread that commits changes at random times; yields when each commit returned, by tag."""
    done: dict[str, float] = {}

    def work() -> None:
        import random

        pauses = random.Random(1)
        with psycopg.connect(world.address, autocommit=True) as writer:
            for number in range(commits):
                time.sleep(pauses.expovariate(per_s))
                writer.execute("INSERT INTO policies(id) VALUES (%s)", (f"t{per_s}x{number}",))
                done[f"policy/t{per_s}x{number}"] = time.perf_counter()

    thread = threading.Thread(target=work)
    thread.start()
    yield done
    thread.join()


class Acknowledged(pb.Plugin[dict[str, float]]):
    """When each tag was raised first."""

    def open(self, parts: Parts) -> dict[str, float]:
        """Hear of each acknowledged event."""
        raised: dict[str, float] = {}

        def heard(tags: dict[str, int], **_: object) -> None:
            now = time.perf_counter()
            for tag in tags:
                raised.setdefault(tag, now)

        parts.on.event.append(heard)
        return raised


async def acknowledged(world: World, commits: int, per_s: float = 40.0) -> list[float]:
    """Milliseconds from the return of each commit to its acknowledgement by an app that polls as it does by default."""
    app = pb.App(pb.Registry(), events=[world.source], worker="none", plugins=[Acknowledged()])
    await app.drain()
    raised = app.plugins[Acknowledged]
    with _writing(world, commits, per_s) as done:
        async with app.serving():
            while len(done) < commits or not done.keys() <= raised.keys():  # noqa: ASYNC110  # a thread writes
                await asyncio.sleep(0.05)
    return [max(0.0, raised[tag] - at) * 1e3 for tag, at in done.items()]


async def beside_forgotten(server: pg.Postgresql, world: World, held_s: float) -> list[float]:
    """The same beside a transaction that is open for so long, and one that was prepared in another database."""
    server.sql("CREATE DATABASE other", "SELECT 1")
    forgotten = psycopg.connect(server.address, dbname="other", autocommit=True)
    for statement in ("CREATE TABLE t(n INT)", "BEGIN", "INSERT INTO t VALUES (1)", "PREPARE TRANSACTION 'forgotten'"):
        forgotten.execute(statement.encode())
    with psycopg.connect(world.address) as still:
        emit(still, "policy/held", "policy.changed")
        took = await acknowledged(world, round(20.0 * held_s), 20.0)
        still.rollback()
    forgotten.execute("ROLLBACK PREPARED 'forgotten'")
    forgotten.close()
    return took


def throughput(server: pg.Postgresql, world: World, seconds: float) -> float:
    """The ratio of the commits per second of eight captured writers to those of uncaptured ones.

    Another writer waits all the time for a standby that never answers.
    """

    def rate(table: str) -> float:
        ends, counts = time.monotonic() + seconds, [0] * 8

        def work(number: int) -> None:
            with psycopg.connect(world.address, autocommit=True) as writer:
                while time.monotonic() < ends:
                    name = f"w{table}{number}x{time.perf_counter_ns()}"
                    writer.execute(f"INSERT INTO {table}(id) VALUES (%s)".encode(), (name,))
                    counts[number] += 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / seconds

    with _waiting_for_a_standby(server, world):
        pairs = [(rate("plain"), rate("policies")) for _ in range(5)]
    return statistics.median(captured / plain for plain, captured in pairs)


@contextlib.contextmanager
def _waiting_for_a_standby(server: pg.Postgresql, world: World) -> Iterator[None]:
    """One more writer, which has changed a captured row and waits for a standby that does not exist."""
    server.sql("ALTER DATABASE shop SET synchronous_commit = local")
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'mute'", "SELECT pg_reload_conf()")
    waiting = psycopg.connect(world.address, autocommit=True)
    waiting.execute("SET synchronous_commit = on")
    stuck = threading.Thread(target=lambda: waiting.execute("INSERT INTO policies(id) VALUES ('stuck')"), daemon=True)
    stuck.start()
    time.sleep(0.2)
    try:
        yield
    finally:
        local = "SET synchronous_commit = local"
        server.sql(local, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        stuck.join(10)
        waiting.close()


if __name__ == "__main__":
    main()
