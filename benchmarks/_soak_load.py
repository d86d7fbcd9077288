"""The clients of the soak: reads and writes at an even pace, through a balancer of two servers, each with its time."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
from _faults_checks import Event
from _soak_world import NAMES, USERS

RATE, WRITES, TRY_S, AVOIDED_S = 40.0, 0.1, 1.0, 1.0
"""Requests per second, the share of writes, the seconds of one try, and for how long a failed server is avoided."""
TASKS = ("note", "digest", "worded", "suggestion")


class Asked(msgspec.Struct, frozen=True):
    """One request with all its tries, in seconds of the monotonic clock; ``wrong`` is empty if the answer was right."""

    begin: float
    end: float
    what: str
    wrong: str


class Balancer:
    """Asks one server, and once the other if that one does not answer; avoids for a second what did not answer."""

    def __init__(self, addresses: Sequence[str]) -> None:
        """Connect to nothing yet."""
        self._clients = [httpx.AsyncClient(base_url=address, timeout=TRY_S) for address in addresses]
        self._failed = [0.0] * len(addresses)
        self._turn = itertools.count()

    async def ask(self, path: str, body: Any) -> tuple[int, dict[str, Any], str]:
        """Return the server that answered, its answer, and what went wrong if none did."""
        first = next(self._turn) % 2
        if time.monotonic() - self._failed[first] < AVOIDED_S:
            first = 1 - first
        said = []
        for n in (first, 1 - first):
            answer, why = await self.ask_one(n, path, body)
            if not why:
                return n, answer, ""
            said.append(why)
        return n, {}, ", ".join(said)

    async def ask_one(self, n: int, path: str, body: Any) -> tuple[dict[str, Any], str]:
        """Ask one server once; returns the answer, and what went wrong if it has none."""
        try:
            async with asyncio.timeout(TRY_S):
                response = await self._clients[n].post(path, json=body)
        except (httpx.HTTPError, TimeoutError) as error:
            self._failed[n] = time.monotonic()
            return {}, type(error).__name__
        document: dict[str, Any] = response.json()
        if response.status_code == httpx.codes.OK:
            return document, ""
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self._failed[n] = time.monotonic()
        return {}, f"{response.status_code} {document.get('type', '').rpartition('/')[2]}: {document.get('detail')}"

    async def close(self) -> None:
        """Close every connection."""
        for client in self._clients:
            await client.aclose()


class Load:
    """What was asked, acknowledged and shown."""

    def __init__(self, balancer: Balancer, rng: random.Random) -> None:
        """Ask nothing yet."""
        self._balancer, self._rng = balancer, rng
        self.asked: list[Asked] = []
        self.events: list[Event] = []
        self.acknowledged: dict[str, tuple[str, int]] = {}
        self._number = 0
        self.lag_s = 0.0
        """The longest time that a request began after it was due: the client's own share."""

    async def run(self, until: float) -> None:
        """Send requests at an even pace, whether or not earlier ones were answered."""
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while due < until:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                self.lag_s = max(self.lag_s, time.monotonic() - due)
                group.create_task(self._write() if self._rng.random() < WRITES else self._read())
                due += 1 / RATE

    async def _write(self) -> None:
        self._number += 1
        change, name = f"c{self._number}", self._rng.choice(NAMES)
        begin = time.monotonic()
        n, answer, wrong = await self._balancer.ask("/write", {"id": change, "name": name})
        end = time.monotonic()
        if not wrong:
            self.acknowledged[change] = (name, answer["version"])
            self.events.append(Event("ack", begin, end, name, f"server {n}", answer["version"]))
        self.asked.append(Asked(begin, end, "write", wrong))

    async def _read(self) -> None:
        task = self._rng.choice(TASKS)
        key = self._rng.choice(USERS if task == "suggestion" else NAMES)
        begin = time.monotonic()
        n, answer, wrong = await self._balancer.ask(f"/v1/serve/{task}", {"key": key})
        end = time.monotonic()
        value = answer.get("value")
        if not wrong and (not value or value["name"] != key):
            wrong = f"{task} {key} showed {value}"
        if value and task != "suggestion":
            self.events.append(Event("read", begin, end, key, f"server {n} {task}", value["version"]))
        self.asked.append(Asked(begin, end, task, wrong))


def unexplained(asked: Sequence[Asked]) -> Counter[str]:
    """How often each thing went wrong."""
    return Counter(f"{one.what}: {one.wrong}" for one in asked if one.wrong)
