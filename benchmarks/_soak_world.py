"""The processes of the soak, and what is done to them: two servers, a worker, a store, a database and a provider."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import _valkey
import httpx
from _faults_world import Process, free_port, until

from parbake.adapters.sqlite import OUTBOX_DDL
from parbake.errors import StoreError, StoreFull
from parbake.stores import open_store
from parbake.stores.lmdb import LmdbStore
from parbake.stores.steps.item_names import overlay_key
from parbake_llm.testing import BoxRequest, ProviderFault, ScriptedReply
from provider_box import JobBox

NAMES = tuple(f"n{number}" for number in range(50))
USERS = tuple(f"u{number}" for number in range(500))
LONG_S, PAGE = 5.0, 4096
MAP_SIZE = "64MiB"
FILLERS = (1 << 20, 1 << 16, 1 << 13)
"""Sizes of values that fill a store, from coarse to fine."""


class SoakWorld:
    """Everything that runs."""

    def __init__(self, kind: str, home: Path, *, deaf: bool) -> None:
        """Start nothing yet."""
        self.kind, self.home, self._deaf = kind, home, deaf
        self._open = contextlib.ExitStack()
        self.box = JobBox()
        self.is_slow = False
        self.store = ""

    async def start(self) -> None:
        """Start everything, and wait until both servers answer."""
        self._database()
        self._open.enter_context(self.box)
        self.box.reply(self._reply)
        self.store = f"lmdb://{self.home}/store?map_size={MAP_SIZE}"
        if self.kind == "valkey":
            self.port = self._open.enter_context(_valkey.serving(durable=True))
            self.store = f"redis://127.0.0.1:{self.port}?timeout_s=2"
        provider = {"SOAK_PROVIDER": self.box.openai_url, "SOAK_KEY": self.box.key}
        environment = {**os.environ, "SOAK_HOME": str(self.home), "SOAK_STORE": self.store, **provider}
        environment |= {"SOAK_DEAF": "1"} if self._deaf else {}
        parbake, ports = [sys.executable, "-m", "parbake"], [free_port(), free_port()]
        self.addresses = [f"http://127.0.0.1:{port}" for port in ports]
        words = [[*parbake, "serve", "_soak_app:serving", "--port", str(port)] for port in ports]
        words.append([*parbake, "worker", "_soak_app:app"])
        *self.servers, self.worker = (self._process(*each, environment) for each in enumerate(words))
        async with httpx.AsyncClient(timeout=5.0) as client:
            for address in self.addresses:
                await until(lambda address=address: self._is_ready(client, address))

    def _process(self, number: int, words: list[str], environment: dict[str, str]) -> Process:
        process = Process(words, self.home / f"{number}.log", environment)
        self._open.callback(process.kill)
        return process

    async def _is_ready(self, client: httpx.AsyncClient, address: str) -> bool:
        for process in (*self.servers, self.worker):
            process.must_run()
        with contextlib.suppress(httpx.TransportError):
            found = await client.get(f"{address}/readyz")
            return found.status_code == httpx.codes.OK and not found.json()["degraded"]
        return False

    def stop(self) -> None:
        """End everything that was started."""
        self._open.close()

    def connect(self) -> sqlite3.Connection:
        """Open the database; whoever calls it closes it."""
        return sqlite3.connect(self.home / "facts.sqlite", isolation_level=None, timeout=LONG_S)

    def _database(self) -> None:
        with contextlib.closing(self.connect()) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE fact(name TEXT PRIMARY KEY, version INTEGER)")
            connection.execute("CREATE TABLE effect(id TEXT, name TEXT, version INTEGER)")
            connection.execute("CREATE INDEX effects ON effect(id)")
            connection.execute(OUTBOX_DDL)
            connection.executemany("INSERT INTO fact VALUES (?, 0)", [(name,) for name in NAMES])

    def _reply(self, request: BoxRequest) -> ScriptedReply:
        found = re.findall(r"version is (\d+)", str(request.body))
        fault = ProviderFault.SLOW if self.is_slow else None
        return ScriptedReply(f"Version {found[-1]}." if found else "I do not know.", fault=fault)


async def kill_server(world: SoakWorld) -> None:
    """End the first server, and start it again as a supervisor would."""
    world.servers[0].kill()
    world.servers[0].start()


async def kill_worker(world: SoakWorld) -> None:
    """End the worker, and start it again."""
    world.worker.kill()
    world.worker.start()


async def _paused(process: Process) -> None:
    process.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(LONG_S)
    finally:
        process.send(signal.SIGCONT)


async def pause_server(world: SoakWorld) -> None:
    """Stop the second server for a while, with its connections open."""
    await _paused(world.servers[1])


async def pause_worker(world: SoakWorld) -> None:
    """Stop the worker for a while."""
    await _paused(world.worker)


async def slow_provider(world: SoakWorld) -> None:
    """Let the provider send nothing for a while."""
    world.box.slow_s, world.is_slow = LONG_S, True
    try:
        await asyncio.sleep(LONG_S)
    finally:
        world.is_slow = False


async def lock_database(world: SoakWorld) -> None:
    """Keep the only write lock of the database for a while, as another program."""
    with contextlib.closing(world.connect()) as connection:
        connection.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(LONG_S)
        connection.execute("ROLLBACK")


async def damage_page(world: SoakWorld) -> None:
    """Write zeros over every page of the store that holds a value."""
    await asyncio.to_thread(_zero, world.home / "store" / "data.mdb")


def _zero(path: Path) -> None:
    with path.open("r+b") as file:
        whole = file.read()
        for page in {found.start() // PAGE for found in re.finditer(rb"filler-n\d+-filler", whole)}:
            file.seek(page * PAGE)
            file.write(bytes(PAGE))
            file.flush()


async def command(world: SoakWorld, words: str) -> None:
    """Send a command to Valkey; raises :class:`RuntimeError` if it is refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(f"{words}\r\n".encode())
    answer = await reader.readline()
    writer.close()
    if not answer.startswith(b"+OK"):
        raise RuntimeError(f"{words}: {answer.decode()}")


