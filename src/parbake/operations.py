"""The methods for an app's operators: runs, plans, costs, quarantine, parked events."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from parbake.declare.task_table import TaskRow, classify
from parbake.declare.tasks import Stored
from parbake.engine import Opening
from parbake.errors import ParbakeError
from parbake.fence.control import Quarantine
from parbake.fence.record import Stamp
from parbake.lanes.batch.adopted import AdoptedPlan
from parbake.lanes.batch.fingerprint import is_of_other_code
from parbake.lanes.batch.lane import Run
from parbake.lanes.batch.runs import State
from parbake.lanes.event.parking import Retried
from parbake.lanes.event.polling import Polling
from parbake.lanes.worker.freshness import report
from parbake.ledger.costs import NOBODY, Cost, CostBook, Owned, costs
from parbake.ports.alerts import Alert
from parbake.ports.event_log import Ack, Parked, Raised
from parbake.ports.executors import Executor
from parbake.ports.hooks import Progress
from parbake.ports.models import Generator
from parbake.ports.prompts import Tool
from parbake.process.loops import beside

if TYPE_CHECKING:
    from parbake.ledger.caching_plans import CachingPlans
    from parbake.ledger.prompt_report import PromptReport
    from parbake.ledger.reversals import Reversals
    from parbake.planner.breakeven import Prices
    from parbake.planner.caching.decision import PromptPlan
    from parbake.planner.detectors import Proposal
    from parbake.planner.plan import Decision
    from parbake.prompt.watching.explaining import Traffic

A_DAY_S = 86_400.0


class Operations:
    """The methods of an app for operators and schedulers. Every app has one as ``app.ops``."""

    def __init__(self, opening: Opening, polling: Polling) -> None:
        """Work on the engine that ``opening`` opens; ``polling`` polls the sources beside long runs."""
        self._opening = opening
        self._polling = polling

    def use_executor(self, executor: Executor) -> None:
        """Compute batch runs with an executor, whatever ``App(batch=...)`` says. Call it before the app is used."""
        current = self._opening.settings
        batch = dataclasses.replace(current.batch, executor=executor)
        self._opening.reconfigure(dataclasses.replace(current, batch=batch))

    async def run_due(self, *, progress: Progress | None = None, only_missing: bool = False) -> list[Run]:
        """Run every batch task that is due, once; sources are polled meanwhile.

        Args:
            progress: Called with the name of a task, the rows done, and the rows in all.
            only_missing: Run only the tasks without any generation.

        Returns:
            The runs that were promoted, in the order of declaration.
        """
        engine = self._opening.opened()
        async with beside(self._polling.later()):
            runs = await engine.schedule.run_due(progress=progress, only_missing=only_missing)
        for run in runs:
            engine.note(run)
        return runs

    async def runs(self, task: Stored) -> State:
        """Return a task's running or interrupted run, if any, and its last runs with their outcomes."""
        engine = self._opening.opened()
        return await engine.batch.runs.state(engine.bound_task(task).ref)

    async def rollback(self, task: Stored) -> int:
        """Withdraw a task's current generation, make the previous one current, and return its number."""
        engine = self._opening.opened()
        chain = engine.batch.chain(engine.tasks[task.name])
        built_with = [bound.ref for bound in chain[1:]]
        generation = await engine.store.rollback(task.ref, self._opening.settings.clock.now(), built_with)
        await engine.recovery.note_withdrawn()
        return generation

    async def generation(self, task: Stored) -> int:
        """Return the number of a task's current generation; 0 if none was promoted."""
        return (await self._opening.opened().store.stamp())[1].pointer(task.ref)

    async def replan(self, task: Stored, prices: Prices, *, hits: float | None = None) -> Decision:
        """Plan a ``refresh=planned()`` task from its own requests, without adopting the plan.

        Args:
            task: The task; its requests are read from the ledger.
            prices: What computing, storing and waiting cost, in US dollars.
            hits: The share of requests, 0 to 1, that must find a fresh result; ``None`` leaves it to the prices.

        Raises:
            BadInput: There is no ledger, or the task has had no request yet.
        """
        engine = self._opening.opened()
        bound = engine.bound_task(task)
        return await engine.adopted.make(bound, prices, hits=hits, listed=await engine.batch.listed(bound))

    async def adopt(self, task: Stored, decision: Decision) -> AdoptedPlan:
        """Follow a plan from the task's next run on, and return it as it is recorded."""
        engine = self._opening.opened()
        return await engine.adopted.adopt(engine.bound_task(task), decision)

    async def adopted(self, task: Stored) -> tuple[AdoptedPlan, ...]:
        """Return the plans that a task has followed, the current one first; empty before the first."""
        engine = self._opening.opened()
        return await engine.adopted.history(engine.bound_task(task))

    async def unadopt(self, task: Stored) -> AdoptedPlan:
        """Make a task follow its previous plan again, and return that plan."""
        engine = self._opening.opened()
        return await engine.adopted.rollback(engine.bound_task(task))

    async def costs(self, book: CostBook | None = None, *, since_s: float = A_DAY_S) -> list[Cost]:
        """Return the usage and the cost of each task in each lane, most expensive first; empty without a ledger.

        Args:
            book: The prices; by default the app's.
            since_s: How far back to look, in seconds.
        """
        ledger, since = self._opening.opened().ledger, self._opening.settings.clock.now() - since_s
        if ledger is None:
            return []
        priced_by = book or self._opening.settings.book
        return await asyncio.to_thread(costs, ledger, priced_by, await self._owners(), since=since)

    async def charges(self, book: CostBook | None = None, *, since_s: float = A_DAY_S) -> list[dict[str, Any]]:
        """Return the costs by the hour, in the columns of FOCUS 1.2 (:mod:`parbake.ledger.focus_export`).

        Args:
            book: The prices; by default the app's.
            since_s: How far back to look, in seconds.
        """
        from parbake.ledger.focus_export import charges

        ledger, since = self._opening.opened().ledger, self._opening.settings.clock.now() - since_s
        if ledger is None:
            return []
        owners, priced_by = await self._owners(), book or self._opening.settings.book
        return await asyncio.to_thread(lambda: list(charges(ledger, priced_by, owners, since=since)))

    async def replan_caching(self, prefix: Stored, generator: str, book: CostBook | None = None) -> PromptPlan:
        """Plan how a prefix uses its provider's cache, from the requests in the ledger; nothing is adopted.

        Args:
            prefix: The prefix's task.
            generator: The name of the generator that the requests went to.
            book: The prices; by default the app's.

        Raises:
            BadInput: There is no ledger, no request yet, or no price for cached tokens.
        """
        from parbake.prompt.watching.places import rules_named

        engine = self._opening.opened()
        try:
            found = await asyncio.to_thread(engine.binder.built, Generator)
        except ParbakeError:  # it can be planned without its key or its model's file
            found = None
        rules = None if found is None else rules_named(found, generator)
        return await self._caching().make(
            engine.bound_task(prefix), generator, book or self._opening.settings.book, rules
        )

    async def adopt_caching(self, prefix: Stored, plan: PromptPlan) -> AdoptedPlan:
        """Follow a plan of a prefix; servers take it over within seconds, and :meth:`unadopt` takes it back."""
        return await self._caching().adopt(self._opening.opened().bound_task(prefix), plan)

    def _caching(self) -> CachingPlans:
        from parbake.ledger.caching_plans import CachingPlans

        engine = self._opening.opened()
        return CachingPlans(engine.adopted, self._opening.settings.clock, engine.ledger)

    async def prompts(
        self, book: CostBook | None = None, *, traffic: Traffic | None = None, tools: Sequence[Tool] | None = None
    ) -> PromptReport:
        """Report on the prefixes of prompts: parts, breakpoints, expected and met cache reads, costs and holdings.

        Args:
            book: The prices; by default the app's.
            traffic: The conversations to predict for; by default eight at once.
            tools: The tools of every prompt; by default those of the last request in this process.
        """
        from parbake.ledger.prompt_report import PromptReports
        from parbake.prompt.watching.explaining import Traffic

        engine, settings = self._opening.opened(), self._opening.settings
        reports = PromptReports(
            engine.resolver,
            engine.tasks,
            engine.meter.watch,
            adopted=engine.adopted,
            generator=partial(engine.binder.built, Generator),
        )
        return await reports.report(
            book or settings.book, now=settings.clock.now(), traffic=traffic or Traffic(), tools=tools
        )

    async def _owners(self) -> dict[str, Owned]:
        tasks, engine = self._opening.settings.tasks, self._opening.opened()
        owners = {task.name: Owned(task.contract.owner if isinstance(task, Stored) else NOBODY) for task in tasks}
        for bound in engine.tasks.values():
            if bound.is_planned:
                strategy = (await engine.adopted.current(bound)).strategy
                owners[bound.name] = Owned(bound.contract.owner, strategy)
        return owners

    async def triggers(
        self,
        *,
        book: CostBook | None = None,
        prices: Mapping[str, Prices] | None = None,
        floor: float = 0.6,
        switching: float = 0.0,
    ) -> list[Proposal]:
        """Return proposals to reverse decisions, after complaints, few hits, costly or harmful batch, or new prices.

        Nothing is changed.

        Args:
            book: The prices of compute and models; by default the app's.
            prices: Today's prices of tasks, by name, to compare with those that their plans were made with.
            floor: The least hit rate, 0 to 1.
            switching: The one-time cost of a change, in US dollars.
        """
        quarantined = await self.quarantined()
        return await self._reversals().proposals(
            quarantined, book=book or self._opening.settings.book, prices=prices or {}, floor=floor, switching=switching
        )

    async def apply(self, proposal: Proposal) -> AdoptedPlan:
        """Apply a proposal: from now on the planned task is computed on request.

        The change is recorded as a plan, and :meth:`unadopt` reverts it.

        Raises:
            BadInput: The proposal names another action, which only a person can take.
        """
        return await self._reversals().apply(proposal)

    async def reverse(self) -> None:
        """Apply the proposals for tasks that are declared with ``reverses=True``."""
        await self._reversals().act(await self.quarantined(), book=self._opening.settings.book)

    def _reversals(self) -> Reversals:
        from parbake.ledger.reversals import Reversals

        engine, is_throttled = self._opening.opened(), self._opening.settings.batch.throttle is not None
        return Reversals(
            engine.tasks,
            engine.adopted,
            self._opening.settings.clock,
            engine.ledger,
            is_throttled=is_throttled,
            notifier=engine.notifier,
        )

    async def alert(self, alert: Alert) -> None:
        """Send an alert to every sink. A sink that fails is logged, and the others still get the alert."""
        await self._opening.opened().notifier.send(alert)

    async def complain(self, task: Stored, reason: str, *, age_s: float | None = None) -> Quarantine:
        """Put a task in quarantine: no process serves a stored value of it until :meth:`clear`.

        Args:
            task: The task whose value was wrong.
            reason: What was wrong, for its owner.
            age_s: The age of the value in seconds, if known.
        """
        engine = self._opening.opened()
        return await engine.quarantines.complain(engine.bound_task(task), reason, age_s=age_s)

    async def clear(self, task: Stored) -> None:
        """End a task's quarantine. Values stored before now stay dead."""
        engine = self._opening.opened()
        await engine.quarantines.clear(engine.bound_task(task))

    async def quarantined(self) -> Mapping[str, Quarantine]:
        """Return the quarantines, by the name of the task."""
        return await self._opening.opened().quarantines.all()

    async def applied(self) -> dict[str, int]:
        """Return the last applied position of each source, by name (of a topic: of each partition).

        An outbox may be pruned up to there.
        """
        return await self._opening.opened().ingest.applied()

    async def parked(self, limit: int = 100) -> list[Parked]:
        """Return at most ``limit`` parked events, which could not be read, by source and position."""
        return await self._opening.opened().parking.look(limit)

    async def retry_parked(self, source: str = "", position: int = 0) -> Retried:
        """Read parked events again with the present code, and raise the tags of those that can be read.

        Args:
            source: The source of the one event to retry; by default all are retried.
            position: The position of that event.

        Raises:
            UnknownResource: The named event is not parked.
        """
        only = (source, position) if source else None
        return await self._opening.opened().parking.retry(self._opening.settings.clock.now(), only)

    async def restart(self, source: str) -> Ack:
        """Read a source (or one partition) from its beginning again, after raising all its families."""
        return await self._opening.opened().ingest.restart(source)

    async def raised_since(self, stamp: Stamp, *, limit: int = 500) -> list[Raised]:
        """Return at most ``limit`` entries of the event log after a stamp, oldest first."""
        return await self._opening.opened().store.log(stamp, limit)

    async def describe(self) -> list[TaskRow]:
        """Return the table of tasks, including whether other code has built a task's current generation."""
        engine = self._opening.opened()
        _, control = await engine.store.stamp()
        others = {bound.name for bound in engine.tasks.values() if is_of_other_code(bound, control)}
        rows = classify(self._opening.settings.tasks, self._opening.settings.off)
        return [replace(row, other_code=row.task in others) for row in rows]

    async def freshness(self) -> list[dict[str, Any]]:
        """Return for each task its SLA, the ages of its stored values, the stale share, and its last and next run."""
        return await report(self._opening.opened())
