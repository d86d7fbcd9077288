"""How long nobody gets an answer: after FLUSHALL, and at the first deployment, until a slow batch has run.

A server and a worker over Valkey serve a batch of 5,000 keys that reads a model; a key takes five milliseconds to
compute. Two clients ask for random keys all the time. A gap is the time between two answers in a row; those in which
a request was refused, or that are longer than half a second, are the time without answers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import _valkey
import httpx
from _faults_world import Process, free_port, until
from _report import Goal, report
from rich.console import Console
from rich.progress import Progress

from parbake.adapters.sqlite import OUTBOX_DDL

KEYS, ROUNDS, GOAL_S = 5_000, 3, 2.0
ASKERS, PAUSE_S, PATIENCE_S = 2, 0.02, 0.5
LONGEST_S = 600.0
COLUMNS = ("round", "start s", "batch s", "longest gap s", "without answers s", "not 200", "back in store s")


class Asking:
    """Clients that ask for random keys until told to end, and when each answer came."""

    def __init__(self, address: str, keys: int, rng: random.Random) -> None:
        """Ask nothing yet."""
        self._address, self._keys, self._rng = address, keys, rng
        self.good: list[float] = []
        self.bad: list[tuple[float, str]] = []
        self.heard = float("inf")
        """When the server first answered anything."""

    async def ask(self) -> None:
        """Ask one key after the other until cancelled."""
        async with httpx.AsyncClient(base_url=self._address, timeout=30.0) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    key = f"u{self._rng.randrange(self._keys)}"
                    answer = await client.post("/v1/serve/suggestion", json={"key": key})
                    now = time.monotonic()
                    self.heard = min(self.heard, now)
                    if answer.status_code == httpx.codes.OK:
                        self.good.append(now)
                    else:
                        self.bad.append((now, f"{answer.status_code} {answer.json()['title']}"))
                await asyncio.sleep(PAUSE_S)

    def gaps(self, since: float, to: float) -> list[tuple[float, float]]:
        """From each answer to the next, between two moments."""
        return list(itertools.pairwise([since, *(moment for moment in self.good if since < moment < to), to]))

    def outages(self, since: float, to: float) -> list[float]:
        """The lengths of the gaps in which a request was refused, or that are longer than a client waits."""
        refused = [moment for moment, _ in self.bad]
        return [
            b - a for a, b in self.gaps(since, to) if b - a > PATIENCE_S or any(a < moment < b for moment in refused)
        ]


@contextlib.asynccontextmanager
async def asked(asking: Asking) -> AsyncIterator[None]:
    """Let the clients ask during the body."""
    running = [asyncio.create_task(asking.ask()) for _ in range(ASKERS)]
    try:
        yield
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def is_built(client: httpx.AsyncClient, processes: Sequence[Process]) -> bool:
    """Whether nothing is degraded, so that every task has its generation."""
    for process in processes:
        process.must_run()
    with contextlib.suppress(httpx.TransportError):
        return not (await client.get("/readyz")).json()["degraded"]
    return False


async def is_emptied(client: httpx.AsyncClient, processes: Sequence[Process]) -> bool:
    """Whether the server has noticed that a generation is missing."""
    return not await is_built(client, processes)


async def flush(port: int) -> None:
    """Empty the store."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"FLUSHALL\r\n")
    answer = await reader.readline()
    writer.close()
    if not answer.startswith(b"+OK"):
        raise SystemExit(f"FLUSHALL: {answer.decode()}")


async def one_round(number: int, keys: int, home: Path, port: int) -> dict[str, float]:
    """Deploy over an empty store, wait for the batch, empty the store, and wait again."""
    _weights(home)
    environment = {**os.environ, "FLUSH_HOME": str(home), "FLUSH_STORE": f"redis://127.0.0.1:{port}",
                   "FLUSH_KEYS": str(keys)}  # fmt: skip
    parbake, served = [sys.executable, "-m", "parbake"], free_port()
    words = [[*parbake, "serve", "_flush_app:app", "--port", str(served)], [*parbake, "worker", "_flush_app:app"]]
    address = f"http://127.0.0.1:{served}"
    asking = Asking(address, keys, random.Random(number))
    processes = [Process(one, home / f"{n}.log", environment) for n, one in enumerate(words)]
    try:
        async with httpx.AsyncClient(base_url=address, timeout=30.0) as client, asked(asking):
            began = time.monotonic()
            await until(lambda: is_built(client, processes), LONGEST_S)
            built = time.monotonic()
            flushed = time.monotonic()
            await flush(port)
            await until(lambda: is_emptied(client, processes), LONGEST_S)
            await until(lambda: is_built(client, processes), LONGEST_S)
            again = time.monotonic()
    finally:
        for process in processes:
            process.kill()
    refused = [(at - flushed, why) for at, why in asking.bad if at > flushed]
    for why, count in Counter(why for _, why in refused).items():
        last = max(at for at, said in refused if said == why)
        print(
            f"round {number + 1}, after FLUSHALL: {count} times {why}, the last {last:.1f} s after it", file=sys.stderr
        )
    return {
        "start": asking.good[0] - asking.heard,
        "batch": built - began,
        "longest": max(b - a for a, b in asking.gaps(flushed, again)),
        "total": sum(asking.outages(flushed, again)),
        "refused": len(refused),
        "again": again - flushed,
    }


def _weights(home: Path) -> None:
    with contextlib.closing(sqlite3.connect(home / "weights.sqlite")) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE weights(weight INTEGER)")
        connection.execute("INSERT INTO weights VALUES (1)")
        connection.execute(OUTBOX_DDL)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=KEYS, metavar="N", help="keys of the batch")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    options = parser.parse_args()
    found: list[dict[str, float]] = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("rounds", total=options.rounds)
        for number in range(options.rounds):
            with tempfile.TemporaryDirectory() as home, _valkey.serving(durable=True) as port:
                found.append(asyncio.run(one_round(number, options.keys, Path(home), port)))
            progress.advance(bar)
    middle = {name: statistics.median(one[name] for one in found) for name in found[0]}
    names = ("start", "batch", "longest", "total", "refused", "again")
    rows = [(f"{n}", *(one[name] for name in names)) for n, one in enumerate([*found], 1)]
    rows.append(("median", *(middle[name] for name in names)))
    what = {"longest": "longest gap after FLUSHALL", "total": "all time without answers after FLUSHALL",
            "start": "from the server's first reply to the first answer"}  # fmt: skip
    goals = [Goal(said, middle[name], "s", f"<= {GOAL_S:g}", middle[name] <= GOAL_S) for name, said in what.items()]
    report("flush", COLUMNS, rows, figures={f"{name}_median": value for name, value in middle.items()}, goals=goals)


if __name__ == "__main__":
    main()