async def flush(world: SoakWorld) -> None:
    """Empty the store."""
    await command(world, "FLUSHALL")


async def fill_valkey(world: SoakWorld) -> None:
    """Leave Valkey no memory for a while."""
    await command(world, "CONFIG SET maxmemory 1")
    try:
        await asyncio.sleep(LONG_S)
    finally:
        await command(world, "CONFIG SET maxmemory 0")


async def fill_lmdb(world: SoakWorld) -> None:
    """Fill the map of the store for a while with values that nobody reads."""
    store = open_store(world.store)
    assert isinstance(store, LmdbStore)
    names: list[bytes] = []
    try:
        for size in FILLERS:
            with contextlib.suppress(StoreFull):
                while True:
                    name = overlay_key("soak_filler@1", str(len(names)).encode())
                    await store._put([(name, bytes(size))])  # noqa: SLF001  # no public way to write without a task
                    names.append(name)
        await asyncio.sleep(LONG_S)
    finally:
        try:
            await until(lambda: _is_removed(store, names), LONG_S)
        finally:
            await store.close()


async def _is_removed(store: LmdbStore, names: list[bytes]) -> bool:
    while names:
        try:
            await store._remove(names[-1:])  # noqa: SLF001  # (the same)
        except StoreError:  # a full map has room for few changes at a time
            return False
        names.pop()
    return True


Fault = tuple[Callable[[SoakWorld], Awaitable[None]], float]
"""What is done, and the seconds that it lasts."""
_EVERYWHERE: dict[str, Fault] = {
    "kill server": (kill_server, 0.0), "pause server": (pause_server, LONG_S), "kill worker": (kill_worker, 0.0),
    "pause worker": (pause_worker, LONG_S), "provider slow": (slow_provider, LONG_S),
    "database locked": (lock_database, LONG_S),
}  # fmt: skip
FAULTS: dict[str, dict[str, Fault]] = {
    "lmdb": _EVERYWHERE | {"page damaged": (damage_page, 0.0), "store full": (fill_lmdb, LONG_S)},
    "valkey": _EVERYWHERE | {"FLUSHALL": (flush, 0.0), "store full": (fill_valkey, LONG_S)},
}
