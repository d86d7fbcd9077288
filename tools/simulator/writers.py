"""Writers that wait in the database until every store has applied their change, and what happens to that database.

Readers are cut off and stopped, stores are retired, the database goes back to an older copy, a stranger lies about a
store, and triggers are off for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from parbake.errors import ForeignSource, ParbakeError, SourceError
from simulator.processes.oracle import Oracle
from simulator.processes.sim_process import RESTART_S, Process
from simulator.sim_clients import Clients
from simulator.world.reader_table import ReaderTable, ReportRow
from simulator.world.sim_tasks import KEYS
from simulator.world.system_of_record import SavedSystem
from simulator.world.virtual_loop import sleep
from simulator.world.world_state import World

PATIENCE_S = 9.0
"""How long a writer waits, in virtual seconds."""


class Writers:
    """The writers of one history, and what happens to the database that they wait in."""

    def __init__(self, world: World, oracle: Oracle, processes: Sequence[Process], clients: Clients) -> None:
        """Create the writers.

        Args:
            world: The world.
            oracle: The oracle.
            processes: The processes whose stores are waited for.
            clients: The clients, which commit and read for the writers.
        """
        self._world = world
        self._oracle = oracle
        self._processes = processes
        self._clients = clients
        self._rng = random.Random(f"writers {world.store_model} {world.seed}")
        self._saved: tuple[SavedSystem, ReaderTable] | None = None

    @property
    def _table(self) -> ReaderTable:
        assert self._world.readers is not None
        return self._world.readers

    async def act(self) -> None:
        """Do one step, or nothing."""
        acts: list[tuple[float, Callable[[], Coroutine[Any, Any, None]]]] = [
            (70, self._do_nothing), (14, self._wait), (3, self._cut_off_all), (2, self._stop_all), (2, self._save),
            (2, self._put_back), (1, self._retire), (2, self._lie), (2, self._switch_triggers), (2, self._end),
        ]  # fmt: skip
        (act,) = self._rng.choices([act for _, act in acts], [weight for weight, _ in acts])
        await act()

    async def heal(self) -> None:
        """Let an operator accept the database as it is, as each process refuses one that has gone back."""
        self._world.shop.switch_triggers(are_on=True)
        await self._accept()
        while not all(process.is_alive for process in self._processes):  # the start of one was refused before
            await sleep(RESTART_S)
            await self._accept()

    async def _do_nothing(self) -> None:
        pass

    async def _wait(self) -> None:
        subject = f"product/{self._rng.choice(KEYS)}"
        row = self._clients.commit(subject, "changed")
        if row not in self._world.shop.outbox:  # the triggers are off, so that nothing tells of it
            return
        restores = self._world.shop.restores
        until = _now() + PATIENCE_S
        while _now() < until and self._world.shop.restores == restores:
            answer = self._table.wait(row.transaction, _now())
            if answer is not False:
                self._world.say(f"version {row.version} was waited for: {answer}")
            if answer is None:
                return
            if answer:
                self._oracle.acknowledge(row)
                await self._read_everywhere(subject)
                return
            await sleep(0.02 + self._rng.random() * 0.1)

    async def _read_everywhere(self, subject: str) -> None:
        """Read what the change concerns in every process that runs."""
        for process in self._processes:
            if process.is_alive and process.paused_until <= _now():
                for task in ("soft", "strict", "page"):
                    await process.run(self._clients.read(process, task, subject.partition("/")[2]))

    async def _cut_off_all(self) -> None:
        """Cut all processes off from the database, so that the store falls silent, and go on reading."""
        self._world.say("all processes are cut off from their sources")
        for process in self._processes:
            process.is_cut_from_sources = True
        waits = asyncio.get_running_loop().create_task(self._wait())
        await sleep(self._rng.choice([1.0, 3.0, 6.0]))
        await waits
        for process in self._processes:
            process.is_cut_from_sources = False

    async def _stop_all(self) -> None:
        length_s = self._rng.choice([1.0, 3.0, 6.0])
        self._world.say(f"all processes are stopped for {length_s} s")
        for process in self._processes:
            process.paused_until = max(process.paused_until, _now() + length_s)
        await self._wait()

    async def _save(self) -> None:
        self._saved = self._world.shop.saved(), self._table.saved()

    async def _put_back(self) -> None:
        """Put an older copy of the database back, or what a replica or a dump has of it."""
        if self._saved is None:
            return
        system, table = self._saved
        how = self._rng.choice(["folder", "folder", "promoted", "dump"])
        self._world.shop.put_back(self._world.shop.saved() if how == "dump" else system)  # a dump of the reports only
        self._table.put_back(table, _now(), how=how)
        self._oracle.went_back(self._world.shop)
        self._world.say(f"the database goes back: {how}")
        await self._wait()
        await sleep(self._rng.random() * 2)
        await self._accept()

    async def _accept(self) -> None:
        """Let an operator accept that the database has gone back, if the processes refuse it."""
        for process in self._processes:
            if process.is_alive:
                await process.run(self._accept_on(process))

    async def _accept_on(self, process: Process) -> None:
        app = process.app
        assert app is not None
        try:
            await app.drain("shop")
        except ForeignSource:
            self._world.say(f"{process.name} reads the database from its beginning")
            with contextlib.suppress(ParbakeError):
                await app.ops.restart("shop")
        except ParbakeError as error:
            self._world.say(f"{process.name} cannot read the database: {error}")

    async def _retire(self) -> None:
        for store in list(self._table.rows):
            if self._table.retire(store, _now()):
                self._world.say(f"the store {store} is retired")
        await self._wait()

    async def _lie(self) -> None:
        """A role that may not report tries to answer for a store, and to invent one."""
        seen = f"{self._world.shop.length_of_log}:{self._world.shop.length_of_log}:"
        for store, row in [*self._table.rows.items(), ("invented", None)]:
            number = row.number if row else 0
            lie = ReportRow(number + 1, seen, self._table.run, _now(), 1.0)
            try:
                self._table.report(store, lie, role="stranger")
            except SourceError:
                continue
        await self._wait()

    async def _switch_triggers(self) -> None:
        """Change something while no trigger tells of it, within one transaction."""
        self._world.say("triggers are off")
        self._world.shop.switch_triggers(are_on=False)
        subject = f"product/{self._rng.choice(KEYS)}"
        self._clients.commit(subject, "changed")
        self._world.shop.switch_triggers(are_on=True)
        process = self._rng.choice(self._processes)
        if process.is_alive:
            await process.run(self._drain(process))
            await self._read_everywhere(subject)

    async def _drain(self, process: Process) -> None:
        assert process.app is not None
        try:
            await process.app.drain()
        except ParbakeError as error:
            self._world.say(f"{process.name} cannot drain: {error}")

    async def _end(self) -> None:
        """End one process as an operator does, and start it again; the store is shared and goes on."""
        process = self._rng.choice(self._processes)
        if process.is_alive and process.app is not None:
            self._world.say(f"{process.name} is ended")
            await process.run(process.app.engine.leave_sources())
            process.crash()
            await self._wait()
            if not process.is_alive:
                process.start()


def _now() -> float:
    return asyncio.get_running_loop().time()
