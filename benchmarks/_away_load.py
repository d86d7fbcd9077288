"""Load on a server whose store is away: bursts of clients that come back when they are told to, and far too much."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp

from parbake.process.threads import task_threads

BURSTS = (40, 100)
QUERY_S = 0.05
"""How long the database takes for a query; it answers as many at once as a process has threads for it."""
QUIET_S, FLOOD_S = 6.0, 6.0
FLOOD = 4
"""How often the most that the database carries is asked for in a flood."""


class Database:
    """Answers a few queries at once, and the others later; ``took_s`` are the times that queries took."""

    def __init__(self) -> None:
        """Answer nobody yet."""
        self._places = asyncio.Semaphore(task_threads())
        self.took_s: list[float] = []

    @property
    def carries(self) -> float:
        """Queries a second."""
        return task_threads() / QUERY_S

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen; yields the port."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while line := await reader.readline():
                began = time.monotonic()
                async with self._places:
                    await asyncio.sleep(QUERY_S)
                self.took_s.append(time.monotonic() - began)
                writer.write(b"%d\n" % len(line))
        writer.close()


@dataclass
class Load:
    """What was measured, in seconds: answers by burst, and refusals and queries at half load and in the flood."""

    bursts_s: dict[int, float] = field(default_factory=dict)
    quiet_s: list[float] = field(default_factory=list)
    quiet_refused: int = 0
    refusals_s: list[float] = field(default_factory=list)
    queries_s: dict[str, list[float]] = field(default_factory=dict)


class Crowd:
    """Clients of one server."""

    def __init__(self, address: str, http: aiohttp.ClientSession) -> None:
        """Ask nothing yet."""
        self._address, self._http = address, http
        self._names = (f"n{n}" for n in itertools.count())

    async def asks(self) -> tuple[float, int]:
        """Ask for a new key; returns the seconds until the answer, and when to ask again, 0 for a value."""
        began = time.monotonic()
        url = f"{self._address}/v1/serve/length"
        async with self._http.post(url, json={"key": next(self._names)}) as answer:
            await answer.read()
            again_s = 0 if answer.status == 200 else int(answer.headers["retry-after"])
            return time.monotonic() - began, again_s

    async def returns(self) -> float:
        """Ask as often as it takes, each time when the server says; returns the seconds until there is a value."""
        began = time.monotonic()
        for _ in itertools.count():
            _, again_s = await self.asks()
            if not again_s:
                break
            await asyncio.sleep(again_s)
        return time.monotonic() - began

    async def flood(self, rate: float, seconds: float) -> list[tuple[float, int]]:
        """Ask at a rate, whatever the answers are; returns what :meth:`asks` does."""
        until, asking = time.monotonic() + seconds, list[asyncio.Task[tuple[float, int]]]()
        began = time.monotonic()
        while time.monotonic() < until:
            asking.append(asyncio.create_task(self.asks()))
            await asyncio.sleep(max(0.0, began + len(asking) / rate - time.monotonic()))
        return await asyncio.gather(*asking)


async def play(crowd: Crowd, database: Database) -> Load:
    """Half of what the database carries, then bursts, then a flood."""
    load = Load()
    half = await crowd.flood(0.9 * database.carries / 2, QUIET_S)  # at exactly a half, chance alone makes lines
    load.quiet_s, load.quiet_refused = [took_s for took_s, _ in half], sum(again_s > 0 for _, again_s in half)
    load.queries_s["half"], database.took_s = database.took_s, []
    for clients in BURSTS:
        load.bursts_s[clients] = max(await asyncio.gather(*(crowd.returns() for _ in range(clients))))
        await asyncio.sleep(1.0)
    database.took_s = []
    flood = await crowd.flood(FLOOD * database.carries, FLOOD_S)
    load.refusals_s = [took_s for took_s, again_s in flood if again_s]
    load.queries_s["flood"] = database.took_s
    return load
