"""The composition root: the one module that knows both the engine and the adapters."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from msgspec.structs import replace

from parbake import settings as arguments
from parbake.declare.call_checks import check_call, live_values
from parbake.declare.registry import Registry
from parbake.declare.served import Served
from parbake.declare.task_table import TaskRow, classify
from parbake.declare.tasks import Artifact, LiveTask, ModelTask, Refine, Stored, Task
from parbake.engine import Engine, opened
from parbake.errors import BadInput
from parbake.fence.acks import NO_ACKS
from parbake.fence.control import Quarantine
from parbake.fence.listening import listener
from parbake.fence.record import Stamp
from parbake.fence.recording import Recording
from parbake.lanes.batch.adopted import AdoptedPlan
from parbake.lanes.batch.fingerprint import is_of_other_code
from parbake.lanes.batch.lane import Run
from parbake.lanes.batch.runs import State
from parbake.lanes.batch.throttle import Throttle
from parbake.lanes.event.parking import Retried
from parbake.lanes.event.polling import Polling, beside
from parbake.lanes.event.recovery import FileJournal
from parbake.lanes.worker.readiness import Ready
from parbake.lanes.worker.worker_watch import WorkerSetting
from parbake.ledger.answers import Answers
from parbake.ledger.costs import NOBODY, Cost, CostBook, Owned, costs
from parbake.metrics.counters import Counters
from parbake.ports.alerts import Alert, AlertSink
from parbake.ports.clock import Clock
from parbake.ports.cloudevents import CloudEvent
from parbake.ports.event_log import Ack, Parked, Raised
from parbake.ports.executors import Executor
from parbake.ports.generations import Journal
from parbake.ports.hooks import Hook, Progress
from parbake.ports.sources import EventSource, Source, Topic
from parbake.ports.store import Store
from parbake.process.system_clock import SystemClock
from parbake.serving import request as scope
from parbake.serving.bind import asked_within
from parbake.serving.bonds import Bonds
from parbake.serving.warmup import Step
from parbake.sync import After, SyncApp, scope_of
from parbake.values.duration import Duration, seconds

if TYPE_CHECKING:
    from parbake.ledger.reversals import Reversals
    from parbake.planner.breakeven import Prices
    from parbake.planner.detectors import Proposal
    from parbake.planner.plan import Decision

K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")
REVERSE_EVERY_S = 3600.0
_log = logging.getLogger("parbake.app")


class App:
    """Tasks with a store, sources and resources: serves, ingests, materializes.

    ``store`` is a URL or a store; ``events`` are further sources of events, or their URLs
    (``kafka://host:9092/topic?families=policy``); ``open`` are the tag families that no source tells of, because events
    over HTTP or ``touch`` do; ``resources`` maps a type to a client (or :class:`parbake.Lazy`); ``ledger`` is the path
    of its SQLite file, none by default; a source unheard for ``silence_limit`` is not trusted; ``off`` maps the tasks
    that cannot run here to the reason; ``journal`` is where rollbacks and quarantines are logged outside the store (a
    path, or a journal); ``replayable`` promises that every change is told by some source's outbox. With both, what is
    stored outlives a loss of the store's last writes; otherwise it is discarded then. ``executor`` computes batch runs
    in other processes; ``throttle`` says how much they may slow requests down (``None``: as much as they do).
    ``off_peak`` are the windows of the day (``"22:00-06:00"``, in ``zone``) in which they should run; without any they
    are learned from the ledger. ``book`` is a dated cost book, or its path, that costs and triggers are priced by. A
    server is not ready before a worker has reported with ``worker="required"``; it is degraded without one with
    ``"expected"``.
    """

    def __init__(
        self,
        tasks: Registry,
        *,
        store: str | Store = "memory://",
        sources: Sequence[Source] = (),
        events: Sequence[EventSource | Topic | str] = (),
        open: Sequence[str] = (),  # noqa: A002 - what users write; the built-in function is not needed here
        resources: Mapping[Any, Any] | None = None,
        clock: Clock | None = None,
        ledger: str | Path | None = None,
        alerts: Sequence[AlertSink] = (),
        hooks: Sequence[Hook] = (),
        silence_limit: Duration = "30s",
        heartbeat: Duration = "1s",
        off: Mapping[str, str] | None = None,
        journal: Journal | str | Path | None = None,
        replayable: bool = False,
        executor: Executor | None = None,
        throttle: Throttle | None = Throttle(),
        off_peak: str | Sequence[str] = (),
        zone: str = "UTC",
        book: CostBook | str | PathLike[str] | None = None,
        worker: WorkerSetting = "expected",
    ) -> None:
        """Check and keep the parts; nothing is opened until first use."""
        arguments.check_kept(store, ledger)
        self.tasks = tasks
        self.store_url = store
        self.sources = arguments.checked_sources(sources)
        self.events = tuple(events)
        self.open = arguments.families(open)
        self.resources = dict(resources or {})
        self.clock: Clock = clock or SystemClock()
        self.ledger_path = Path(ledger) if ledger else None
        self.alerts = arguments.sinks(alerts)
        self.hooks = tuple(hooks)
        self.silence_limit_s = seconds(silence_limit, field="silence_limit")
        self.heartbeat_s = seconds(heartbeat, field="heartbeat")
        self._polling = Polling(self.drain, self.heartbeat_s)
        self.off = dict(off or {})
        self.journal = FileJournal(journal) if isinstance(journal, str | Path) else arguments.checked_journal(journal)
        self.replayable = replayable
        self.executor, self.throttle = executor, throttle
        self.off_peak = arguments.checked_windows(off_peak, zone)
        arguments.check_batch(executor, throttle)
        self.book = arguments.priced(book)
        self.worker: WorkerSetting = arguments.worker_setting(worker)
        self.counters = Counters()

    @cached_property
    def engine(self) -> Engine:
        """The opened parts."""
        return opened(self)

    _sync = cached_property(SyncApp)

    @property
    def sync(self) -> SyncApp:  # pyright accepts a cached property in no protocol
        """The same app for synchronous code: one event loop in a thread of its own."""
        return self._sync

    @overload
    async def serve(self, task: Artifact[K, V], key: K, /) -> Served[V]: ...
    @overload
    async def serve(self, task: Refine[K, P, V], key: K, /, *args: P.args, **kwargs: P.kwargs) -> Served[V]: ...
    @overload
    async def serve(self, task: LiveTask[P, V], /, *args: P.args, **kwargs: P.kwargs) -> Served[V]: ...
    async def serve(self, task: Task, /, *args: Any, **kwargs: Any) -> Served[Any]:
        """Serve a task: an artifact by key, a refine by key and live values, a live task by live values.

        Raises :class:`parbake.errors.RequestError` for a bad key or live value and
        :class:`parbake.errors.DeadlineExceeded` when the request's deadline passes.
        """
        request = scope.current()
        started = 0.0 if request is None else time.perf_counter()
        engine = self.engine
        if type(task) is not Artifact or len(args) != 1 or kwargs:  # nearly every call is right: nothing is checked
            check_call(task, args, kwargs)
        plan = engine.artifacts.get(task)
        acks = NO_ACKS if request is None else request.acks
        served = None if plan is None else engine.resolver.serve_now(plan, args[0], acks)
        if served is None:
            served = await self._serve(task, args, kwargs)
        if request is not None:
            took = (time.perf_counter() - started) * 1000
            sequence = served.stamp.sequence
            step = scope.Step(
                served.task, served.verdict.value, served.lane, served.age_s, took, sequence, served.reason
            )
            request.steps.append(step)
        return served

    async def _serve(self, task: Task, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Served[Any]:
        engine = self.engine
        if isinstance(task, Artifact):
            plan = engine.plan(task)
            context = asked_within(scope.current())
            return (await engine.resolver.serve(plan, plan.keys.check(args[0]), context)).served
        if isinstance(task, Refine):
            return await engine.realtime.refine(task, args[0], live_values(task, args[1:], kwargs))
        if isinstance(task, LiveTask):
            return await engine.realtime.live(task, live_values(task, args, kwargs))
        raise BadInput(f"{task.name} is a model: it is read by tasks, not served", field="task")

    async def model(self, task: ModelTask[V]) -> V:
        """The current model, as the tasks that read it get it; raises :class:`parbake.errors.NotMaterialized`."""
        stamp, control = await self.engine.store.stamp()
        context = asked_within(scope.current())
        self.engine.plan(task)
        recording = Recording(stamp, origin=self.engine.store)
        found: V = await self.engine.resolver.read_model(task, control, recording, context)
        if (heard := listener()) is not None:
            heard.join(recording)
        return found

    @property
    def answers(self) -> Answers:
        """What was given out, by the id that clients were told: to look it up, and to complain of it."""
        return self.engine.answers

    @property
    def bonds(self) -> Bonds:
        """What binds values outside the store, such as a semantic cache's, to the changes of what they were made of."""
        return self.engine.bonds

    def request(
        self, timeout: Duration | None = None, *, after: After = ()
    ) -> AbstractAsyncContextManager[scope.Request]:
        """Open a request scope: live values are computed once in it, and every read shares its deadline.

        ``after`` are acknowledgements that the caller holds (or their tickets): nothing made before them is served in
        this scope, even by a store that has lost them and does not know it. Raises :class:`BadInput` for anything
        else, and when it is entered for a ticket that this store has not signed.
        """
        timeout_s, acks, texts = scope_of(timeout, after)
        opened = scope.request(timeout_s, acks)
        return self.engine.tickets.carried_in(opened, texts) if texts else opened

    async def publish(self, *events: CloudEvent) -> Ack:
        """Raise the tags of events; returns once that is durable."""
        return await self.engine.ingest.publish(events)

    async def touch(self, *tags: str) -> Ack:
        """Raise tags after your own commit; returns once that is durable.

        Raises :class:`BadInput` for a tag whose family no task, source or ``open=`` of this app declares.
        """
        return await self.engine.ingest.touch(tags)

    async def drain(self) -> Ack | None:
        """Apply every source's outbox to its end; what was committed before this call is acknowledged after it."""
        return await self.engine.ingest.drain()

    async def acknowledgement(self, position: int, source: str = "") -> Ack:
        """The acknowledgement of one event of an outbox; raises :class:`NotAcknowledged` while it is not applied."""
        return await self.engine.ingest.acknowledgement(position, source)

    async def applied(self) -> dict[str, int]:
        """How far each source was applied, by name (a topic by partition): its outbox may be pruned up to there."""
        return await self.engine.ingest.applied()

    async def parked(self, limit: int = 100) -> list[Parked]:
        """Events that were not understood, by source and position."""
        return await self.engine.parking.look(limit)

    async def retry_parked(self, source: str = "", position: int = 0) -> Retried:
        """Read one parked event, or all of them, again with the code of today; what is understood is raised.

        Raises :class:`parbake.errors.UnknownResource` when the one that is named is not there.
        """
        only = (source, position) if source else None
        return await self.engine.parking.retry(self.clock.now(), only)

    async def restart(self, source: str) -> Ack:
        """Hear a source (or one partition) from its beginning again, after raising all its families."""
        return await self.engine.ingest.restart(source)

    async def materialize(
        self, task: Stored, *, keys: Sequence[Any] | None = None, progress: Progress | None = None, anew: bool = False
    ) -> Run:
        """Run the batch lane for a task and what is promoted with it; sources are polled until it ends.

        A run that was interrupted is continued, unless its code has changed or ``anew`` asks for all of it.
        """
        async with beside(self._polling.later()):
            plan = self.engine.plan(task)
            run = await self.engine.batch.materialize(plan, keys=keys, progress=progress, anew=anew)
        self.engine.note(run)
        return run

    async def run_due(self, *, progress: Progress | None = None, only_missing: bool = False) -> list[Run]:
        """Run every batch task that is due, once; with ``only_missing`` those that have no generation at all.

        Sources are polled until it ends.
        """
        async with beside(self._polling.later()):
            runs = await self.engine.schedule.run_due(progress=progress, only_missing=only_missing)
        for run in runs:
            self.engine.note(run)
        return runs

    async def runs(self, task: Stored) -> State:
        """The batch run of a task that is under way or was interrupted, and the last ones with their outcomes."""
        return await self.engine.batch.runs.state(self.engine.plan(task).ref)

    async def rollback(self, task: Stored) -> int:
        """Withdraw a task's current generation and return to the one before; returns its number."""
        chain = self.engine.batch.chain(self.engine.plans[task.name])
        generation = await self.engine.store.rollback(task.ref, self.clock.now(), [plan.ref for plan in chain[1:]])
        await self.engine.recovery.note_withdrawn()
        return generation

    async def replan(self, task: Stored, prices: Prices, *, hits: float | None = None) -> Decision:
        """Plan a ``refresh=planned()`` task anew from its own requests; nothing is adopted.

        ``hits`` is the share of requests that must find a fresh result.

        Raises :class:`BadInput` without a ledger, or where nobody has asked for the task yet.
        """
        plan = self.engine.plan(task)
        return await self.engine.adopted.make(plan, prices, hits=hits, listed=await self.engine.batch.listed(plan))

    async def adopt(self, task: Stored, decision: Decision) -> AdoptedPlan:
        """Follow a plan from the task's next run on."""
        return await self.engine.adopted.adopt(self.engine.plan(task), decision)

    async def adopted(self, task: Stored) -> tuple[AdoptedPlan, ...]:
        """The plans that a task has followed, the current one first; empty before the first."""
        return await self.engine.adopted.history(self.engine.plan(task))

    async def unadopt(self, task: Stored) -> AdoptedPlan:
        """Return to the plan before the current one, and say which that is."""
        return await self.engine.adopted.rollback(self.engine.plan(task))

    async def costs(self, book: CostBook | None = None, *, since_s: float = 86_400.0) -> list[Cost]:
        """What each task used and cost in each lane over the last ``since_s`` seconds, dearest first.

        Priced by ``book``, by default the app's. Empty without a ledger.
        """
        ledger, since = self.engine.ledger, self.clock.now() - since_s
        if ledger is None:
            return []
        return await asyncio.to_thread(costs, ledger, book or self.book, await self._owners(), since=since)

    async def charges(self, book: CostBook | None = None, *, since_s: float = 86_400.0) -> list[dict[str, Any]]:
        """The same by the hour, in the columns of FOCUS 1.2 (see :mod:`parbake.ledger.focus_export`)."""
        from parbake.ledger.focus_export import charges

        ledger, since = self.engine.ledger, self.clock.now() - since_s
        if ledger is None:
            return []
        owners = await self._owners()
        return await asyncio.to_thread(lambda: list(charges(ledger, book or self.book, owners, since=since)))

    async def _owners(self) -> dict[str, Owned]:
        owners = {task.name: Owned(task.contract.owner if isinstance(task, Stored) else NOBODY) for task in self.tasks}
        for plan in self.engine.plans.values():
            if plan.is_planned:
                strategy = (await self.engine.adopted.current(plan)).strategy
                owners[plan.name] = Owned(plan.contract.owner, strategy)
        return owners

    async def triggers(
        self,
        *,
        book: CostBook | None = None,
        prices: Mapping[str, Prices] | None = None,
        floor: float = 0.6,
        switching: float = 0.0,
    ) -> list[Proposal]:
        """What speaks for reversing a decision: complaints, low hits, dear or harmful batches, changed prices.

        ``prices`` are today's, by task; ``floor`` is the least hit rate; ``switching`` what a change costs in dollars.
        Nothing is changed.
        """
        return await self._reversals().proposals(
            await self.quarantined(), book=book or self.book, prices=prices or {}, floor=floor, switching=switching
        )

    async def apply(self, proposal: Proposal) -> AdoptedPlan:
        """Do what a proposal says, where that can be done: a planned task computes on request from here on.

        It is recorded as a plan, and taken back by :meth:`unadopt`. Raises :class:`BadInput` for other actions.
        """
        return await self._reversals().apply(proposal)

    def _reversals(self) -> Reversals:
        from parbake.ledger.reversals import Reversals

        engine = self.engine
        throttled = self.throttle is not None
        return Reversals(
            engine.plans, engine.adopted, self.clock, engine.ledger, is_throttled=throttled, notifier=engine.notifier
        )

    async def alert(self, alert: Alert) -> None:
        """Send an alert to every sink; one that fails is logged, and the others still hear."""
        await self.engine.notifier.send(alert)

    async def complain(self, task: Stored, reason: str, *, age_s: float | None = None) -> Quarantine:
        """Serve nothing stored of a task in any process, until :meth:`clear`: somebody was told something stale.

        ``age_s`` is how old the answer was, in seconds. Durable when this returns; the owner is alerted.
        """
        return await self.engine.quarantines.complain(self.engine.plan(task), reason, age_s=age_s)

    async def clear(self, task: Stored) -> None:
        """Serve a task from the store again: its owner has looked. What was stored until now stays dead."""
        await self.engine.quarantines.clear(self.engine.plan(task))

    async def quarantined(self) -> Mapping[str, Quarantine]:
        """What is in quarantine, by the name of the task."""
        return await self.engine.quarantines.all()

    async def ready(self) -> Ready:
        """Whether this server may be sent requests, with what it lacks and what is degraded."""
        return await self.engine.readiness.look()

    async def stamp(self) -> Stamp:
        """The store's counter now."""
        return (await self.engine.store.stamp())[0]

    async def generation(self, task: Stored) -> int:
        """The current generation of a task, 0 when none was promoted."""
        return (await self.engine.store.stamp())[1].pointer(task.ref)

    async def raised_since(self, stamp: Stamp, *, limit: int = 500) -> list[Raised]:
        """What was raised after a stamp, oldest first."""
        return await self.engine.store.log(stamp, limit)

    async def stored(self, task: Artifact[K, V]) -> AsyncIterator[tuple[K, V]]:
        """Every stored value of an artifact that may be served now, key by key; nothing is computed."""
        async for key, value in self.engine.resolver.stored(self.engine.plans[task.name]):
            yield key, value

    def classify(self) -> list[TaskRow]:
        """The classification table."""
        return classify(self.tasks, self.off)

    async def describe(self) -> list[TaskRow]:
        """The same with what the store knows: which tasks' current generations were built by other code."""
        _, control = await self.engine.store.stamp()
        others = {plan.name for plan in self.engine.plans.values() if is_of_other_code(plan, control)}
        return [replace(row, other_code=row.task in others) for row in self.classify()]

    @contextlib.asynccontextmanager
    async def serving(self, *others: Awaitable[None], warm: Sequence[Step] = ()) -> AsyncIterator[App]:
        """What a server does beside answering: polls (a dead worker darkens nothing), watches, and ``others``.

        ``warm`` is called once, after the resources are built and the models decoded: what it loads is awaited by
        :meth:`ready`, so that no first request waits for it.
        """
        engine = self.engine  # first of all: a store that cannot be opened must stop the start
        await self._polling.once()
        watches = (engine.watch.run(), engine.worker_watch.run(), engine.reporting.run())
        async with beside(self._polling.run(), engine.warmup.run(warm), *watches, *others):
            yield self

    async def work(self) -> None:
        """What a worker does, until cancelled: outboxes, event lane, batch schedule, watch."""
        engine = self.engine

        async def promoted(run: Run) -> None:
            self.engine.note(run)
            await engine.events.revisit(run.stamp)

        await self._polling.once()
        await engine.workers.join()
        others = (
            engine.workers.run(), engine.events.run(), engine.watch.run(), engine.housekeeping.run(),
            self._reverse_forever(),
        )  # fmt: skip
        async with beside(self._polling.run(), *others):
            await engine.schedule.run(promoted)

    async def _reverse_forever(self) -> None:
        """Apply what is proposed for tasks whose declaration says so."""
        while True:
            await asyncio.sleep(REVERSE_EVERY_S)
            try:
                await self._reversals().act(await self.quarantined(), book=self.book)
            except Exception:  # noqa: BLE001 - what cannot be judged now is judged in an hour
                _log.exception("triggers could not be looked at, and are again in an hour")

    async def close(self) -> None:
        """Close the store, the sources, the ledger, and the resources that have a ``close``."""
        for resource in self.resources.values():
            if callable(getattr(resource, "close", None)):
                resource.close()
        if self.executor is not None:
            await self.executor.close()
        if "engine" not in self.__dict__:
            return
        await self.engine.resolver.demand.close()
        if self.engine.ledger is not None:
            await asyncio.to_thread(self.engine.ledger.close)
        for source in self.engine.binder.heard:
            await asyncio.to_thread(source.close)
        await self.engine.store.close()
