"""Reads right after captured changes, while every part is killed: is one ever older than the change?

Two servers share a store; the changes are made by plain SQL on PostgreSQL. Each round commits a change and reads it
from a random server: with the transaction as a ticket, at once or a moment later, or after ``parbake_wait``. All the
time a random part is killed and started again: a server, PostgreSQL, one of its processes, or a connection. A round
counts if its change was committed and its read was answered.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
import psycopg
from _faults_world import Process, free_port
from _report import Goal, report
from rich.progress import Progress
from tests.servers import pg

import parbake_capture

HERE = Path(__file__).parent
ROWS, TABLE = 20, "CREATE TABLE facts(id TEXT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0)"
WAYS = ("ticket", "parbake_wait", "ticket a moment later")


class Rounds:
    """Counts rounds and what went wrong in them."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self.lock = threading.Lock()
        self.done: Counter[str] = Counter()
        self.unanswered = 0
        self.outdated: list[str] = []
        self.kills: Counter[str] = Counter()
        self.stop = threading.Event()

    @property
    def rounds(self) -> int:
        """Rounds in which a read was answered."""
        return sum(self.done.values())


class Changer:
    """Changes rows of its own and reads them back."""

    def __init__(self, number: int, world: World, rounds: Rounds) -> None:
        """Change nothing yet."""
        self._rng, self._world, self._rounds = random.Random(number), world, rounds
        self._keys = [f"k{number}x{row}" for row in range(ROWS)]
        self._connection: psycopg.Connection | None = None
        self._last: dict[str, int] = {}
        self._n = 0

    def run(self) -> None:
        """Play rounds until told to stop."""
        with httpx.Client(timeout=30.0) as client:
            while not self._rounds.stop.is_set():
                try:
                    self._round(client)
                except (psycopg.Error, httpx.HTTPError):
                    with self._rounds.lock:
                        self._rounds.unanswered += 1
                    self._disconnect()
                    time.sleep(0.02)
        self._disconnect()

    def _round(self, client: httpx.Client) -> None:
        key, way = self._rng.choice(self._keys), self._rng.choice(WAYS)
        self._n += 1
        ticket = self._change(key, self._n)
        self._last[key] = self._n
        headers = {"parbake-after": f"shop:{ticket}"}
        if way == "parbake_wait":
            headers = {}
            (has_all,) = self._connected().execute("SELECT parbake_wait(%s::TEXT::XID8)", (str(ticket),)).fetchone()
            if not has_all:
                return
        elif way == "ticket a moment later":
            time.sleep(self._rng.random() * 0.01)
        address = self._rng.choice(self._world.addresses)
        answer = client.post(f"{address}/v1/serve/fact", json={"key": key}, headers=headers)
        if answer.status_code != httpx.codes.OK:
            with self._rounds.lock:
                self._rounds.unanswered += 1
            return
        value = answer.json()["value"]
        with self._rounds.lock:
            self._rounds.done[way] += 1
            if value < self._n:
                self._rounds.outdated.append(f"{way}: {key} is {value}, committed was {self._n}")

    def _change(self, key: str, number: int) -> int:
        """Commit a change; a writer that was killed before its commit begins again."""
        connection = self._connected()
        with connection.transaction():
            (ticket,) = connection.execute("SELECT pg_current_xact_id()::TEXT::BIGINT").fetchone()
            connection.execute(
                "INSERT INTO facts VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET n = excluded.n", (key, number)
            )
        return int(ticket)

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._world.database, autocommit=True, connect_timeout=5)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
        self._connection = None


