"""Histories in which each process finds out whether every change of a store can be read again.

A journal is lost, or an older copy of it is put back, and the store loses the first change that no outbox holds.
"""

from __future__ import annotations

import random

from simulator.faults import Faults
from simulator.processes.invariants import is_trusted
from simulator.sim_clients import Clients
from simulator.world.limits import HEARTBEAT_S
from simulator.world.sim_tasks import KEYS
from simulator.world.virtual_loop import sleep
from simulator.world.world_state import SimJournal, World

SAVED, PUT_BACK, LOST = 0.03, 0.01, 0.002
"""How likely each is in a step."""
SHARE = 0.015
"""The share of steps in which somebody reports a change over HTTP, after which the store loses its last writes."""
FIRST = 0.5
"""The share of histories that begin with that, because only the first change that no outbox holds is noted."""
WITH_JOURNALS = 0.4
"""The share of those in which the journals are lost, too, just before the store loses its last writes."""
TWICE = 0.5
"""The share of changes that are lost after another one, which is not."""
ALL_OF_IT = 0.7
"""The share of losses of a change that begin just before it."""
QUIET = 0.5
"""The share of losses after which nobody reads what was lost until the store is trusted again."""
FIRST_JOURNALS = range(12, 45)
"""The steps in one of which processes get their first journal, in histories in which they start without one."""
BETWEEN_STARTS_S = 0.8
"""The longest time between two of those starts; what has not been started again goes on without a journal."""


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
        self._first_journals = self._rng.choice(FIRST_JOURNALS)

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
            self._put_back(name, self._saved[name].copied())
        elif drawn > 1 - LOST:
            self._lose(name)

    async def begin(self) -> None:
        """Begin the history, before anybody else acts: perhaps with a change over HTTP that is lost."""
        if self._rng.random() < FIRST:
            await self._lose_a_change(is_first=True)

    async def act(self) -> None:
        """Report changes over HTTP now and then, have the last one lost, and read what it concerns."""
        world = self._world
        if world.step == self._first_journals and not world.has_first_journals:
            await self._give_first_journals()
        if self._rng.random() < SHARE:
            if self._rng.random() < TWICE:  # the first one that no outbox holds is noted, and the next one is not
                await self._clients.change(f"memo/{self._rng.choice(KEYS)}")
            await self._lose_a_change(is_first=False)

    async def _lose_a_change(self, *, is_first: bool) -> None:
        subject = f"memo/{self._rng.choice(KEYS)}"
        await self._read_memos()
        before = self._world.disk.commits
        if is_first:
            await self._clients.publish_change(subject)
        else:
            await self._clients.change(subject)
        if is_first and self._rng.random() < WITH_JOURNALS:
            for name in sorted(self._world.journals):
                self._lose(name)
        if self._rng.random() < ALL_OF_IT:
            self._faults.lose(most=2, least=max(0, self._world.disk.commits - before))
        else:
            await sleep(self._rng.random() * 0.1)
            self._faults.lose(most=8)
        await self._faults.wait_for_restarts()
        if is_first or self._rng.random() < QUIET:
            await self._wait_for_trust()
        for _ in range(3):
            await self._read_memos()
            await sleep(self._rng.random() * 0.3)

    async def _read_memos(self) -> None:
        for key in KEYS:
            await self._clients.read_all_of(f"memo/{key}")

    async def _wait_for_trust(self) -> None:
        """Read nothing until the store is trusted again: what is read before replaces what the store has kept."""
        for _ in range(20):
            await sleep(HEARTBEAT_S / 5)
            if is_trusted(self._world):
                break

    async def _give_first_journals(self) -> None:
        """Start the processes again, one by one; from now on they have a journal."""
        self._world.has_first_journals = True
        for process in self._faults.processes:
            await sleep(self._rng.random() * BETWEEN_STARTS_S)
            await self._faults.restart(process)

    def _lose(self, name: str) -> None:
        """Lose a journal. The store knows the word of a note that is not in the new one."""
        self._world.say(f"the journal {name or 'of all'} is lost")
        self._world.journals[name].become(type(self._world.journals[name])())

    def _put_back(self, name: str, by: SimJournal) -> None:
        """Put an older copy of a journal back. If the store went back with it, nothing could know what was between."""
        self._world.say(f"the journal {name or 'of all'} goes back")
        self._world.disk.keep()
        self._world.journals[name].become(by)
