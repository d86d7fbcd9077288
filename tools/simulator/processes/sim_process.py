"""A simulated process: it starts an app, runs requests in it, and crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from parbake.app.application import App
from parbake.app.settings import Batch, Durability
from parbake.errors import ForeignSource, ParbakeError
from parbake.ports.event_log import Ack
from simulator.processes.oracle import Oracle
from simulator.processes.oracle_hook import OracleHook
from simulator.processes.run_numbers import (
    NumberedFileStore,
    NumberedOptimisticStore,
    NumberedSimStore,
    number_runs,
)
from simulator.processes.sim_cache import cache_for
from simulator.processes.sim_copies import SimCopies
from simulator.processes.sim_reporting_source import SimReportingSource
from simulator.processes.sim_sources import SimSource, SimUnorderedSource
from simulator.processes.sim_stores import SimItems
from simulator.world.copied_disk import CopiedDisk
from simulator.world.file_disk import FileDisk
from simulator.world.later_program import later_tasks
from simulator.world.limits import HEARTBEAT_S, SILENCE_S
from simulator.world.process_state import ProcessState
from simulator.world.sim_tasks import Pace, tasks
from simulator.world.sim_views import Memos, Offers, Policies, Products, Tastes
from simulator.world.virtual_loop import sleep
from simulator.world.world_state import World

if TYPE_CHECKING:
    from parbake_semantic.cache.semantic_cache import SemanticCache

T = TypeVar("T")
RESTART_S = 1.0
"""After how many virtual seconds a process that refused to start is started again."""


class SimApp(App):
    """An app that reports its acknowledgements to the oracle."""

    oracle: Oracle

    async def drain(self, source: str = "") -> Ack | None:
        """Drain, and report as acknowledged what was committed before this call."""
        before = self.oracle.position()
        ack = await super().drain(source)
        self.oracle.drained({name: at for name, at in before.items() if source in ("", name)})
        return ack


class Process(ProcessState):
    """A server or a worker; its app lives from one start to the next crash."""

    def __init__(self, name: str, world: World, oracle: Oracle, *, is_worker: bool) -> None:
        """Create a process that is not started yet."""
        super().__init__(name, world)
        self.is_worker = is_worker
        self.oracle = oracle
        self.tasks: dict[Any, None] = {}
        self.cache: SemanticCache[str] | None = None

    def now(self) -> float:
        """See :class:`simulator.world.sim_tasks.Pace`."""
        return asyncio.get_running_loop().time()

    def computing(self, task: str, key: str) -> None:
        """See :class:`simulator.world.sim_tasks.Pace`."""
        self.oracle.computing(self, task, key)

    async def breathe(self) -> None:
        """See :class:`simulator.world.sim_tasks.Pace`."""
        delay = self.rng.random() * self.world.slowness_s
        await sleep(delay)
        await self.wait_while_paused()

    def forget(self, task: Any) -> None:
        """Forget a task that has ended; an error that the product does not declare is a violation."""
        self.tasks.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ParbakeError | TimeoutError):
            self.oracle.violate("typed errors", f"{self.name}: {error!r}")

    def start(self) -> None:
        """Start with an empty memory; in some histories with the other version of the program."""
        self.is_alive = True
        self.starts += 1
        if self.world.has_two_programs:
            self.program = self.world.rng.choice([tasks, later_tasks])
        self.app = app = self._build()
        self.cache = cache_for(app) if self.world.has_caches and not self.is_worker else None
        self.spawn(self._lead(app))

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine in this process; a crash cancels it."""
        task = asyncio.get_running_loop().create_task(work)
        task.owner = self  # type: ignore[attr-defined]  # see virtual_loop.OwnedTask
        self.tasks[task] = None
        task.add_done_callback(self.forget)
        return task

    async def run(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Run a client's request in this process and return its result, or ``None`` if the process has crashed.

        The result is also ``None`` after an error that the product does not declare; see :meth:`forget`.
        """
        if not self.is_alive:
            work.close()
            return None
        try:
            return await self.spawn(work)
        except ParbakeError:
            raise
        except (asyncio.CancelledError, Exception):  # noqa: BLE001 - noted as a violation
            return None

    def crash(self) -> None:
        """Die at once: running tasks cannot clean up, because they reach neither the store nor a source any more."""
        self.is_alive = False
        for task in list(self.tasks):
            if task is not asyncio.current_task():  # the one that starts the process again
                task.cancel()

    def _build(self) -> SimApp:
        app = SimApp(
            self.program,
            store=self.store(),
            sources=[SimSource(self.world.policies, [Policies], self), self._shop()],
            open=["memo"],
            resources={Pace: self},
            clock=_Clock(self),
            plugins=[OracleHook(self.oracle, self)],
            silence_limit=f"{SILENCE_S}s",
            heartbeat=f"{HEARTBEAT_S}s",
            # A throttle looks at the clock and the load of the machine that runs the simulation.
            batch=Batch(throttle=None),
            durability=Durability(
                journal=self.world.journal_of(self.name) if self.world.has_first_journals else None,
                replayable=self.world.replayable,
            ),
        )
        app.oracle = self.oracle
        number_runs(app, self.world, self.oracle)
        return app

    def _shop(self) -> SimUnorderedSource | SimReportingSource:
        views = [Products, Tastes, Memos, Offers]
        if self.world.readers is None:
            return SimUnorderedSource(self.world.shop, views, self)
        return SimReportingSource(self.world.shop, views, self, self.world.readers)

    def store(self) -> Any:
        """Connect to the simulated store of this history."""
        if self.world.store_model == "embedded":
            return NumberedSimStore(self.world, self.world.disk, self)
        disk = self.world.disk
        if isinstance(disk, FileDisk):
            return NumberedFileStore(self.world, disk, self)
        items = SimItems(disk, self, is_snapshot=self.world.store_model == "snapshot")
        if isinstance(disk, CopiedDisk):
            items = SimCopies(disk, self)
        return NumberedOptimisticStore(self.world, items, number=self.number, random=self.rng.random)

    async def _lead(self, app: SimApp) -> None:
        """Serve, or work, until the process crashes; ending earlier is a violation."""
        try:
            if self.is_worker:
                await app.work()
            else:
                async with app.serving():
                    await asyncio.Event().wait()
        except asyncio.CancelledError:
            return
        except ParbakeError as error:
            if isinstance(error, ForeignSource) and self.world.shop.restores:  # a start is refused until it is accepted
                self.crash()
                await sleep(RESTART_S)
                if not self.is_alive:
                    self.start()
                return
            self.oracle.violate("I5 liveness", f"{self.name} has ended: {error}")


class _Clock:
    """A process's wall clock."""

    def __init__(self, process: ProcessState) -> None:
        self._process = process

    def now(self) -> float:
        return self._process.now_by_its_clock()
