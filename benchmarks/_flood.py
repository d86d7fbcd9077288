"""More requests than a server can answer, from one process on a core of its own, at an even rate.

Each request has a connection from a pool that grows with the demand. The client reports its own lag: by how much its
requests were sent late.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from _http_load import answer_of

ANSWERED, SHED = 200, 503


@dataclass
class Flooded:
    """What came of the requests of one flood: seconds of those answered with 200, and counts of the others."""

    took: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)
    shed: int = 0
    failed: int = 0


class Flood:
    """Sends requests, each of which is judged by its status and by ``is_right``."""

    def __init__(self, port: int, timeout_s: float, is_right: Callable[[bytes], bool]) -> None:
        """Open nothing yet; a request that has no answer within ``timeout_s`` has failed."""
        self._port, self._timeout_s, self._is_right = port, timeout_s, is_right
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, raws: Callable[[int], bytes], rate: float, seconds: float) -> Flooded:
        """Send ``rate`` requests a second for some seconds, whatever comes back."""
        found, began, running = Flooded(), time.perf_counter(), set[asyncio.Task[None]]()
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(self.one(raws(number), due, found))
            running.add(task)
            task.add_done_callback(running.discard)
        if running:
            await asyncio.wait(running)
        for _, writer in self._free:
            writer.close()
        self._free.clear()
        return found

    async def one(self, raw: bytes, due: float, found: Flooded) -> None:
        """Send one request that was due at a time of ``perf_counter``, and note what came of it."""
        found.late.append(time.perf_counter() - due)
        try:
            async with asyncio.timeout(self._timeout_s):
                status, body = await self._ask(raw)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            found.failed += 1
            return
        if status == ANSWERED and self._is_right(body):
            found.took.append(time.perf_counter() - due)
            found.answered_at.append(time.perf_counter())
        elif status == SHED:
            found.shed += 1
        else:
            found.failed += 1

    async def _ask(self, raw: bytes) -> tuple[int, bytes]:
        while self._free and self._free[-1][0].at_eof():  # the server closes what is idle for some seconds
            self._free.pop()[1].close()
        reader, writer = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(raw)
            found = await answer_of(reader)
        except BaseException:
            writer.close()
            raise
        self._free.append((reader, writer))
        return found


async def probe(port: int, path: str, every_s: float, took: list[float]) -> None:
    """Ask for a path again and again until cancelled, each time on a new connection, as probes do."""
    raw = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
    while True:
        before = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw)
            await reader.read()
            writer.close()
            took.append(time.perf_counter() - before)
        except OSError:
            took.append(float("inf"))
        await asyncio.sleep(every_s)
