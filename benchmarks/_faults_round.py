"""One round: clients write, read and compare-and-set while one fault strikes; then their history is judged."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec
from _faults_checks import Event, behind, is_linearizable
from _faults_world import FAULTS, KEYS, World, strike, until

CAS_CLIENTS = 3
TASKS = ("note", "digest")
RECOVERY_S = 40.0
AFTER_S = 0.2


class Round(msgspec.Struct):
    """What one round came to; ``lasting_s`` is the time from the fault until both servers answered and acknowledged."""

    store: str
    fault: str
    number: int
    events: list[Event] = []
    violations: list[str] = []
    lasting_s: float = 0.0
    refused: int = 0


class _Clients:
    """Those who use a world during one round."""

    def __init__(self, world: World, found: Round, rng: random.Random) -> None:
        self.world, self.found, self.rng = world, found, rng
        self.is_over = False

    async def run(self, step: Callable[[], Awaitable[None]], pause_s: float) -> None:
        while not self.is_over:
            await step()
            await asyncio.sleep(pause_s * self.rng.uniform(0.5, 1.5))

    async def ask(self, n: int, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        """One request, once; ``None`` when there is no good answer."""
        try:
            response = await self.world.clients[n].request(method, path, json=body)
            return response.json() if response.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            return None

    async def write(self, key: str) -> None:
        version, position = await self.world.commit(key)
        n, begin = self.rng.randrange(2), time.monotonic()
        if await self.ask(n, "POST", "/drain") is None:
            self.found.refused += 1
        else:
            self.world.acknowledged_to = max(self.world.acknowledged_to, position)
            self.found.events.append(Event("ack", begin, time.monotonic(), key, f"server {n}", version))

    async def read(self, n: int) -> None:
        key, task = self.rng.choice(KEYS), self.rng.choice(TASKS)
        begin = time.monotonic()
        answer = await self.ask(n, "POST", f"/v1/serve/{task}", {"key": key})
        value = answer and answer["value"]
        version = value["version"] if value else None
        self.found.events.append(Event("read", begin, time.monotonic(), key, f"server {n} {task}", version))

    async def compare_and_set(self, client: int) -> None:
        name, n = f"round-{self.found.number}", self.rng.randrange(2)
        begin = time.monotonic()
        answer = await self.ask(n, "GET", f"/cas/{name}")
        if answer is None:
            return
        seen = answer["seen"]
        self.found.events.append(Event("get", begin, time.monotonic(), name, seen=seen))
        new, begin = f"{client}.{begin}", time.monotonic()
        answer = await self.ask(n, "POST", f"/cas/{name}", {"seen": seen, "new": new})
        done = None if answer is None else answer["done"]
        self.found.events.append(Event("swap", begin, time.monotonic(), name, seen=seen, new=new, done=done))

    async def recovered(self) -> None:
        """Wait until both servers acknowledge and answer."""
        for n in range(2):
            await until(lambda n=n: self._acknowledges(n), RECOVERY_S)
            for task, key in itertools.product(TASKS, KEYS):
                await until(lambda n=n, task=task, key=key: self._answers(n, task, key), RECOVERY_S)

    async def _acknowledges(self, n: int) -> bool:
        return await self.ask(n, "POST", "/drain") is not None

    async def _answers(self, n: int, task: str, key: str) -> bool:
        answer = await self.ask(n, "POST", f"/v1/serve/{task}", {"key": key})
        return answer is not None and answer["value"] is not None


async def play(world: World, number: int, seed: int) -> Round:
    """Play and judge a round; everything that is drawn is drawn from the seed and the number."""
    rng = random.Random(f"{seed}/{world.kind}/{number}")
    found = Round(world.kind, rng.choice(FAULTS[world.kind]), number)
    clients = _Clients(world, found, rng)
    before = (await clients.ask(0, "GET", "/state") or {}).get("incarnation", 0)
    running = [
        *(clients.run(lambda key=key: clients.write(key), 0.03) for key in KEYS),
        *(clients.run(lambda n=n: clients.read(n), 0.008) for n in (0, 0, 1, 1)),
        *(clients.run(lambda c=c: clients.compare_and_set(c), 0.03) for c in range(CAS_CLIENTS)),
    ]
    async with asyncio.TaskGroup() as group:
        for one in running:
            group.create_task(one)
        await asyncio.sleep(rng.uniform(0.1, 0.4))
        struck = time.monotonic()
        try:
            async with asyncio.timeout(RECOVERY_S):
                await strike(world, found.fault, rng)
                await clients.recovered()
        except TimeoutError:
            found.violations.append(f"not recovered within {RECOVERY_S} s")
        found.lasting_s = time.monotonic() - struck
        await asyncio.sleep(AFTER_S)
        clients.is_over = True
    after = (await clients.ask(0, "GET", "/state") or {}).get("incarnation", 0)
    judge(found, before, after)
    return found


def judge(found: Round, before: int, after: int) -> None:
    """Note what is wrong with a history."""
    found.violations += behind(found.events)
    may_have_lost = found.fault.endswith(" valkey") or found.fault == "set back postgresql"
    if may_have_lost and after <= before:
        found.violations.append(f"the loss was not noticed: incarnation {before}, then {after}")
    if found.store == "postgresql" and not may_have_lost and after != before:
        found.violations.append(f"nothing was lost, and the store was given up: incarnation {before}, then {after}")
    # Named values are told by no outbox: what the store has lost of them is lost.
    cas = [event for event in found.events if event.op in ("get", "swap")]
    if found.fault not in {"truncate valkey", "set back postgresql"} and not is_linearizable(cas):
        found.violations.append("compare-and-set: no order of the operations explains their outcomes")


async def stopped(world: World) -> None:
    """End a world, whatever state it is in."""
    with contextlib.suppress(AttributeError):  # it never came so far as to have that part
        await world.stop()
