"""Histories in which each process finds out whether every change of a store can be read again.

A journal is lost, or an older copy of it is put back, and the store loses the first change that no outbox holds.
"""

from __future__ import annotations

import random

from simulator.faults import Faults
from simulator.sim_clients import Clients
from simulator.world.sim_tasks import KEYS
from simulator.world.virtual_loop import sleep
from simulator.world.world_state import SimJournal, World

SAVED, PUT_BACK, LOST = 0.03, 0.01, 0.002
"""How likely each is in a step."""
SHARE = 0.04
"""The share of steps in which somebody reports a change over HTTP, after which the store loses its last writes."""


class JournalFaults:
    """The faults of the journals of one history."""

    def __init__(self, world: World, clients: Clients, faults: Faults) -> None:
        """Draw with separate random numbers, so that all other draws are the same as without these faults.

        Args:
            world: The world.
            clients: The clients, which report changes.
            faults: The faults, of which one loses them.
        """
        self._world = world
        self._clients, self._faults = clients, faults
        self._rng = random.Random(f"journals {world.store_model} {world.seed}")
        self._saved: dict[str, SimJournal] = {}

    def strike(self) -> None:
        """Save one journal, put it back or lose it, or do nothing."""
        journals = self._world.journals
        if not journals:
            return
        name = self._rng.choice(sorted(journals))
        drawn = self._rng.random()
        if drawn < SAVED:
            self._saved[name] = journals[name].copied()
        elif drawn < SAVED + PUT_BACK and name in self._saved:
            self._replace(name, self._saved[name].copied(), "goes back")
        elif drawn > 1 - LOST:
            self._replace(name, type(journals[name])(), "is lost")

    async def act(self) -> None:
        """Report a change over HTTP now and then, have it lost, and read what it concerns."""
        if self._rng.random() > SHARE:
            return
        subject = f"memo/{self._rng.choice(KEYS)}"
        await self._clients.read_all_of(subject)
        await self._clients.change(subject)
        await sleep(self._rng.random() * 0.1)
        self._faults.fail_over(most=8)
        await self._faults.wait_for_restarts()
        for _ in range(3):
            await sleep(self._rng.random() * 0.3)
            await self._clients.read_all_of(subject)

    def _replace(self, name: str, by: SimJournal, what: str) -> None:
        """Replace a journal. If the store went back with it, nothing could know what was acknowledged in between."""
        self._world.say(f"the journal {name or 'of all'} {what}")
        self._world.disk.keep()
        self._world.journals[name].become(by)
