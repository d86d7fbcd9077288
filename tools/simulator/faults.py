"""The faults of a history."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from simulator.processes.oracle import Oracle
from simulator.processes.sim_process import Process
from simulator.world.file_disk import FileDisk
from simulator.world.system_of_record import SystemOfRecord
from simulator.world.virtual_loop import sleep
from simulator.world.world_state import World

MOST_LOST = 40
"""A failover loses fewer commits than this."""
STOPPED = 0.5
"""The share of restarts of all processes before which they close the store."""
RESTART_S = 0.05


class Faults:
    """The faults of one history."""

    def __init__(self, world: World, oracle: Oracle, processes: Sequence[Process]) -> None:
        """Create the faults that the world has drawn."""
        self.world = world
        self.oracle = oracle
        self.processes = processes
        self._restarts: list[asyncio.Task[None]] = []

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
        if "fail_over" in self.world.faults.kinds:
            self.lose(most=most)

    def lose(self, *, most: int, least: int = 0) -> None:
        """Let the store lose its last ``least`` commits, and fewer than ``most`` of those before."""
        disk, most_lost = self.world.disk, least + self.world.rng.randrange(most)
        if isinstance(disk, FileDisk):
            self._end_all(disk, is_stopped=self.world.rng.random() < STOPPED)
        lost = disk.fail_over(most_lost)
        self.oracle.turn()
        self.world.say(f"the store fails over and loses {lost} commits: {disk.host}")

    def _end_all(self, disk: FileDisk, *, is_stopped: bool) -> None:
        """Stop or kill every process that runs, and start them a little later."""
        if is_stopped:
            disk.close()
        ended = [process for process in self.processes if process.is_alive]
        for process in ended:
            process.crash()
        self.world.say("all processes are stopped" if is_stopped else "all processes are killed")
        self._restarts.append(asyncio.get_running_loop().create_task(self._start_all(ended)))

    async def restart_all(self, disk: FileDisk, *, is_replaced: bool) -> None:
        """Stop every process, and start them again, perhaps with the store in another file."""
        self._end_all(disk, is_stopped=True)
        if is_replaced:
            disk.replace()
        await self.wait_for_restarts()

    async def restart(self, process: Process) -> None:
        """Kill a process that runs, and start it a little later."""
        if process.is_alive:
            process.crash()
            self.world.say(f"{process.name} is killed")
            await self._start_all([process])

    async def wait_for_restarts(self) -> None:
        """Wait until the processes that were ended together run again."""
        await asyncio.gather(*self._restarts)
        self._restarts.clear()

    async def _start_all(self, ended: Sequence[Process]) -> None:
        await sleep(RESTART_S)
        for process in ended:
            if not process.is_alive:
                process.start()

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
        await self.wait_for_restarts()
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
