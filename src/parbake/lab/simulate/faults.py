"""What goes wrong in a history: each seed draws its own selection of faults, and how often they strike (swarm)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from parbake.lab.simulate.limits import CLOCK_ERROR_S
from parbake.lab.simulate.virtual_loop import sleep

if TYPE_CHECKING:
    from parbake.lab.simulate.sim_process import Process
    from parbake.lab.simulate.sim_sources import SystemOfRecord
    from parbake.lab.simulate.world import World

KINDS = ("crash", "pause", "cut_store", "cut_sources", "feed_down", "fail_over")
MOST_LOST = 40


class Faults:
    """The faults of one history."""

    def __init__(self, world: World) -> None:
        """Draw them; one history in four has none but concurrency."""
        self.world = world
        rng = world.rng
        self.kinds = [kind for kind in KINDS if rng.random() < 0.35]
        self.weight = rng.choice([0.0, 2.0, 4.0, 8.0]) if self.kinds else 0.0
        self.lost = rng.choice([0.0, 0.0, 0.01, 0.03])
        self.delivery_s = rng.choice([0.0, 0.05, 1.0])
        self.clock_error_s = CLOCK_ERROR_S if rng.random() < 0.5 else 0.0

    def settle(self) -> None:
        """Apply what holds throughout: losses in the network and errors of the clocks."""
        for process in self.world.processes:
            process.network.lost_answers = process.network.lost_requests = self.lost
            process.clock_error_s = self.world.rng.uniform(-self.clock_error_s, self.clock_error_s)

    async def strike(self) -> None:
        """One fault, for a while."""
        if not self.kinds:
            return
        kind = self.world.rng.choice(self.kinds)
        process = self.world.rng.choice(self.world.processes)
        length = self.world.rng.choice([0.1, 0.5, 2.0, 6.0])
        if kind == "fail_over":
            self.fail_over(most=MOST_LOST)
            if self.world.rng.random() < 0.5:
                await sleep(self.world.rng.random() * 0.2)
                self.fail_over(most=MOST_LOST)
            return
        self.world.say(f"{kind} {process.name} for {length} s")
        await getattr(self, f"_{kind}")(process, length)

    def fail_over(self, *, most: int) -> None:
        """The store loses its last commits, acknowledged or not, in worlds where that can be."""
        if "fail_over" not in self.kinds:
            return
        lost = self.world.disk.fail_over(self.world.rng.randrange(most))
        self.world.oracle.turn()
        self.world.say(f"the store fails over and loses {lost} commits: {self.world.disk.host}")

    async def _crash(self, process: Process, length: float) -> None:
        if process.is_alive:
            process.crash()
            await sleep(length)
            if not process.is_alive:
                self.world.say(f"{process.name} starts again")
                process.start()

    async def _pause(self, process: Process, length: float) -> None:
        process.paused_until = max(process.paused_until, asyncio.get_running_loop().time() + length)

    async def _cut_store(self, process: Process, length: float) -> None:
        process.is_cut_from_store = True
        await sleep(length)
        process.is_cut_from_store = False

    async def _cut_sources(self, process: Process, length: float) -> None:
        process.is_cut_from_sources = True
        await sleep(length)
        process.is_cut_from_sources = False

    async def _feed_down(self, process: Process, length: float) -> None:
        """A whole system of record cannot be polled, by anyone."""
        async with self.silence(self.world.rng.choice(self.world.truths)):
            await sleep(length)
        del process

    @contextlib.asynccontextmanager
    async def silence(self, truth: SystemOfRecord) -> AsyncIterator[None]:
        """A system of record that cannot be polled for a while; changes are committed to it none the less."""
        truth.is_feed_down = True
        try:
            yield
        finally:
            truth.is_feed_down = False

    async def heal(self) -> None:
        """End every fault; what stands still does so to the end, because what it was doing then must be over, too."""
        self.world.slow_polls_s = 0.0
        for process in self.world.processes:
            process.network.lost_answers = process.network.lost_requests = 0.0
            process.is_cut_from_store = process.is_cut_from_sources = False
            if not process.is_alive:
                process.start()
        for truth in self.world.truths:
            truth.is_feed_down = False
        for process in self.world.processes:
            await process.wait_while_paused()
            process.paused_until = 0.0
