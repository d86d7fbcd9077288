"""A store that is away for 20 seconds: are requests answered, how long do they wait, and is anything old?

Two servers answer out of one Valkey: the first directly, the second through a relay of ours. A writer commits a new
version of one of a few facts to the system of record, and has it acknowledged by whichever server can. Readers ask
both servers at a fixed rate, half of what the source carries. Three times the store is away: stopped, killed and
started again, and out of reach of the second server only, while the first one goes on acknowledging. A read is right
if it shows at least the version that was acknowledged before it began.

A third server whose store is gone computes from a database that answers a few queries at once: at half of what that
carries, for bursts of clients that obey ``retry-after``, and in a flood.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import aiohttp
from _away_load import Crowd, Database, Load, play
from _report import Goal, percentile, report
from _server import Running, running
from _valkey import installed

from parbake.adapters.sqlite import OUTBOX_DDL, emit

KEYS = tuple(f"k{n}" for n in range(20))
LEAST_RIGHT, LONGEST_S = 95.0, 2.0
REFUSAL_MS, TIMES_P99 = 20.0, 2.0
BEFORE_S, AFTER_S = 3.0, 5.0
RATE = 80
GIVE_UP_S = 10.0


class Store:
    """A Valkey that syncs each write, and can be stopped and killed."""

    def __init__(self, folder: Path) -> None:
        """Choose a port."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._folder = folder

    def start(self) -> None:
        """Start it, over what it has kept."""
        words = [installed(), "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--dir", self._folder]
        words += ["--appendonly", "yes", "--appendfsync", "always"]
        self.process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL)

    def end(self) -> None:
        """Kill it."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)


class Relay:
    """Forwards connections to the store; while it is cut nothing passes, and nothing is refused."""

    def __init__(self, target: int) -> None:
        """Listen nowhere yet."""
        self._target, self._passes = target, asyncio.Event()
        self._passes.set()

    async def start(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self, *, is_cut: bool) -> None:
        """Hold everything up, or let it pass."""
        if is_cut:
            self._passes.clear()
        else:
            self._passes.set()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._passes.wait()
            theirs = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(self._pump(reader, theirs[1]), self._pump(theirs[0], writer))

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._passes.wait()
                target.write(data)
                await target.drain()
        target.close()


@dataclass
class Seen:
    """What readers and the writer saw in one outage."""

    waits_s: list[float] = field(default_factory=list)
    right: int = 0
    failed: list[str] = field(default_factory=list)
    old: list[str] = field(default_factory=list)
    acknowledged: int = 0


class Play:
    """The readers and the writer of two servers."""

    def __init__(self, addresses: list[str], database: Path, http: aiohttp.ClientSession) -> None:
        """Act on nothing yet."""
        self._addresses, self._database, self._http = addresses, database, http
        self.acked = dict.fromkeys(KEYS, 0)
        self._version = 0

    async def during(self, seconds: float) -> Seen:
        """Read and write for so long."""
        seen, until, reads = Seen(), time.monotonic() + seconds, set[asyncio.Task[None]]()
        writing = asyncio.create_task(self._write(until, seen))
        while (now := time.monotonic()) < until:
            task = asyncio.create_task(self._read(seen))
            reads.add(task)
            await asyncio.sleep(max(0.0, now + 1 / RATE - time.monotonic()))
        await asyncio.gather(writing, *reads)
        return seen

    async def _read(self, seen: Seen) -> None:
        address, key = random.choice(self._addresses), random.choice(KEYS)  # not for a secret
        task, due, began = random.choice(("note", "digest")), self.acked[key], time.monotonic()
        try:
            async with self._http.post(f"{address}/v1/serve/{task}", json={"key": key}) as answer:
                body = await answer.json(content_type=None)
                shown = body["value"]["version"] if answer.status == 200 and body.get("value") else None
        except (aiohttp.ClientError, TimeoutError) as error:
            shown, body = None, repr(error)
        seen.waits_s.append(time.monotonic() - began)
        if shown is None:
            seen.failed.append(str(body)[:200])
        elif shown < due:
            seen.old.append(f"{task}({key}) shows {shown} after {due}")
        else:
            seen.right += 1

    async def _write(self, until: float, seen: Seen) -> None:
        while time.monotonic() < until:
            key = random.choice(KEYS)  # not for a secret
            self._version += 1
            version = self._version
            await asyncio.to_thread(self._commit, key, version)
            for address in self._addresses:
                try:
                    async with self._http.post(f"{address}/drain") as answer:
                        is_heard = answer.status == 200
                except (aiohttp.ClientError, TimeoutError):
                    is_heard = False
                if is_heard:
                    self.acked[key] = max(self.acked[key], version)
                    seen.acknowledged += 1
                    break
            await asyncio.sleep(0.05)

    def _commit(self, key: str, version: int) -> None:
        with contextlib.closing(sqlite3.connect(self._database, timeout=10)) as connection, connection:
            connection.execute("UPDATE fact SET version = ? WHERE name = ?", (version, key))
            emit(connection, f"fact/{key}", "fact.changed")


class Scene(NamedTuple):
    """What can fail."""

    store: Store
    relay: Relay


@contextlib.asynccontextmanager
async def stopped(scene: Scene) -> AsyncIterator[None]:
    """The store hangs."""
    scene.store.process.send_signal(signal.SIGSTOP)
    yield
    scene.store.process.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def killed(scene: Scene) -> AsyncIterator[None]:
    """The store is gone, and comes back with what it has kept."""
    scene.store.end()
    yield
    scene.store.start()


@contextlib.asynccontextmanager
async def unreachable(scene: Scene) -> AsyncIterator[None]:
    """The second server cannot reach the store; the first one can."""
    scene.relay.cut(is_cut=True)
    yield
    scene.relay.cut(is_cut=False)


OUTAGES = (stopped, killed, unreachable)


async def measure(seconds: float) -> dict[str, Seen]:
    """Play each outage once."""
    found: dict[str, Seen] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ends:
        home, database = Path(name), Path(name) / "facts.sqlite"
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE fact(name TEXT PRIMARY KEY, version INTEGER)")
            connection.executemany("INSERT INTO fact VALUES (?, 0)", [(key,) for key in KEYS])
            connection.execute(OUTBOX_DDL)
        store = Store(home)
        store.start()
        ends.callback(store.end)
        relay = Relay(store.port)
        ports = [store.port, await relay.start()]
        addresses = [await asyncio.to_thread(ends.enter_context, _server(home, port)) for port in ports]
        limit = aiohttp.ClientTimeout(total=GIVE_UP_S)
        async with aiohttp.ClientSession(timeout=limit, connector=aiohttp.TCPConnector(limit=0)) as http:
            play = Play([server.address for server in addresses], database, http)
            await play.during(BEFORE_S)
            for outage in OUTAGES:
                async with outage(Scene(store, relay)):
                    found[outage.__name__] = await play.during(seconds)
                back = await play.during(AFTER_S)
                found[outage.__name__].old += back.old
    return found


def _server(home: Path, port: int) -> contextlib.AbstractContextManager[Running]:
    environment = {"FAULTS_HOME": str(home), "FAULTS_STORE": f"redis://127.0.0.1:{port}/0"}
    return _running("_faults_app:serving", environment)


def _running(app: str, settings: dict[str, str]) -> contextlib.AbstractContextManager[Running]:
    environment = {**os.environ, **settings}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return running(app, environment=environment, folder=Path(__file__).parent)


async def measure_load() -> Load:
    """Play load against a server whose store was there at its start, and is gone."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ends:
        home = Path(name)
        with contextlib.closing(sqlite3.connect(home / "facts.sqlite")) as connection, connection:
            connection.execute(OUTBOX_DDL)
        store, database = Store(home), Database()
        store.start()
        ends.callback(store.end)
        async with database.listening() as port:
            environment = {
                "AWAY_HOME": name,
                "AWAY_STORE": f"redis://127.0.0.1:{store.port}/0",
                "AWAY_DATABASE": str(port),
            }
            server = await asyncio.to_thread(ends.enter_context, _running("_away_app:serving", environment))
            limit = aiohttp.ClientTimeout(total=GIVE_UP_S)
            async with aiohttp.ClientSession(timeout=limit, connector=aiohttp.TCPConnector(limit=0)) as http:
                crowd = Crowd(server.address, http)
                await crowd.asks()
                store.end()
                await crowd.flood(20, 1.0)  # until the server knows
                database.took_s = []
                return await play(crowd, database)


