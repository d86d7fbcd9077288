"""The course of one history.

Processes start, clients act, faults occur, everything recovers, and liveness is checked.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from parbake.errors import ParbakeError
from parbake.lanes.worker.schedule import TICK_S
from simulator.cache_clients import CacheClients
from simulator.damage import Damage
from simulator.faults import Faults
from simulator.journal_faults import JournalFaults
from simulator.processes.oracle import Oracle
from simulator.processes.sim_process import Process
from simulator.restores import Restores
from simulator.sim_clients import Clients
from simulator.world.file_disk import FileDisk
from simulator.world.limits import HEARTBEAT_S, SILENCE_S
from simulator.world.sim_tasks import FENCED, SERVED
from simulator.world.system_of_record import OFFERS
from simulator.world.virtual_loop import sleep
from simulator.world.world_state import World
from simulator.writers import Writers

STEPS = 90
STEP_S = 0.06
REBUILDS = 5
"""How many times a worker may check the schedule before a model that was found damaged must be built again."""


class Timeline:
    """Plays the history of one world."""

    def __init__(self, world: World) -> None:
        """Create the processes, of which one or two are workers, and everything that acts on them."""
        self.world = world
        self.oracle = Oracle(world)
        names = ("web1", "web2", "worker1")
        self.processes = [Process(n, world, self.oracle, is_worker=n.startswith("worker")) for n in names]
        if world.rng.random() < 0.3:
            self.processes.append(Process("worker2", world, self.oracle, is_worker=True))
        self._faults = Faults(world, self.oracle, self.processes)
        self._damage = Damage(world)
        self._clients = Clients(world, self.oracle, self.processes, self._faults)
        self._journal_faults = JournalFaults(world, self._clients, self._faults)
        self._restores = Restores(world, self._clients, self._faults)
        self._cache_clients = CacheClients(world, self.oracle, self.processes, self._clients)

        self._writers = Writers(world, self.oracle, self.processes, self._clients)

    async def play(self) -> None:
        """Play the history, then end all faults and check that everything recovers."""
        self._faults.settle()
        world, loop = self.world, asyncio.get_running_loop()
        loop.answer_delay = lambda: world.rng.random() * world.slow_polls_s  # type: ignore[attr-defined]  # a VirtualLoop
        for process in self.processes:
            process.start()
        await sleep(0.5)
        if world.is_inferred:
            await self._journal_faults.begin()
        acts: list[asyncio.Task[Any]] = []
        for _ in range(STEPS):
            world.step += 1
            acts.append(loop.create_task(self._clients.act()))
            if world.has_caches:
                acts.append(loop.create_task(self._cache_clients.act()))
            if world.readers is not None:
                acts.append(loop.create_task(self._writers.act()))
            if isinstance(world.disk, FileDisk):
                acts.append(loop.create_task(self._restores.act()))
            self._damage.strike()
            if world.is_inferred:
                self._journal_faults.strike()
                acts.append(loop.create_task(self._journal_faults.act()))
            await sleep(world.rng.random() * 2 * STEP_S)
        await asyncio.gather(*acts)
        await self._faults.heal()
        await self._writers.heal()
        await sleep(SILENCE_S + 2 * HEARTBEAT_S)
        await self._check_liveness()

    async def _check_liveness(self) -> None:
        """I5: all commits are acknowledged by now, and every key is served, is fresh, and was stored."""
        for process in self.processes:
            await process.run(self._drain(process))
        for system in self.world.systems:
            if self.world.acked_to[system.name] < len(system.outbox):
                self.oracle.violate("I5 liveness", f"{system.name}: an event is never acknowledged")
        operator = self.processes[-1]
        await operator.run(self._clients.run_batch(operator, "weights"))  # a sweep or a failover may have left no model
        before = self.oracle.tally
        self.oracle.tally = msgspec.structs.replace(before)
        for must_hit in (False, True):
            for task, keys in SERVED.items():
                for key in keys:
                    await self._check_key(task, key, must_hit=must_hit)
        self.oracle.tally = before

    async def _check_key(self, task: str, key: str, *, must_hit: bool) -> None:
        process = self.world.rng.choice(self.processes)
        others = [] if must_hit else [p for p in self.processes if p.program is not process.program]
        # Each version of the program finds the values that it has computed itself.
        for reader in (process, *others[:1]):
            await self._read_healed(reader, task, key, must_hit=must_hit)

    async def _drain(self, process: Process) -> None:
        assert process.app is not None
        try:
            await process.app.drain()
        except ParbakeError as error:
            self.oracle.violate("I5 liveness", f"{process.name} cannot hear after all healed: {error}")

    async def _read_healed(self, process: Process, task: str, key: str, *, must_hit: bool) -> None:
        hits, reads = self.oracle.tally.hits, self.oracle.tally.reads
        await process.run(self._clients.read(process, task, key))
        for _ in range(REBUILDS):  # a worker builds a damaged model again, but must notice the damage first
            if must_hit or self.oracle.tally.reads > reads:
                break
            await sleep(TICK_S)
            await process.run(self._clients.read(process, task, key))
        has_run_out = OFFERS in FENCED[task]
        if self.oracle.tally.reads == reads:
            self.oracle.violate("I5 liveness", f"{task}({key}) cannot be read on {process.name} after all healed")
        elif must_hit and self.oracle.tally.hits == hits and not has_run_out:
            self.oracle.violate("I5 liveness", f"{task}({key}) is not kept on {process.name} after all healed")
