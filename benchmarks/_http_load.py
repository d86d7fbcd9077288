"""Requests over keep-alive connections, as cheap as can be: the client shares the machine with the server."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

CONNECTIONS = 4
Body = Callable[[int], object]


def posted(path: str, body: object, key: str = "") -> bytes:
    """The bytes of a request that posts JSON, with a key if there is one."""
    raw = json.dumps(body).encode()
    names = f"host: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}"
    names += f"\r\nauthorization: Bearer {key}" if key else ""
    return f"POST {path} HTTP/1.1\r\n{names}\r\n\r\n".encode() + raw


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and the body of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head[9:12]), await reader.readexactly(length)


class Client:
    """One connection; a request at a time, each with a key if there is one."""

    def __init__(self, host: str, port: int, key: str = "") -> None:
        """Open nothing yet."""
        self._host, self._port, self._key = host, port, key

    async def open(self) -> Client:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def post(self, path: str, body: object) -> float:
        """Send and read one answer; the seconds it took. An answer that is not 200 ends the benchmark."""
        raw = posted(path, body, self._key)
        before = time.perf_counter()
        self._writer.write(raw)
        status, content = await answer_of(self._reader)
        took = time.perf_counter() - before
        if status != HTTPStatus.OK:
            raise SystemExit(f"{path} answered {status}: {content[:300]!r}")
        return took

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()


async def closed_loop(port: int, path: str, body: Body, seconds: float, *, key: str = "") -> float:
    """As many requests as a few connections get answered one after the other; requests per second."""
    clients = [await Client("127.0.0.1", port, key).open() for _ in range(CONNECTIONS)]
    numbers, until = itertools.count(), time.perf_counter() + seconds

    async def one(client: Client) -> int:
        done = 0
        while time.perf_counter() < until:
            await client.post(path, body(next(numbers)))
            done += 1
        client.close()
        return done

    return sum(await asyncio.gather(*map(one, clients))) / seconds


async def open_loop(port: int, path: str, body: Body, rate: float, seconds: float, *, key: str = "") -> list[float]:
    """Requests at an even rate, whether or not earlier ones were answered; seconds from when each was due."""
    free: asyncio.Queue[Client] = asyncio.Queue()
    for _ in range(4 * CONNECTIONS):
        free.put_nowait(await Client("127.0.0.1", port, key).open())
    took: list[float] = []

    async def one(number: int, due: float) -> None:
        client = await free.get()
        await client.post(path, body(number))
        took.append(time.perf_counter() - due)
        free.put_nowait(client)

    async with asyncio.TaskGroup() as group:
        for number, due in enumerate(_times(rate, seconds)):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(number, due))
    while not free.empty():
        free.get_nowait().close()
    return took


def _times(rate: float, seconds: float) -> Iterator[float]:
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        yield began + number / rate