def main() -> None:
    """Measure, and say which goals were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each outage lasts")
    parser.add_argument("--only", choices=["load", "outages"], help="measure only the load, or only the outages")
    options = parser.parse_args()
    found = {} if options.only == "load" else asyncio.run(measure(options.seconds))
    rows = [
        (name, len(one.waits_s), 100 * one.right / len(one.waits_s), percentile(one.waits_s, 50) * 1000,
         max(one.waits_s) * 1000, one.acknowledged, len(one.old))
        for name, one in found.items()
    ]  # fmt: skip
    for name, one in found.items():
        for what in [*one.old[:5], *one.failed[:3]]:
            print(f"{name}: {what}", file=sys.stderr)
    goals = []
    for name, _, share, _, longest_ms, _, old in rows:
        goals += [
            Goal(f"{name}: right answers", share, "%", f">= {LEAST_RIGHT:g}", share >= LEAST_RIGHT),
            Goal(f"{name}: longest wait", longest_ms / 1000, "s", f"<= {LONGEST_S:g}", longest_ms <= LONGEST_S * 1000),
            Goal(f"{name}: older than an acknowledgement", old, "reads", "<= 0", old == 0),
        ]
    figures = {
        f"{row[0]}_{what}": float(row[at]) for row in rows for at, what in ((2, "right"), (4, "longest_ms"), (6, "old"))
    }
    if options.only != "outages":
        of_load, goals_of_load = judged(asyncio.run(measure_load()))
        figures |= of_load
        goals += goals_of_load
    report(
        "away",
        ("store", "reads", "right %", "wait p50 ms", "longest ms", "acknowledged", "old"),
        rows,
        figures=figures,
        goals=goals,
    )


def judged(load: Load) -> tuple[dict[str, float], list[Goal]]:
    """The figures of a load, and which goals were met."""
    half_ms, flood_ms = (percentile(load.queries_s[when], 99) * 1000 for when in ("half", "flood"))
    refusal_ms, times = percentile(load.refusals_s, 50) * 1000, flood_ms / half_ms
    longest = {f"longest time until an answer, {clients} at once": s for clients, s in load.bursts_s.items()}
    longest["longest wait at half load"] = max(load.quiet_s)
    goals = [Goal(what, s, "s", f"<= {LONGEST_S:g}", s <= LONGEST_S) for what, s in longest.items()]
    goals += [
        Goal("refusal p50", refusal_ms, "ms", f"<= {REFUSAL_MS:g}", refusal_ms <= REFUSAL_MS),
        Goal(
            "source's p99 beyond that load, times its p99 at half load", times, "times", f"<= {TIMES_P99:g}",
            times <= TIMES_P99,
        ),
    ]  # fmt: skip
    figures = {goal.what: goal.value for goal in goals}
    return figures | {"refused at half load": float(load.quiet_refused), "refusals": float(len(load.refusals_s))}, goals


if __name__ == "__main__":
    main()
