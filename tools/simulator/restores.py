"""An operator who copies a store in a file, and puts the copy back after a change that it lacks."""

from __future__ import annotations

from simulator.faults import Faults
from simulator.sim_clients import ENTITIES, Clients
from simulator.world.file_disk import FileDisk
from simulator.world.world_state import World

SHARE = 0.1
"""The share of steps in which the operator begins, unless a restore is under way already."""
REPLACED = 0.3
"""The share of copies of a closed store after which the store goes on in another file."""


class Restores:
    """Copies the file, lets something change, puts the copy back, and reads what has changed."""

    def __init__(self, world: World, clients: Clients, faults: Faults) -> None:
        """Create the operator of a history. Where no store is in a file, or nothing fails over, nothing happens."""
        self.world = world
        self._clients = clients
        self._faults = faults
        self._is_busy = "fail_over" not in world.faults.kinds

    async def act(self) -> None:
        """Begin now and then."""
        disk = self.world.disk
        if isinstance(disk, FileDisk) and not self._is_busy and self.world.rng.random() < SHARE:
            self._is_busy = True
            try:
                await self._restore(disk, self.world.rng.choice(ENTITIES))
            finally:
                self._is_busy = False

    async def _restore(self, disk: FileDisk, subject: str) -> None:
        await self._clients.read_all_of(subject)
        if self.world.rng.random() < 0.5:
            await self._faults.restart_all(disk, is_replaced=self.world.rng.random() < REPLACED)
            await self._clients.read_all_of(subject)
        else:
            disk.back_up()
        await self._clients.change(subject)
        self._faults.fail_over(most=8)
        await self._faults.wait_for_restarts()
        await self._clients.read_all_of(subject)
