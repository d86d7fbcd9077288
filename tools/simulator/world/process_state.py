"""The state of a simulated process that the other parts see: its clock, its network, and whether it runs."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from typing import Literal

from parbake.app.application import App
from parbake.errors import StoreUnreachable
from parbake.stores.steps.record_steps import numbers
from simulator.world.limits import TIMEOUT_S
from simulator.world.sim_tasks import EPOCH, tasks
from simulator.world.virtual_loop import sleep
from simulator.world.world_state import World

SLOW = 0.4
"""The share of messages to or from the store that take any time."""


class Network:
    """The network between one process and the store.

    Latency in virtual seconds, and the share of messages that are lost.
    """

    latency_s = 0.006
    lost_answers = 0.0
    lost_requests = 0.0
    slowdown = 1.0

    @contextlib.contextmanager
    def slowed(self, times: float) -> Iterator[None]:
        """Multiply the latency by a factor inside the context."""
        self.slowdown = times
        try:
            yield
        finally:
            self.slowdown = 1.0


class ProcessState:
    """A process: its app, which program it runs, its clock, and how it reaches the store."""

    def __init__(self, name: str, world: World) -> None:
        """Create a process that is not started yet."""
        self.name = name
        self.world = world
        self.rng = random.Random(world.rng.random())
        self.number = numbers(lambda: int(self.now_by_its_clock() * 1e6), self.rng.random)
        self.network = Network()
        self.clock_error_s = 0.0
        self.is_alive = False
        self.starts = 0
        self.is_cut_from_store = False
        self.is_cut_from_sources = False
        self.paused_until = 0.0
        self.program = tasks
        self.app: App | None = None

    def now_by_its_clock(self) -> float:
        """The time by this process's clock, in seconds since the epoch."""
        return EPOCH + asyncio.get_running_loop().time() + self.clock_error_s

    async def reach_store(self) -> None:
        """Send a request to the store; raise :class:`StoreUnreachable` when it does not arrive."""
        await self._travel("lost_requests", "the store did not answer")

    async def hear_store(self) -> None:
        """Receive the store's answer; raise :class:`StoreUnreachable` when it is lost, though the request was met."""
        await self._travel("lost_answers", "the store's answer was lost")

    async def _travel(self, way: Literal["lost_requests", "lost_answers"], problem: str) -> None:
        """Cross the network in one direction; a share of the messages is lost, and so are those of an earlier life."""
        life = self.starts
        if self.rng.random() < SLOW:
            await sleep(self.rng.random() * self.network.latency_s * self.network.slowdown)
        if self.paused_until:
            await self.wait_while_paused()
        if not self.is_alive or self.starts != life:
            raise asyncio.CancelledError
        # The current share: a process that wakes after all faults have ended loses nothing.
        lost: float = getattr(self.network, way)
        if self.is_cut_from_store or (lost and self.rng.random() < lost):
            await sleep(TIMEOUT_S)
            raise StoreUnreachable(problem, field="store")

    async def wait_while_paused(self) -> None:
        """Wait until the pause is over, as a stopped process does."""
        loop = asyncio.get_running_loop()
        while self.paused_until > loop.time():  # a pause can be extended while it lasts
            await sleep(self.paused_until - loop.time())
