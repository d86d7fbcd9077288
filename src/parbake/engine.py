"""The opened parts of an app: the one place where the engine's rooms are given the adapters that they work with."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

from parbake.alerts.log import LogSink
from parbake.brokers import open_events
from parbake.declare.families import check_told, check_views, minded
from parbake.declare.tasks import Artifact, Stored, Task
from parbake.errors import DeclarationError, UnknownTask
from parbake.lanes.batch.adopted import Adoptions
from parbake.lanes.batch.lane import BatchLane, Run
from parbake.lanes.batch.load import LoadBoard
from parbake.lanes.batch.load_reports import LoadReports
from parbake.lanes.batch.off_peak import OffPeak
from parbake.lanes.batch.throttle import Pacer
from parbake.lanes.event.ingest import Ingest
from parbake.lanes.event.parking import Parking
from parbake.lanes.event.queue import EventLane, bound_by
from parbake.lanes.event.recovery import Recovery
from parbake.lanes.event.work_claims import WorkClaims
from parbake.lanes.worker.board import WorkerBoard
from parbake.lanes.worker.housekeeping import Housekeeping
from parbake.lanes.worker.quarantine import Quarantines
from parbake.lanes.worker.readiness import Readiness
from parbake.lanes.worker.schedule import Notifier, Schedule, SlaWatch
from parbake.lanes.worker.worker_watch import WorkerWatch
from parbake.ledger.answer_table import AnswerTable
from parbake.ledger.answers import Answers
from parbake.ledger.sqlite_ledger import Ledger
from parbake.ports.hooks import Hook
from parbake.ports.store import Store
from parbake.process import forks
from parbake.process.threads import task_threads
from parbake.serving.bind import Binder
from parbake.serving.bonds import Bonds
from parbake.serving.bound import BoundTask, watched_families
from parbake.serving.read import Resolver
from parbake.serving.refine import Realtime
from parbake.serving.tickets import Tickets
from parbake.serving.warmup import Warmup
from parbake.stores import open_store
from parbake.stores.memory import MemoryStore

if TYPE_CHECKING:
    from parbake.app import App


_opening = threading.RLock()
_inherited: weakref.WeakKeyDictionary[App, Store] = weakref.WeakKeyDictionary()
"""The stores of apps whose engine was opened before this process was forked; they open themselves again."""


def opened(app: App) -> Engine:
    """An app's engine, opened by the first who asks, on whatever event loop or thread."""
    with _opening:
        found: Engine | None = app.__dict__.get("engine")
        if found is None:
            found = app.__dict__["engine"] = Engine(app)
        return found


@forks.in_child
def _unlock() -> None:
    global _opening  # noqa: PLW0603  # a thread of the parent may have held it
    _opening = threading.RLock()