class World:
    """PostgreSQL, and two servers over one store."""

    def __init__(self, server: pg.Postgresql, folder: Path) -> None:
        """Start everything."""
        self.postgresql = server
        server.sql("CREATE DATABASE shop")
        self.database = f"postgresql://postgres@127.0.0.1:{server.port}/shop"
        server.sql(TABLE, dbname="shop")
        parbake_capture.install(self.database, "facts:fact/{id}")
        ports = [free_port(), free_port()]
        self.addresses = [f"http://127.0.0.1:{port}" for port in ports]
        environment = os.environ | {
            "DATABASE": self.database,
            "STORE": f"lmdb://{folder}/store",
            "PYTHONPATH": str(HERE),
        }
        words = [sys.executable, "-m", "parbake", "serve", "_capture.faults_app:app", "--port"]
        self.servers = [Process([*words, str(port)], folder / f"{port}.log", environment) for port in ports]

    def wait(self) -> None:
        """Wait until every server answers."""
        for address in self.addresses:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                with contextlib.suppress(httpx.HTTPError):
                    if httpx.get(f"{address}/healthz").status_code == httpx.codes.OK:
                        break
                time.sleep(0.05)

    def kill(self, what: str, rng: random.Random) -> None:
        """Kill a part, and start it again."""
        if what == "server":
            victim = rng.choice(self.servers)
            victim.kill()
            victim.start()
        elif what == "PostgreSQL":
            self.postgresql.restart()
        else:
            with contextlib.suppress(psycopg.Error):
                pids = self.postgresql.sql(
                    "SELECT pid FROM pg_stat_activity WHERE datname = 'shop' AND backend_type = 'client backend'"
                )
                if pids:
                    self._end(rng.choice(pids)[0], is_crash=what == "a process of PostgreSQL")

    def _end(self, pid: int, *, is_crash: bool) -> None:
        if is_crash:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
            time.sleep(0.3)
            while not self.postgresql.answers():
                time.sleep(0.05)
        else:
            self.postgresql.sql(f"SELECT pg_terminate_backend({int(pid)})")

    def close(self) -> None:
        """End the servers."""
        for server in self.servers:
            server.kill()


def harm(world: World, rounds: Rounds, kills: int, every: int) -> None:
    """Kill a random part after each so many rounds."""
    rng, parts = random.Random(7), ("server", "PostgreSQL", "a process of PostgreSQL", "a connection")
    for number in range(kills):
        while rounds.rounds < (number + 1) * every and not rounds.stop.is_set():
            time.sleep(0.01)
        if rounds.stop.is_set():
            return
        part = parts[number % len(parts)]
        world.kill(part, rng)
        rounds.kills[part] += 1


def main() -> None:
    """Play the rounds, and print what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Example: make bench NAME=capture_faults ARGS='--rounds 5000'"
    )
    parser.add_argument("--rounds", type=int, default=100_000, help="rounds in which a read is answered")
    parser.add_argument("--kills", type=int, default=200, help="parts to kill")
    parser.add_argument("--data", help="unused; other benchmarks read a data set")
    options = parser.parse_args()
    rounds = Rounds()
    with pg.folder() as place, pg.postgresql(place / "data") as server, tempfile.TemporaryDirectory() as folder:
        world = World(server, Path(folder))
        world.wait()
        changers = [threading.Thread(target=Changer(number, world, rounds).run) for number in range(4)]
        harming = threading.Thread(
            target=harm, args=(world, rounds, options.kills, max(1, options.rounds // options.kills))
        )
        for thread in (*changers, harming):
            thread.start()
        with Progress() as bars:
            bar = bars.add_task("rounds", total=options.rounds)
            while rounds.rounds < options.rounds:
                bars.update(bar, completed=rounds.rounds)
                time.sleep(0.1)
        rounds.stop.set()
        for thread in (*changers, harming):
            thread.join()
        world.close()
    for line in rounds.outdated[:10]:
        print(line)
    kills = sum(rounds.kills.values())
    rows = [*rounds.done.items(), *((f"killed: {part}", count) for part, count in rounds.kills.items())]
    rows += [("without an answer", rounds.unanswered), ("outdated", len(rounds.outdated))]
    figures = {
        "rounds": rounds.rounds,
        "kills": kills,
        "unanswered": rounds.unanswered,
        "outdated": len(rounds.outdated),
    }
    goals = [
        Goal("reads older than a committed change", len(rounds.outdated), "reads", "0", not rounds.outdated),
        Goal("rounds", rounds.rounds, "rounds", f">= {options.rounds}", rounds.rounds >= options.rounds),
        Goal("parts killed", kills, "kills", f">= {options.kills - 1}", kills >= options.kills - 1),
    ]
    report("capture_faults", ("what", "count"), rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
