"""Real processes to be harmed: two servers and a worker over one store, whose server is behind a proxy of ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from _faults_postgresql import PostgresqlUnderFault
from _valkey import installed

from parbake.adapters.sqlite import OUTBOX_DDL, emit
from parbake.stores import open_store

HERE = Path(__file__).parent
KEYS = ("a", "b")
START_S = 60.0


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(look: Any, timeout_s: float = START_S) -> Any:
    """Look until it is true; raises :class:`TimeoutError`."""
    async with asyncio.timeout(timeout_s):
        while not (found := await look()):  # noqa: ASYNC110  # another process gives no event to wait for
            await asyncio.sleep(0.02)
    return found


class Process:
    """A process of ours that can be harmed."""

    def __init__(self, words: list[str], log: Path, environment: dict[str, str]) -> None:
        """Start it."""
        self._words, self._log, self._environment = words, log, environment
        self.start()

    def start(self) -> None:
        """Start it (again)."""
        with self._log.open("ab") as log:
            self.popen = subprocess.Popen(self._words, cwd=HERE, env=self._environment, stdout=log, stderr=log)

    def must_run(self) -> None:
        """Raise :class:`SystemExit` with what it said last if it has ended by itself."""
        if self.popen.poll() is not None:
            raise SystemExit(f"{self._words} ended with {self.popen.returncode}: {self._log.read_text()[-1000:]}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.popen.kill()
        self.popen.wait(10)

    def send(self, number: signal.Signals) -> None:
        """Stop it, or let it go on."""
        self.popen.send_signal(number)


class Proxy:
    """Forwards connections to a port, until they are cut."""

    def __init__(self, target: int) -> None:
        """Listen nowhere yet."""
        self._target, self._open = target, set[asyncio.StreamWriter]()
        self.is_cut = False

    async def start(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more."""
        self.cut()
        self._server.close()

    def cut(self) -> None:
        """Break everything that is open, and what comes until :meth:`mend`."""
        self.is_cut = True
        for writer in list(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        """Forward again."""
        self.is_cut = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.is_cut:
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._open.add(far_writer)
            try:
                ways = (_forward(reader, far_writer), _forward(far_reader, writer))
                await asyncio.wait([asyncio.create_task(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._drop(far_writer)
        except OSError:
            pass
        finally:
            self._drop(writer)

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.transport.abort()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


class World:
    """One store with everything around it."""

    def __init__(self, kind: str, home: Path, *, deaf: bool) -> None:
        """Start nothing yet."""
        self.kind, self.home, self._deaf = kind, home, deaf
        self.valkey: Process | None = None
        self.postgresql: PostgresqlUnderFault | None = None
        self.committed = dict.fromkeys(KEYS, 0)
        self.acknowledged_to = self.lost = 0
        self._writing = asyncio.Lock()

    async def start(self) -> None:
        """Start everything and wait until it answers."""
        self.home.mkdir()
        self._database = sqlite3.connect(self.home / "facts.sqlite", check_same_thread=False)
        with self._database:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("CREATE TABLE fact(name TEXT PRIMARY KEY, version INTEGER)")
            self._database.execute(OUTBOX_DDL)
            self._database.executemany("INSERT INTO fact VALUES (?, 0)", [(key,) for key in KEYS])
        store = f"lmdb://{self.home}/store"
        if self.kind == "valkey":
            store = f"redis://127.0.0.1:{await self._start_valkey()}?timeout_s=2"
        elif self.kind == "postgresql":
            store = f"postgresql://postgres@127.0.0.1:{await self._start_postgresql()}/postgres?timeout_s=2"
        environment = {**os.environ, "FAULTS_HOME": str(self.home), "FAULTS_STORE": store}
        environment |= {"FAULTS_DEAF": "1"} if self._deaf else {}
        parbake = [sys.executable, "-m", "parbake"]
        ports = [free_port(), free_port()]
        words = [[*parbake, "serve", "_faults_app:serving", "--port", str(port)] for port in ports]
        self.servers = [Process(w, self.home / f"server{n}.log", environment) for n, w in enumerate(words)]
        self.worker = Process([*parbake, "worker", "_faults_app:app"], self.home / "worker.log", environment)
        self.clients = [httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=2.5) for port in ports]
        for n in range(2):
            await self.alive(n)

    async def alive(self, n: int) -> None:
        """Wait until a server answers."""

        async def look() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return (await self.clients[n].get("/healthz")).status_code == 200
            return False

        await until(look)

    async def stop(self) -> None:
        """End everything that was started."""
        for process in (*self.servers, self.worker, self.valkey):
            if process is not None and process.popen.poll() is None:
                process.send(signal.SIGCONT)
                process.kill()
        for client in self.clients:
            await client.aclose()
        if self.postgresql is not None:
            self.postgresql.clear_away()
        if self.kind != "lmdb":
            await self.proxy.stop()
        self._database.close()

    async def commit(self, key: str) -> tuple[int, int]:
        """Commit the next version of a fact with its outbox row; returns it and the row's position."""
        async with self._writing:
            version = self.committed[key] + 1
            position = await asyncio.to_thread(self._commit, key, version)
            self.committed[key] = version
        return version, position

    def _commit(self, key: str, version: int) -> int:
        with self._database:
            self._database.execute("UPDATE fact SET version = ? WHERE name = ?", (version, key))
            return emit(self._database, f"fact/{key}", "fact.changed")

    async def _start_valkey(self) -> int:
        program = installed()
        if program is None:
            raise SystemExit("needs valkey-server (or redis-server) on the PATH")
        self._port = free_port()
        place = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self.home), "--save", ""]
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]
        kept = ["--aof-load-truncated", "yes"]
        self.valkey = Process([program, *place, *durable, *kept], self.home / "valkey.log", dict(os.environ))
        await until(self._valkey_answers)
        self.proxy = Proxy(self._port)
        return await self.proxy.start()

    async def _valkey_answers(self) -> bool:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(b"PING\r\n")
            answer = await reader.readline()
            writer.close()
            return answer.startswith(b"+PONG")
        return False

    async def restart_valkey(self, *, cut_bytes: int = 0) -> None:
        """Kill it and start it again, its append-only file shortened by so many bytes."""
        assert self.valkey is not None
        self.valkey.kill()
        acknowledged_to = self.acknowledged_to
        if cut_bytes:
            aof = max((self.home / "appendonlydir").glob("*.incr.aof"))
            size = aof.stat().st_size
            os.truncate(aof, size - min(cut_bytes, size // 3))
            self.proxy.cut()
        self.valkey.start()
        await until(self._valkey_answers)
        if cut_bytes:
            self.lost += max(0, acknowledged_to - await self._applied(f"redis://127.0.0.1:{self._port}"))
            self.proxy.mend()

    async def _start_postgresql(self) -> int:
        self.postgresql = PostgresqlUnderFault(self.home / "postgresql", free_port())
        await self.postgresql.start()
        self.proxy = Proxy(self.postgresql.port)
        return await self.proxy.start()

    async def set_postgresql_back(self, after_s: float) -> None:
        """Put an older copy of its data in place, and count what had been acknowledged and is lost."""
        assert self.postgresql is not None
        await self.postgresql.set_back(after_s)
        self.lost += max(0, self.acknowledged_to - await self._applied(self.postgresql.url))

    async def _applied(self, url: str) -> int:
        store = open_store(url)
        try:
            return (await store.applied("shop")).position
        finally:
            await store.close()


async def strike(world: World, fault: str, rng: random.Random) -> None:
    """Do one kind of harm, and undo what a supervisor would undo."""
    n = rng.randrange(2)
    if fault == "kill server":
        world.servers[n].kill()
        world.servers[n].start()
        await world.alive(n)
    elif fault == "kill worker":
        world.worker.kill()
        world.worker.start()
    elif fault.endswith("postgresql"):
        await harm_postgresql(world, fault, rng)
    elif fault == "pause server":
        world.servers[n].send(signal.SIGSTOP)
        await asyncio.sleep(rng.uniform(0.1, 2.0))
        world.servers[n].send(signal.SIGCONT)
    elif fault == "kill valkey":
        await world.restart_valkey()
    elif fault == "truncate valkey":
        await world.restart_valkey(cut_bytes=rng.randrange(500, 30_000))
    else:
        world.proxy.cut()
        await asyncio.sleep(rng.choice((0.0, rng.uniform(0.0, 0.5))))
        world.proxy.mend()


async def harm_postgresql(world: World, fault: str, rng: random.Random) -> None:
    """Do one kind of harm to the store's server."""
    server = world.postgresql
    assert server is not None
    if fault == "kill postgresql":
        await server.restart()
    elif fault == "pause postgresql":
        server.send(signal.SIGSTOP)
        await asyncio.sleep(rng.uniform(0.1, 2.0))
        server.send(signal.SIGCONT)
    else:
        await world.set_postgresql_back(rng.uniform(0.3, 1.5))


# A server's start takes long, so the shorter faults are drawn more often.
FAULTS = {
    "lmdb": ("kill server", "kill worker", "pause server", "pause server"),
    "valkey": ("kill server", "kill worker", "pause server", "kill valkey", "cut connections", "truncate valkey"),
    "postgresql": (
        "kill server", "kill worker", "pause server", "kill postgresql", "pause postgresql", "cut connections",
        "set back postgresql",
    ),
}  # fmt: skip
