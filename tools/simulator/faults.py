"""The faults of a history."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from simulator.processes.oracle import Oracle
from simulator.processes.sim_process import Process
from simulator.world.system_of_record import SystemOfRecord
from simulator.world.virtual_loop import sleep
from simulator.world.world_state import World

MOST_LOST = 40
"""A failover loses fewer commits than this."""


class Faults:
    """The faults of one history."""

    def __init__(self, world: World, oracle: Oracle, processes: Sequence[Process]) -> None:
        """Create the faults that the world has drawn."""
        self.world = world
        self.oracle = oracle
        self.processes = processes

    def settle(self) -> None:
        """Apply the faults that last for the whole history: losses in the network and errors of the clocks."""
        selected = self.world.faults
        for process in self.processes:
            process.network.lost_answers = process.network.lost_requests = selected.lost
            process.clock_error_s = self.world.rng.uniform(-selected.clock_error_s, selected.clock_error_s)

    async def strike(self) -> None:
        """Cause one fault for a while."""
        if not self.world.faults.kinds:
            return
        kind = self.world.rng.choice(self.world.faults.kinds)
        process = self.world.rng.choice(self.processes)
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
        """Let the store lose its last commits, acknowledged or not, in histories with failovers."""
        if "fail_over" not in self.world.faults.kinds:
            return
        lost = self.world.disk.fail_over(self.world.rng.randrange(most))
        self.oracle.turn()
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
        """Stop the feed of a whole system of record, for all processes."""
        async with self.silence(self.world.rng.choice(self.world.systems)):
            await sleep(length)
        del process

    @contextlib.asynccontextmanager
    async def silence(self, system: SystemOfRecord) -> AsyncIterator[None]:
        """Stop the feed of a system of record for a while; clients still commit changes to it."""
        system.is_feed_down = True
        try:
            yield
        finally:
            system.is_feed_down = False

    async def heal(self) -> None:
        """End every fault. A paused process stays paused to its end, because what it was doing must be over, too."""
        self.world.slow_polls_s = 0.0
        for process in self.processes:
            process.network.lost_answers = process.network.lost_requests = 0.0
            process.is_cut_from_store = process.is_cut_from_sources = False
            if not process.is_alive:
                process.start()
        for system in self.world.systems:
            system.is_feed_down = False
        for process in self.processes:
            await process.wait_while_paused()
            process.paused_until = 0.0
