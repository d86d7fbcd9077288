"""The opened parts of an app: each part receives the adapters and the other parts that it works with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from parbake.adapters import open_events
from parbake.adapters.log import LogSink
from parbake.app.plugin import Core, Parts, Plugin, close_all, opened, policies_of, wraps_of
from parbake.app.settings import Settings
from parbake.errors import DeclarationError, UnknownTask
from parbake.lanes.batch.lane import BatchLane, Run
from parbake.lanes.batch.load import LoadBoard
from parbake.lanes.batch.load_reports import LoadReports
from parbake.lanes.batch.off_peak import OffPeak
from parbake.lanes.batch.throttle import Pacer
from parbake.lanes.event.applier import Applier
from parbake.lanes.event.ingest import Ingest
from parbake.lanes.event.log_reader import LogReader
from parbake.lanes.event.parking import Parking
from parbake.lanes.event.queue import EventLane
from parbake.lanes.event.recovery import Recovery
from parbake.lanes.event.replayability import Replayability, sources_of
from parbake.lanes.event.unknown_families import UnknownFamilies
from parbake.lanes.event.work_claims import WorkClaims
from parbake.lanes.worker.board import WorkerBoard
from parbake.lanes.worker.conditions import Conditions
from parbake.lanes.worker.freshness import heard, report
from parbake.lanes.worker.healing import Healing
from parbake.lanes.worker.health_watch import HealthWatch
from parbake.lanes.worker.housekeeping import Housekeeping
from parbake.lanes.worker.notifier import Notifier
from parbake.lanes.worker.quarantine import Quarantines
from parbake.lanes.worker.readiness import Readiness
from parbake.lanes.worker.schedule import Schedule, SlaWatch
from parbake.lanes.worker.worker_watch import WorkerWatch
from parbake.ports.observers import gathered, tell
from parbake.ports.offers import ANSWERS, HEAT, WINDOWS, NoAnswers
from parbake.ports.store import Store
from parbake.process import forks
from parbake.process.counters import Counters
from parbake.process.threads import task_threads
from parbake.protocol.control import task_name
from parbake.serving.bind import Binder
from parbake.serving.bonds import Bonds
from parbake.serving.bound import BoundTask, watched_families
from parbake.serving.read import Resolver
from parbake.serving.realtime import Realtime
from parbake.serving.tickets import Tickets
from parbake.serving.warmup import Warmup
from parbake.stores import open_store
from parbake.stores.memory import MemoryStore
from parbake.tasks.families import check_views, minded, unaccounted, untold
from parbake.tasks.task_types import Artifact, Stored, Task
from parbake.values.checks import Problems


class Opening(forks.Forkable):
    """Opens the engine of an app on first use, and another one in each child of a fork."""

    def __init__(self, settings: Settings, counters: Counters) -> None:
        """Open nothing yet.

        Args:
            settings: The app's settings.
            counters: The app's counters, which a child of a fork resets.
        """
        self.engine: Engine | None = None
        self.settings = settings
        self._counters = counters
        self._lock = threading.RLock()
        self._inherited: Store | None = None
        forks.watch(self)

    def opened(self) -> Engine:
        """Return the engine; the first call opens it, on any event loop or thread.

        Raises:
            DeclarationError: A part that the tasks need is missing.
            StoreError: The store cannot be opened.
        """
        with self._lock:
            if self.engine is None:
                self.engine = Engine(self.settings, self._counters, self._inherited)
                self._inherited = None  # nothing can fail any more, so a second try does not need it
            return self.engine

    def reconfigure(self, settings: Settings) -> None:
        """Use other settings; raises :class:`RuntimeError` once the engine is open."""
        if self.engine is not None:
            raise RuntimeError("the app is in use already; change its settings before")
        self.settings = settings

    def after_fork_in_child(self) -> None:
        """Open another engine at the next use; stores, sources and topics reopen themselves.

        The parent's running computations stay the parent's: this process neither waits for them nor ends them.
        """
        self._lock = threading.RLock()  # a thread of the parent may have held it
        if self.engine is not None:
            forks.abandon(self.engine)
            self._inherited, self.engine = self.engine.store, None
            self._counters.restart()


class Engine:
    """The opened parts of an app, built once from its settings and its declared tasks."""

    def __init__(self, settings: Settings, counters: Counters, store: Store | None = None) -> None:
        """Open the store, compile every task, and open the plugins. An opening that fails leaves nothing open.

        Args:
            settings: The app's settings.
            counters: The app's counters.
            store: A store that is open already, in a child of a fork; by default that of the settings is opened.

        Raises:
            DeclarationError: A part that the tasks need is missing.
        """
        task_threads()  # an invalid number is rejected before anything is opened
        self.counters, self.clock = counters, settings.clock
        self._bind(settings)
        with ExitStack() as undo:
            self.store = _open_store(settings) if store is None else store
            if store is None:
                undo.callback(_close_now, self.store)
            self.parts = self._parts(settings)
            undo.callback(close_all, self.parts.on)
            self.plugins: dict[type[Plugin[Any]], Any] = {type(p): opened(p, self.parts) for p in settings.plugins}
            self.on, self.policies = self.parts.on, policies_of(self.parts)
            self.on.check()
            self._open_serving(settings)
            self._open_ingest(settings)
            self._open_lanes(settings)
            self._open_watches(settings)
            undo.pop_all()  # nothing has failed

    def _parts(self, settings: Settings) -> Parts:
        """What plugins work with. The parts that are created after them are looked up when they are used."""
        core = Core(
            send=lambda alert: self.notifier.send(alert),  # noqa: PLW0108  # it does not exist yet
            touch=lambda tags: self.ingest.touch(tags),  # noqa: PLW0108  # it does not exist yet
            stored=lambda bound: self.resolver.stored(bound),  # noqa: PLW0108  # it does not exist yet
            listed=lambda bound: self.batch.listed(bound),  # noqa: PLW0108  # it does not exist yet
            quarantined=lambda: self.quarantines.all(),  # noqa: PLW0108  # it does not exist yet
            freshness=lambda most_keys: report(self, most_keys),
            sources=lambda: heard(self),
            runs=lambda bound: self.batch.runs.state(bound.ref),
            ready=lambda: self.readiness.look(),  # noqa: PLW0108  # it does not exist yet
            bonds=lambda: self.bonds,
            bound=self.bound_task,
            is_throttled=settings.batch.throttle is not None,
        )
        return Parts(
            self.tasks,
            self.known,
            store=self.store,
            clock=self.clock,
            counters=self.counters,
            core=core,
            binder=self.binder,
        )

    def _bind(self, settings: Settings) -> None:
        """Compile the tasks, and bind them to sources and resources; of all problems, the first error tells."""
        problems = Problems()
        for plugin in settings.plugins:
            with problems:
                plugin.check(settings.tasks)
        opened = []
        for found in settings.events:
            with problems:
                opened.append(open_events(found) if isinstance(found, str) else found)
        self.binder = Binder(settings.sources, settings.resources, opened)
        with problems:
            settings.tasks.check_complete()
        for task in settings.tasks:
            with problems:
                check_views(task)
                problems.found += unaccounted(task)
            with problems:
                self.binder.check(task)
        told = {f for source in self.binder.heard for f in source.families}.union(settings.open)
        if self.binder.heard and len(opened) == len(settings.events):
            problems.found += untold(settings.tasks, told)
        problems.must_be_none()
        watched = watched_families(settings.tasks)
        self.tasks = {
            t.name: BoundTask(t, off=settings.off.get(t.name, ""), watched=watched.get(t.name, ()))
            for t in settings.tasks
            if isinstance(t, Stored)
        }
        self.artifacts: dict[Task, BoundTask] = {p.task: p for p in self.tasks.values() if isinstance(p.task, Artifact)}
        self.known = told.union(*map(_declared, settings.tasks))

    def _replayability(self, settings: Settings) -> Replayability:
        held = {family for source in settings.sources for family in source.families}
        sources = sources_of(
            [source.name for source in self.binder.heard],
            untold=frozenset().union(*map(minded, settings.tasks)) - held,
            has_topics=len(self.binder.heard) > len(settings.sources),
        )
        return Replayability(self.store, settings.durability.log, sources, promise=settings.durability.replayable)

    def _open_serving(self, settings: Settings) -> None:
        """Create the parts that answer requests."""
        self.replayability = self._replayability(settings)
        self.resolver = Resolver(
            store=self.store,
            binder=self.binder,
            clock=settings.clock,
            counters=self.counters,
            on=self.on,
            bound_tasks=self.tasks,
            silence_limit_s=settings.silence_limit_s,
            wraps=wraps_of(self.parts),
        )
        self.bonds = Bonds(
            self.store, settings.clock, self.known, self.resolver.silent, self.replayability.acknowledged
        )
        self.realtime = Realtime(self.resolver, self.tasks, self.counters, self.on)
        self.warmup = Warmup(self.store, self.binder, self.resolver, self.tasks.values())
        self.answers = self.parts.found(ANSWERS) or NoAnswers()

    def _open_ingest(self, settings: Settings) -> None:
        """Create the parts that receive changes."""
        self.recovery = Recovery(self.store, settings.durability.log, self.replayability)
        self.recovery.confirm_opening()  # before anything is served
        self.tickets = Tickets(self.store)
        self.unknown = UnknownFamilies(self.store, settings.clock, self.known)
        applier = Applier(
            self.store,
            settings.clock,
            [self.counters.event, *self.on.event],
            counters=self.counters,
            unknown=self.unknown,
            tickets=self.tickets,
            applying=self.on.applying,
        )
        reader = LogReader(applier, silence_s=settings.silence_limit_s)
        self.ingest = Ingest(
            applier,
            reader,
            self.binder.heard,
            recovery=self.recovery,
            replayability=self.replayability,
            since_outage=self.resolver.since_outage,
        )
        self.tickets.caught_up = self.ingest.caught_up
        self.parking = Parking(self.store)

    def _keeps_s(self) -> float:
        """The greatest age of what plugins and caches keep in the store, in seconds."""
        kept: list[float] = [cache.keeps_s for cache in self.counters.caches]
        return max(self.parts.keeps_s, *kept, 0.0)

    def _open_lanes(self, settings: Settings) -> None:
        """Create the parts that compute ahead and on events."""
        self.board = LoadBoard(self.store, settings.clock)
        self.breathe = Pacer(settings.batch.throttle, self.board) if settings.batch.throttle else None
        self.batch = BatchLane(
            self.store,
            self.resolver.computer,
            self.tasks.values(),
            settings.clock,
            executor=settings.batch.executor,
            breathe=self.breathe,
            board=self.board if settings.batch.throttle else None,
            policies=self.policies,
        )
        of = settings.store if isinstance(settings.store, str) else type(settings.store).__name__
        self.notifier = notifier = Notifier(settings.alerts or [LogSink()], of)
        self.counters.measured["parbake_alerts_waiting"] = lambda: notifier.waiting
        self.counters.measured["parbake_alerts_lost"] = lambda: notifier.lost
        off_peak = OffPeak(settings.clock, settings.batch.windows, self.parts.found(WINDOWS))
        self.schedule = Schedule(self.batch, self.tasks.values(), settings.clock, self.notifier, off_peak)
        self.workers = WorkerBoard(self.store, settings.clock)
        self.events = EventLane(
            self.store,
            self.resolver.demand,
            self.tasks.values(),
            settings.clock,
            self._heat,
            counters=self.counters,
            claims=WorkClaims(self.store, settings.clock, self.workers),
            refreshing=self.on.refreshing,
        )

    def _open_watches(self, settings: Settings) -> None:
        """Create quarantine, housekeeping, watches and readiness."""
        self.reporting = LoadReports(self.board, self.counters, self.on.paced)
        self.quarantines = Quarantines(self.store, settings.clock, self.notifier, self.recovery)
        self.healing = Healing(self.store)
        self.housekeeping = Housekeeping(self.store, self.tasks.values(), settings.clock, self._keeps_s)
        self.watch = SlaWatch(self.store, self.tasks.values(), settings.clock, self.notifier)
        self.worker_watch = WorkerWatch(self.workers, settings.worker, self.counters)
        conditions = Conditions(
            self.store,
            self.tasks.values(),
            clock=settings.clock,
            counters=self.counters,
            workers=self.worker_watch,
            unknown=self.unknown,
            silences=self.resolver.silences,
        )
        self.health = HealthWatch(
            conditions,
            self.tasks,
            clock=settings.clock,
            counters=self.counters,
            notifier=self.notifier,
        )
        self.readiness = Readiness(self.warmup, conditions, self.health, lacking=self.on.lacking)

    async def close(self) -> None:
        """End running computations, send the last alerts, then close the plugins, the sources and the store."""
        await self.resolver.demand.close()
        await self.leave_sources()
        await self.notifier.close()
        await asyncio.to_thread(close_all, self.on)
        for source in self.binder.heard:
            await asyncio.to_thread(source.close)
        await self.store.close()

    async def leave_sources(self) -> None:
        """Let nobody wait for a store that ends with this process. Any other store may be served by another one."""
        if isinstance(self.store, MemoryStore):
            await self.ingest.leave()

    def note(self, run: Run) -> None:
        """Tell the plugins of a promoted run."""
        tell(self.on.ran, run)

    def bound_task(self, task: Stored) -> BoundTask:
        """Return a compiled task; raises :class:`parbake.errors.UnknownTask` if the task is not in this app."""
        bound = self.tasks.get(task.name)
        if bound is None or bound.task is not task:
            why = "is not among this app's tasks" if bound is None else "is not the one that this app was opened with"
            raise UnknownTask(f"{task.name} {why}; make the app after its tasks", field="task")
        return bound

    async def _heat(self, ref: str) -> Mapping[bytes, int]:
        heat = self.parts.found(HEAT)
        if heat is None:
            return {}
        return next(iter(await asyncio.to_thread(gathered, [lambda: heat.heat(task_name(ref))])), {})


def _close_now(store: Store) -> None:
    """Close a store outside of any event loop: this thread may run one that cannot wait here."""
    thread = threading.Thread(target=lambda: asyncio.run(store.close()), name="parbake-close")
    thread.start()
    thread.join()


def _open_store(settings: Settings) -> Store:
    """Open the store; raises :class:`DeclarationError` for one that the executor's processes could not open."""
    store = open_store(settings.store) if isinstance(settings.store, str) else settings.store
    executor = settings.batch.executor
    if executor is not None and (isinstance(store, MemoryStore) or (store.is_local and not executor.is_local)):
        kind = "a memory:// store" if isinstance(store, MemoryStore) else "a store on the disk of one machine"
        example = "lmdb:///var/lib/shop" if executor.is_local else "redis://shop-store:6379"
        _close_now(store)
        raise DeclarationError(
            f"executor: its processes cannot open {kind}; name one that they can, such as store={example!r}",
            field="store",
        )
    return store


def _declared(task: Task) -> frozenset[str]:
    """The families that a task names, including ignored ones."""
    return minded(task) | task.contract.declared if isinstance(task, Stored) else frozenset()
