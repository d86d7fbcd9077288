"""A simulated process: an app of its own, a clock that is not quite right, and a network that may fail it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from parbake.app import App
from parbake.errors import ParbakeError, StoreError
from parbake.fence.control import Control
from parbake.fence.record import Stamp
from parbake.lab.simulate.asking import cache_for
from parbake.lab.simulate.backend import SimItems, SimStore
from parbake.lab.simulate.later import later_tasks
from parbake.lab.simulate.limits import HEARTBEAT_S, SILENCE_S, TIMEOUT_S
from parbake.lab.simulate.sim_sources import Memos, Offers, Policies, Products, SimSource, Tastes
from parbake.lab.simulate.sim_tasks import EPOCH, Pace, current_run, tasks
from parbake.lab.simulate.virtual_loop import sleep
from parbake.ports.event_log import Ack
from parbake.stores.steps.base import EngineStore
from parbake.stores.steps.engine import numbers
from parbake.stores.steps.optimistic import OptimisticStore

if TYPE_CHECKING:
    from parbake.lab.simulate.oracle import Oracle
    from parbake.lab.simulate.world import World
    from parbake.semantic.cache.semantic_cache import SemanticCache

T = TypeVar("T")
SLOW = 0.4
"""The share of ways to or from the store that take any time."""


class Network:
    """How one process reaches the store, in virtual seconds and shares of one."""

    latency_s = 0.006
    lost_answers = 0.0
    lost_requests = 0.0
    takes = 1.0

    @contextlib.contextmanager
    def taking(self, times: float) -> Iterator[None]:
        """Take so many times as long meanwhile."""
        self.takes = times
        try:
            yield
        finally:
            self.takes = 1.0


class SimApp(App):
    """An app whose acknowledgements the oracle hears."""

    heard: Oracle

    async def drain(self) -> Ack | None:
        """What was committed before this call counts as acknowledged once it has returned."""
        before = self.heard.position()
        ack = await super().drain()
        self.heard.drained(before)
        return ack


class _Numbered(EngineStore):
    """Notes which run each generation belongs to, whatever becomes of the run."""

    def __init__(self, world: World, *args: Any, **options: Any) -> None:
        self._world = world
        super().__init__(*args, **options)

    async def begin(self) -> tuple[int, Stamp, Control]:
        """See :class:`parbake.ports.store.Store`."""
        begun = await super().begin()
        self._world.begun(begun[0], current_run.get())
        return begun


class NumberedSimStore(_Numbered, SimStore):
    """An embedded store."""


class NumberedOptimisticStore(_Numbered, OptimisticStore):
    """A store on a server."""


class Process:
    """A server or a worker; its app lives from one start to the next crash."""

    def __init__(self, name: str, world: World, *, is_worker: bool) -> None:
        """Not started yet."""
        self.name = name
        self.is_worker = is_worker
        self.world = world
        self.rng = random.Random(world.rng.random())
        self.number = numbers(lambda: int(self.now_by_its_clock() * 1e6), self.rng.random)
        self.network = Network()
        self.clock_error_s = 0.0
        self.is_alive = False
        self.is_cut_from_store = False
        self.is_cut_from_sources = False
        self.paused_until = 0.0
        self.tasks: dict[Any, None] = {}
        self.program = tasks
        self.app: SimApp | None = None
        self.cache: SemanticCache[str] | None = None

    def true_now(self) -> float:
        """Epoch seconds as they really are."""
        return EPOCH + asyncio.get_running_loop().time()

    def now_by_its_clock(self) -> float:
        """Epoch seconds as this process believes."""
        return self.true_now() + self.clock_error_s

    def now(self) -> float:
        """True virtual seconds (see :class:`parbake.lab.simulate.sim_tasks.Pace`)."""
        return asyncio.get_running_loop().time()

    def computing(self, task: str, key: str) -> None:
        """A computation begins here."""
        self.world.oracle.computing(self, task, key)

    def forget(self, task: Any) -> None:
        """A task of this process has ended; with an error, if at all, that the product declares."""
        self.tasks.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ParbakeError | TimeoutError):
            self.world.oracle.violate("typed errors", f"{self.name}: {error!r}")

    def start(self) -> None:
        """Come up with an empty memory; in some histories with another version of the program."""
        self.is_alive = True
        if self.world.has_two_programs:
            self.program = self.world.rng.choice([tasks, later_tasks])
        self.app = self._build()
        self.cache = cache_for(self.app) if self.world.asking.is_on and not self.is_worker else None
        self.spawn(self._lead(self.app))

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something in this process; it dies with it."""
        task = asyncio.get_running_loop().create_task(work)
        task.owner = self  # type: ignore[attr-defined]  # see loop.OwnedTask
        self.tasks[task] = None
        task.add_done_callback(self.forget)
        return task

    async def run(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Run a client's request in this process and return what it came to; nothing when it died with the process.

        Nor when it ended with an error that the product does not declare, which is a violation (see :meth:`forget`).
        """
        try:
            return await self.spawn(work)
        except ParbakeError:
            raise
        except (asyncio.CancelledError, Exception):  # noqa: BLE001 - noted as a violation
            return None

    def crash(self) -> None:
        """Die at once: what was under way is not cleaned up, because nothing can be reached any more."""
        self.is_alive = False
        for task in list(self.tasks):
            task.cancel()

    def _build(self) -> SimApp:
        clock = _Clock(self)
        app = SimApp(
            self.program,
            store=self.store(),
            sources=[
                SimSource(self.world.policies, [Policies], self),
                SimSource(self.world.shop, [Products, Tastes, Memos, Offers], self),
            ],
            open=["memo"],
            resources={Pace: self},
            clock=clock,
            hooks=[self.world.oracle.hook(self)],
            silence_limit=f"{SILENCE_S}s",
            heartbeat=f"{HEARTBEAT_S}s",
            journal=self.world.journal,
            throttle=None,  # it looks at the clock and the load of the machine that simulates
            replayable=self.world.replayable,
        )
        app.heard = self.world.oracle
        self.world.number_runs(app)
        return app

    def store(self) -> Any:
        """This process's connection to the store, of the simulated kind."""
        if self.world.store_model == "embedded":
            return NumberedSimStore(self.world, self.world.disk, self)
        items = SimItems(self.world.disk, self, is_snapshot=self.world.store_model == "snapshot")
        return NumberedOptimisticStore(self.world, items, number=self.number, random=self.rng.random)

    async def _lead(self, app: SimApp) -> None:
        """Be what it is until it dies; nothing may keep it from that, or end it."""
        try:
            if self.is_worker:
                await app.work()
            else:
                async with app.serving():
                    await asyncio.Event().wait()
        except asyncio.CancelledError:
            return
        except ParbakeError as error:
            self.world.oracle.violate("I5 liveness", f"{self.name} has ended: {error}")

    async def breathe(self) -> None:
        """Spend a little time between two reads of a computation; longer where this process is slow or paused."""
        delay = self.rng.random() * self.world.slowness_s
        await sleep(delay)
        await self.wait_while_paused()

    async def reach_store(self) -> None:
        """The way to the store; raises :class:`StoreError` when the request does not arrive."""
        await self._travel("lost_requests", "the store did not answer")

    async def hear_store(self) -> None:
        """The way back; raises :class:`StoreError` when the answer is lost, though what was asked for was done."""
        await self._travel("lost_answers", "the store's answer was lost")

    async def _travel(self, way: Literal["lost_requests", "lost_answers"], problem: str) -> None:
        """One way over the network, which loses a share of the messages."""
        if self.rng.random() < SLOW:
            await sleep(self.rng.random() * self.network.latency_s * self.network.takes)
        if self.paused_until:
            await self.wait_while_paused()
        if not self.is_alive:
            raise asyncio.CancelledError
        lost: float = getattr(self.network, way)  # as it is now: a process that wakes after all healed loses nothing
        if self.is_cut_from_store or (lost and self.rng.random() < lost):
            await sleep(TIMEOUT_S)
            raise StoreError(problem, field="store")

    async def wait_while_paused(self) -> None:
        """Stand still, as a stopped process does."""
        loop = asyncio.get_running_loop()
        while self.paused_until > loop.time():  # a pause can be prolonged while it lasts
            await sleep(self.paused_until - loop.time())


class _Clock:
    """A process's wall clock."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> float:
        return self._process.now_by_its_clock()