class Engine(forks.Forkable):
    """An app's parts, built once: nothing here is declared, everything is opened."""

    def __init__(self, app: App) -> None:
        """Open the store and compile every task; raises :class:`parbake.errors.DeclarationError` for missing parts."""
        task_threads()  # a number that cannot be meant is refused before anything is opened
        self.store = _opened_store(app)
        self.clock = app.clock
        for task in app.tasks:
            check_views(task)
        watched = watched_families(app.tasks)
        self.plans = {
            t.name: BoundTask(t, off=app.off.get(t.name, ""), watched=watched.get(t.name, ()))
            for t in app.tasks
            if isinstance(t, Stored)
        }
        self.artifacts: dict[Task, BoundTask] = {p.task: p for p in self.plans.values() if isinstance(p.task, Artifact)}
        opened = [open_events(found) if isinstance(found, str) else found for found in app.events]
        self.binder = Binder(app.sources, app.resources, opened)
        app.tasks.check_complete()
        for task in app.tasks:
            self.binder.check(task)
        self.told = {f for source in self.binder.heard for f in source.families}.union(app.open)
        if self.binder.heard:
            check_told(app.tasks, self.told)
        self.ledger = Ledger(app.ledger_path, app.counters, app.clock) if app.ledger_path else None
        self.hooks: list[Hook] = [*([self.ledger] if self.ledger else []), *app.hooks]
        self._open_serving(app)
        self._open_ingest(app)
        self._open_lanes(app)
        self._open_watches(app)
        _inherited.pop(app, None)  # nothing can fail any more, so that a second try need not open it
        self._app = weakref.ref(app)
        forks.watch(self)

    def after_fork_in_child(self) -> None:
        """Have the app open another engine at its next use; stores, sources and topics see to themselves.

        What was being computed is the parent's: nothing here may wait for it, or end it.
        """
        app = self._app()
        forks.abandon(self)
        if app is not None and app.__dict__.get("engine") is self:
            del app.__dict__["engine"]
            _inherited[app] = self.store
            app.counters.restart()

    def _open_serving(self, app: App) -> None:
        """What answers requests."""
        self.resolver = Resolver(
            store=self.store,
            binder=self.binder,
            clock=app.clock,
            counters=app.counters,
            hooks=self.hooks,
            plans=self.plans,
            silence_limit_s=app.silence_limit_s,
            spend=self.ledger.spent if self.ledger else None,
        )
        self.known = self.told.union(*map(_declared, app.tasks))
        self.bonds = Bonds(self.store, app.clock, self.known, self.resolver.silent)
        tell = self.ledger.live if self.ledger else None
        self.realtime = Realtime(self.resolver, self.store, self.plans, tell)
        self.warmup = Warmup(self.store, self.binder, self.resolver, self.plans.values())

    def _open_ingest(self, app: App) -> None:
        """What hears of changes."""
        self.recovery = Recovery(self.store, app.journal, replayable=app.replayable)
        heard = self.binder.heard
        everyone = [app.counters, *self.hooks]
        self.tickets = Tickets(self.store)
        self.ingest = Ingest(
            self.store,
            heard,
            app.clock,
            everyone,
            self.recovery,
            counters=app.counters,
            known=self.known,
            tickets=self.tickets,
        )
        self.parking = Parking(self.store)

    def _open_lanes(self, app: App) -> None:
        """What computes ahead and on events."""
        self.board = LoadBoard(self.store, app.clock)
        self.adopted = Adoptions(self.store, app.clock, self.ledger)
        self.breathe = Pacer(app.throttle, self.board) if app.throttle else None
        self.batch = BatchLane(
            self.store,
            self.resolver.computer,
            self.plans.values(),
            app.clock,
            executor=app.executor,
            breathe=self.breathe,
            board=self.board if app.throttle else None,
            adopted=self.adopted,
        )
        self.notifier = Notifier(app.alerts or [LogSink()])
        off_peak = OffPeak(app.clock, app.off_peak, self.ledger)
        self.schedule = Schedule(self.batch, self.plans.values(), app.clock, self.notifier, off_peak)
        self.workers = WorkerBoard(self.store, app.clock)
        self.events = EventLane(
            self.store,
            self.resolver.demand,
            self.plans.values(),
            app.clock,
            self._heat,
            counters=app.counters,
            claims=WorkClaims(self.store, app.clock, self.workers),
        )

    def _open_watches(self, app: App) -> None:
        """What looks after the rest, and says how it is."""
        self.reporting = LoadReports(self.board, app.counters, note=self.ledger.paced if self.ledger else None)
        self.quarantines = Quarantines(self.store, app.clock, self.notifier, self.recovery)
        self.answers = Answers(
            AnswerTable(self.ledger) if self.ledger else None,
            app.clock,
            self.plans,
            self.known,
            book=lambda: app.book,
            touch=self.ingest.touch,
            send=self.notifier.send,
        )
        self.housekeeping = Housekeeping(self.store, self.plans.values(), app.clock)
        self.watch = SlaWatch(self.store, self.plans.values(), app.clock, self.notifier)
        self.worker_watch = WorkerWatch(
            self.workers,
            app.worker,
            app.counters,
            store=self.store,
            clock=app.clock,
            notifier=self.notifier,
            owners=[p.contract.owner for p in self.plans.values() if p.task.schedule or bound_by(p.task)],
        )
        self.readiness = Readiness(self.store, self.plans.values(), self.ingest, self.warmup, self.worker_watch)

    def note(self, run: Run) -> None:
        """Have the ledger keep what a run used."""
        if self.ledger is None:
            return
        for built in run.built:
            self.ledger.run(
                built.task, built.rows, built.took_s, cpu_s=built.cpu_s, size_bytes=built.size_bytes,
                trigger=run.trigger, pick=built.pick,
            )  # fmt: skip

    def plan(self, task: Stored) -> BoundTask:
        """The plan of a task; raises :class:`parbake.errors.UnknownTask` for one that is not in this app."""
        plan = self.plans.get(task.name)
        if plan is None or plan.task is not task:
            why = "is not among this app's tasks" if plan is None else "is not the one that this app was opened with"
            raise UnknownTask(f"{task.name} {why}; make the app after its tasks", field="task")
        return plan

    async def _heat(self, ref: str) -> Mapping[bytes, int]:
        if self.ledger is None:
            return {}
        return await asyncio.to_thread(self.ledger.heat, ref.rpartition("@")[0])


def _opened_store(app: App) -> Store:
    """The app's store; raises :class:`DeclarationError` for one that its executor's processes could not open."""
    store = _inherited.get(app)
    if store is None:
        store = open_store(app.store_url) if isinstance(app.store_url, str) else app.store_url
    if app.executor is not None and isinstance(store, MemoryStore):
        raise DeclarationError(
            "executor: its processes see nothing of a memory:// store; name one that several processes can open, "
            "such as store='lmdb:///var/lib/shop'",
            field="store",
        )
    return store


def _declared(task: Task) -> frozenset[str]:
    """The families that a task names, ignored ones included."""
    return minded(task) | task.contract.declared if isinstance(task, Stored) else frozenset()
