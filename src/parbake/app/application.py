"""The composition root: serves requests, applies events, computes ahead."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from parbake.app import settings
from parbake.app.engine import Engine, Opening
from parbake.app.operations import Operations
from parbake.app.plugin import Plugin, Plugins
from parbake.app.settings import Batch, Durability, Settings
from parbake.app.sync import After, SyncApp, scope_of
from parbake.errors import BadInput, StoreError, StoreUnreachable
from parbake.lanes.batch.lane import Run, joined
from parbake.lanes.event.log_reader import warn_of_untold
from parbake.lanes.event.polling import Polling
from parbake.lanes.worker.readiness import Ready
from parbake.ports.cloudevents import CloudEvent
from parbake.ports.event_log import Ack
from parbake.ports.observers import Progress, attended
from parbake.ports.sources import Log, Source, Topic
from parbake.ports.store import Store
from parbake.process.counters import Counters
from parbake.process.loops import beside, measure_lag
from parbake.process.system_clock import SystemClock
from parbake.protocol.acks import NO_ACKS
from parbake.protocol.cause import Cause
from parbake.protocol.listening import listener
from parbake.protocol.record import Stamp
from parbake.protocol.recording import Recording
from parbake.serving import request as scope
from parbake.serving.bind import asked_within
from parbake.serving.bonds import Bonds
from parbake.serving.warmup import Step
from parbake.tasks.call_checks import check_call, live_values
from parbake.tasks.registry import Registry
from parbake.tasks.served import Served
from parbake.tasks.task_table import TaskRow, classify
from parbake.tasks.task_types import Artifact, LiveTask, ModelTask, Refine, Stored, Task
from parbake.values.duration import Duration, seconds

_FIRST_POLL_S = 1.0
"""Seconds that a start waits for its first look at the sources; it goes on without those that hang."""

K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")


class App:
    """Tasks with a store, sources and resources: serves requests, applies events, computes ahead.

    Methods for operators are in :attr:`ops`. Synchronous code uses :attr:`sync`.

    Args:
        tasks: The declared tasks.
        store: A store's URL, such as ``lmdb:///var/lib/shop``, or a store.
        sources: Systems of record: they open the views that tasks read, and report changes through their outboxes.
        plugins: Products on top, such as costs, plans and prompts; each is a :class:`parbake.Plugin`.
        events: Further sources of events, or their URLs (``kafka://host:9092/topic?families=policy``).
        open: The tag families whose changes are reported by :meth:`touch` or over HTTP, and not by a source.
        resources: For each type, what tasks with ``pb.Resource[Type]`` get, or a :class:`parbake.Lazy` of it.
        clock: The source of wall time; by default the system's clock.
        alerts: Where alerts to owners go; by default to the log.
        silence_limit: A source that was not polled to its end for this long is not trusted.
        endpoint_timeout: How long a read may take within an HTTP endpoint, yours or parbake's, that sets no deadline
            by :meth:`request`; 10 seconds by default, and no limit if it is ``None``.
        heartbeat: The pause between two polls of the sources.
        off: The tasks that cannot run here, by name, with the reason.
        batch: How batch runs are computed, and when.
        durability: What is kept if the store loses its last writes.
        worker: What a server without a worker reports: that it is degraded (``"expected"``), or nothing (``"none"``).
        strict: Whether to refuse tasks whose contract has a field that nobody stated.

    Raises:
        BadInput: A setting is invalid; the error names it.
    """

    def __init__(
        self,
        tasks: Registry,
        *,
        store: str | Store = "memory://",
        sources: Sequence[Source] = (),
        resources: Mapping[Any, Any] | None = None,
        plugins: Sequence[Plugin[Any]] = (),
        **options: Unpack[settings.Options],
    ) -> None:
        """Check and keep the settings; nothing is opened until first use."""
        if unknown := sorted(options.keys() - settings.Options.__annotations__.keys()):
            raise settings.unknown(unknown[0])
        settings.check_strict(options.get("strict", False), tasks)
        checked = Settings(
            tasks=tasks,
            store=settings.checked_store(store),
            sources=settings.checked_sources(sources),
            events=tuple(options.get("events", ())),
            open=settings.families(options.get("open", ())),
            resources=dict(resources or {}),
            clock=options.get("clock") or SystemClock(),
            alerts=settings.sinks(options.get("alerts", ())),
            plugins=settings.checked_plugins(plugins),
            silence_limit_s=seconds(options.get("silence_limit", "60s"), field="silence_limit"),
            endpoint_timeout_s=settings.endpoint_timeout(options.get("endpoint_timeout", settings.ENDPOINT_TIMEOUT)),
            heartbeat_s=seconds(options.get("heartbeat", "1s"), field="heartbeat"),
            off=settings.tasks_off(options.get("off"), tasks),
            batch=settings.checked_group(options.get("batch", Batch()), Batch, field="batch"),
            durability=settings.checked_group(options.get("durability", Durability()), Durability, field="durability"),
            worker=settings.worker_setting(options.get("worker", "expected")),
        )
        self.tasks = tasks
        self.counters = Counters()
        self._opening = Opening(checked, self.counters)
        self._polling = Polling(
            self._poll,
            lambda: self.engine.binder.heard,
            checked.heartbeat_s,
            self._distrust,
            self._is_behind,
        )
        self.ops = Operations(self._opening, self._polling)
        self.plugins = Plugins(checked.plugins, lambda: self.engine.plugins)
        """What each plugin offers to users, by its class: ``app.plugins[Ledger].costs()``."""

    @property
    def settings(self) -> Settings:
        """The app's settings, checked."""
        return self._opening.settings

    @property
    def engine(self) -> Engine:
        """The opened parts; the first access opens them."""
        return self._opening.engine or self._opening.opened()

    @cached_property
    def _sync(self) -> SyncApp:
        return SyncApp(self.serve, self._carry, self.close)

    async def _carry(self, request: scope.Request, tickets: Sequence[str]) -> None:
        await self.engine.tickets.carry(request, tickets)

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
        """Serve a task.

        Args:
            task: An artifact, a refine or a live task.
            args: The key of an artifact or a refine, and live values by position.
            kwargs: Live values by name.

        Raises:
            RequestError: The key or a live value cannot be used.
            DeadlineExceeded: The request's deadline has passed.
        """
        request = scope.current()
        started = 0.0 if request is None else time.perf_counter()
        engine = self._opening.engine or self._opening.opened()
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
            verdict, lane, over = served.verdict.value, served.lane, served.over
            is_away = served.cause is Cause.WITHOUT_STORE
            step = scope.Step(served.task, verdict, lane, served.age_s, took, sequence, served.reason, over, is_away)
            request.steps.append(step)
        return served

    async def _serve(self, task: Task, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Served[Any]:
        engine = self.engine
        if isinstance(task, Artifact):
            plan = engine.bound_task(task)
            context = asked_within(scope.current())
            return (await engine.resolver.serve(plan, plan.keys.check(args[0]), context)).served
        if isinstance(task, Refine):
            return await engine.realtime.refine(task, args[0], live_values(task, args[1:], kwargs))
        if isinstance(task, LiveTask):
            return await engine.realtime.live(task, live_values(task, args, kwargs))
        raise BadInput(f"{task.name} is a model: it is read by tasks, not served", field="task")

    async def model(self, task: ModelTask[V]) -> V:
        """The current model, as tasks get it; raises :class:`parbake.errors.NotMaterialized` if there is none."""
        stamp, control = await self.engine.store.stamp()
        context = asked_within(scope.current())
        self.engine.bound_task(task)
        recording = Recording(stamp, origin=self.engine.store)
        found: V = await self.engine.resolver.read_model(task, control, recording, context)
        if (heard := listener()) is not None:
            heard.join(recording)
        return found

    @property
    def bonds(self) -> Bonds:
        """Binds values outside the store, such as a semantic cache's, to changes of the data they depend on."""
        return self.engine.bonds

    def request(
        self, timeout: Duration | None = None, *, after: After = ()
    ) -> AbstractAsyncContextManager[scope.Request]:
        """Open a request scope: live values are computed once in it, and every read shares its deadline.

        ``after`` are acknowledgements that the caller holds (or their tickets). Only values from after these changes
        are served in this scope, even if the store has lost the changes unnoticed. Raises :class:`BadInput` for
        anything else; entering the scope raises it for a ticket that this store has not signed.
        """
        timeout_s, acks, texts = scope_of(timeout, after)
        opened = scope.Scope(timeout_s, acks)
        return self.engine.tickets.carried_in(opened, texts) if texts else opened

    async def publish(self, *events: CloudEvent) -> Ack:
        """Raise the tags of events; returns once that is durable."""
        return await self.engine.ingest.publish(events)

    async def touch(self, *tags: str) -> Ack:
        """Raise tags after your own commit; returns once that is durable.

        Raises :class:`BadInput` for a tag whose family no task, source or ``open=`` of this app declares.
        """
        return await self.engine.ingest.touch(tags)

    async def drain(self, source: str = "") -> Ack | None:
        """Apply the outbox of every source, or of one, to its end.

        Changes from before this call are acknowledged when it returns. Name the source of a change, so that it does not
        wait for another database that hangs or is down. Raises :class:`SourceError` if a source cannot be read, or if
        there is none of that name.
        """
        ingest = self.engine.ingest
        return await ingest.drain(ingest.named(source) if source else None)

    async def acknowledgement(self, position: int, source: str = "") -> Ack:
        """The acknowledgement of one event of an outbox; raises :class:`NotAcknowledged` while it is not applied."""
        return await self.engine.ingest.acknowledgement(position, source)

    async def materialize(
        self, task: Stored, *, keys: Sequence[Any] | None = None, progress: Progress | None = None, anew: bool = False
    ) -> Run:
        """Run the batch lane for a task and the tasks promoted with it; sources are polled meanwhile.

        An interrupted run is continued, unless its code has changed. A model that was never promoted is promoted
        before the tasks that read it; what is returned reports on all of them.

        Args:
            task: The task.
            keys: The keys to compute; by default those that the task lists.
            progress: Called with the task's name, the rows done, and the rows in all.
            anew: Whether to begin a new run in any case.
        """
        done: list[Run] = []
        async with beside(self._polling.later()):
            plan = self.engine.bound_task(task)
            async for run in self.engine.batch.materialize(plan, keys=keys, progress=progress, anew=anew):
                self.engine.note(run)
                done.append(run)
        return joined(done)

    async def ready(self) -> Ready:
        """Whether this server has loaded what it needs, and what degrades all servers of the store."""
        return await self.engine.readiness.look()

    async def stamp(self) -> Stamp:
        """The present value of the store's counter."""
        return (await self.engine.store.stamp())[0]

    async def stored(self, task: Artifact[K, V]) -> AsyncIterator[tuple[K, V]]:
        """Every stored value of an artifact that may be served now, key by key; nothing is computed."""
        async for key, value in self.engine.resolver.stored(self.engine.tasks[task.name]):
            yield key, value

    def classify(self) -> list[TaskRow]:
        """The table of tasks with their modes, schedules, contracts and legal lanes."""
        return classify(self.tasks, self.settings.off)

    @contextlib.asynccontextmanager
    async def serving(self, *others: Awaitable[None], warm: Sequence[Step] = ()) -> AsyncIterator[App]:
        """Run a server's background work: polling (so that it does not depend on a worker), watches, and ``others``.

        ``warm`` is called once, after the resources are built and the models decoded. :meth:`ready` waits for it, so
        that the first request does not have to.
        """
        engine = await self._start()
        lag = measure_lag(engine.counters.loop_lag.add)
        watches = (engine.watch.run(), engine.health.run(), engine.reporting.run(), lag)
        added = (attended(start) for start in engine.on.server)
        async with beside(self._polling.run(), engine.warmup.run(warm), *watches, *added, *others):
            yield self

    async def work(self) -> None:
        """Run a worker until cancelled: outboxes, event lane, batch schedule, watch."""
        with contextlib.suppress(StoreError):
            await self.engine.healing.step()
        engine = await self._start()

        async def promoted(run: Run) -> None:
            self.engine.note(run)
            await engine.events.revisit(run.stamp)

        await engine.workers.join()
        others = (engine.workers.run(), engine.events.run(), engine.watch.run(), engine.housekeeping.run())
        async with beside(
            engine.healing.run(),
            self._polling.run(),
            measure_lag(engine.counters.loop_lag.add),
            *others,
            *(attended(start) for start in engine.on.worker),
        ):
            await engine.schedule.run(promoted)

    async def _start(self) -> Engine:
        """Open the engine and poll the sources once.

        An unusable store or journal ends the start; an outage does not, and neither does a database that hangs.
        """
        engine = self.engine
        with contextlib.suppress(StoreError):
            await engine.recovery.check_journal()
        with contextlib.suppress(StoreUnreachable):
            await engine.store.stamp()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._polling.once(), _FIRST_POLL_S)
            await asyncio.wait_for(warn_of_untold(engine.binder.sources), _FIRST_POLL_S)
        return engine

    def _is_behind(self, source: str) -> bool:
        return self.engine.resolver.since_outage.is_behind(source)

    async def _distrust(self, source: Log | Topic) -> None:
        await self.engine.ingest.distrust(source)

    async def _poll(self, only: Log | Topic | None, *, beats: bool) -> bool:
        ack = await self.engine.ingest.drain(only, beats=beats)
        # A captured table without whole triggers makes each poll raise its families. Such polls find no news.
        return ack is not None and not self.engine.counters.untold.get(only.name if only else "")

    async def close(self) -> None:
        """Close the store, the sources, the plugins, and the resources that have a ``close``."""
        for resource in self.settings.resources.values():
            if callable(getattr(resource, "close", None)):
                resource.close()
        if self.settings.batch.executor is not None:
            await self.settings.batch.executor.close()
        if self._opening.engine is not None:
            await self._opening.engine.close()
