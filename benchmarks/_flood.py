"""More requests than a server can answer, from one process on a core of its own, at an even rate.

Each request has a connection from a pool that grows with the demand. The client reports its own lag: by how much its
requests were sent late.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event

from _http_load import answer_of

ANSWERED, SHED = 200, 503


@dataclass
class Flooded:
    """What came of the requests of one flood: seconds of those answered or refused, and counts of the others."""

    took: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def shed(self) -> int:
        """How many were refused."""
        return len(self.refused)


class Flood:
    """Sends requests, each of which is judged by its status and by ``is_right``."""

    def __init__(
        self, port: int, timeout_s: float, is_right: Callable[[bytes], bool], *, source: str = "127.0.0.1"
    ) -> None:
        """Open nothing yet; a request that has no answer within ``timeout_s`` has failed; ``source`` is its address."""
        self._port, self._timeout_s, self._is_right = port, timeout_s, is_right
        self._source = source
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, raws: Callable[[int], bytes], rate: float, seconds: float) -> Flooded:
        """Send ``rate`` requests a second for some seconds, whatever comes back."""
        found, began, running = Flooded(), time.perf_counter(), set[asyncio.Task[int]]()
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

    async def one(self, raw: bytes, due: float, found: Flooded) -> int:
        """Send one request that was due at a time of ``perf_counter``, and note its answer; return its status, or 0."""
        found.late.append(time.perf_counter() - due)
        try:
            async with asyncio.timeout(self._timeout_s):
                status, body = await self._ask(raw)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            found.failed += 1
            return 0
        if status == ANSWERED and self._is_right(body):
            found.took.append(time.perf_counter() - due)
            found.answered_at.append(time.perf_counter())
        elif status == SHED:
            found.refused.append(time.perf_counter() - due)
        else:
            found.failed += 1
        return status

    async def _ask(self, raw: bytes) -> tuple[int, bytes]:
        while self._free and self._free[-1][0].at_eof():  # the server closes what is idle for some seconds
            self._free.pop()[1].close()
        if self._free:
            reader, writer = self._free.pop()
        else:
            source = (self._source, 0)
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=source)
        try:
            writer.write(raw)
            found = await answer_of(reader)
        except BaseException:
            writer.close()
            raise
        self._free.append((reader, writer))
        return found


@contextlib.contextmanager
def probing(port: int, path: str, every_s: float = 0.1) -> Iterator[list[float]]:
    """Ask for a path again and again, each time on a new connection, as probes do.

    A process of its own does it, so that the work of a client that floods the server does not count as the server's.
    Gives a list that has the seconds of each probe once the body has ended.
    """
    start = multiprocessing.get_context("spawn")
    begun, ended, found = start.Event(), start.Event(), start.Queue()
    told = {"begun": begun, "ended": ended, "found": found}
    process = start.Process(target=_probe, args=(port, path, every_s), kwargs=told)
    process.start()
    took: list[float] = []
    try:
        begun.wait()
        yield took
    finally:
        ended.set()
        took += found.get(timeout=60)
        process.join()


def _probe(port: int, path: str, every_s: float, *, begun: Event, ended: Event, found: Queue[list[float]]) -> None:
    raw, took = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode(), list[float]()
    begun.set()
    while not ended.wait(every_s):
        before = time.perf_counter()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(raw)
                while connection.recv(4096):
                    pass
            took.append(time.perf_counter() - before)
        except OSError:
            took.append(float("inf"))
    found.put(took)
