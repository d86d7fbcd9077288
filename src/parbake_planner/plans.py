"""The plugin that plans what is computed ahead: ``App(plugins=[Ledger(...), Planner()])``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from parbake.app.plugin import Parts, Plugin
from parbake.ports.messages import HttpRequest, JsonResponse, Route, json_response
from parbake.process import actions
from parbake.process.loops import forever
from parbake.tasks.task_types import Stored
from parbake_planner.adopted import AdoptedPlan, Adoptions
from parbake_planner.books import LEDGER
from parbake_planner.detectors import Proposal
from parbake_planner.ledger.costs import EXAMPLE, CostBook
from parbake_planner.planned import PLANS

if TYPE_CHECKING:
    from parbake_planner.breakeven import Prices
    from parbake_planner.ledger.ledger_writer import LedgerWriter
    from parbake_planner.ledger.reversals import Reversals
    from parbake_planner.plan import Decision

_REVERSE_EVERY_S = 3600.0
_log = logging.getLogger("parbake.planner")


class Plans:
    """The plans of an app's ``refresh=planned()`` tasks: ``app.plugins[Planner]``.

    Attributes:
        adopted_plans: The plans that tasks follow, as they are kept in the store.
    """

    def __init__(self, parts: Parts) -> None:
        """Plan from the ledger, if an earlier plugin offers one."""
        self._parts = parts
        books = parts.found(LEDGER)
        self._ledger: LedgerWriter | None = books.file if books else None
        self._book = books.book if books else EXAMPLE
        self.adopted_plans = Adoptions(parts.store, parts.clock, self._ledger)
        parts.on.worker.append(self._reverse_forever)

    async def replan(self, task: Stored, prices: Prices, *, hits: float | None = None) -> Decision:
        """Plan a ``refresh=planned()`` task from its own requests, without adopting the plan.

        Args:
            task: The task; its requests are read from the ledger.
            prices: What computing, storing and waiting cost, in US dollars.
            hits: The share of requests, 0 to 1, that must find a fresh result; ``None`` leaves it to the prices.

        Raises:
            BadInput: There is no ledger, or the task has had no request yet.
        """
        bound = self._parts.core.bound(task)
        listed = await self._parts.core.listed(bound)
        return await self.adopted_plans.make(bound, prices, hits=hits, listed=listed)

    async def adopt(self, task: Stored, decision: Decision) -> AdoptedPlan:
        """Follow a plan from the task's next run on, and return it as it is recorded."""
        before = await self.adopted(task)
        plan = await self.adopted_plans.adopt(self._parts.core.bound(task), decision)
        self._note("adopt", task.name, before, plan)
        return plan

    async def adopted(self, task: Stored) -> tuple[AdoptedPlan, ...]:
        """Return the plans that a task has followed, the current one first; empty before the first."""
        return await self.adopted_plans.history(self._parts.core.bound(task))

    async def unadopt(self, task: Stored) -> AdoptedPlan:
        """Make a task follow its previous plan again, and return that plan."""
        before = await self.adopted(task)
        plan = await self.adopted_plans.rollback(self._parts.core.bound(task))
        self._note("unadopt", task.name, before, plan)
        return plan

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
            book: The prices of compute and models; by default those of the ledger.
            prices: Today's prices of tasks, by name, to compare with those that their plans were made with.
            floor: The least hit rate, 0 to 1.
            switching: The one-time cost of a change, in US dollars.
        """
        quarantined = await self._parts.core.quarantined()
        return await self._reversals().proposals(
            quarantined, book=book or self._book, prices=prices or {}, floor=floor, switching=switching
        )

    async def apply(self, proposal: Proposal) -> AdoptedPlan:
        """Apply a proposal: from now on the planned task is computed on request.

        The change is recorded as a plan, and :meth:`unadopt` reverts it.

        Raises:
            BadInput: The proposal names another action, which only a person can take.
        """
        bound = self._parts.tasks.get(proposal.task)
        before = await self.adopted_plans.history(bound) if bound else ()
        plan = await self._reversals().apply(proposal)
        self._note(proposal.trigger, proposal.task, before, plan)
        return plan

    async def reverse(self) -> None:
        """Apply the proposals for tasks that are declared with ``reverses=True``."""
        await self._reversals().act(await self._parts.core.quarantined(), book=self._book)

    async def _reverse_forever(self) -> None:
        """Apply proposals every hour, beginning after the first hour."""
        await asyncio.sleep(_REVERSE_EVERY_S)
        await forever(self.reverse, _REVERSE_EVERY_S, what="the look at the triggers", log=_log)

    def _note(self, what: str, task: str, before: Sequence[AdoptedPlan], after: AdoptedPlan) -> None:
        was = before[0].strategy if before else ""
        actions.note(what, task, before=was, after=after.strategy, now=self._parts.clock.now)

    def _reversals(self) -> Reversals:
        from parbake_planner.ledger.reversals import Reversals

        return Reversals(
            self._parts.tasks,
            self.adopted_plans,
            self._parts.clock,
            self._ledger,
            is_throttled=self._parts.core.is_throttled,
            send=self._parts.core.send,
        )


class ProposalTable(msgspec.Struct):
    """Proposals to reverse a decision."""

    proposals: list[Proposal]


class Planner(Plugin[Plans]):
    """Plans ``refresh=planned()`` tasks from their own requests, and proposes to reverse decisions."""

    def open(self, parts: Parts) -> Plans:
        """Offer the plans; see :class:`parbake.Plugin`."""
        plans = Plans(parts)
        parts.offer(PLANS, plans.adopted_plans)
        return plans

    def routes(self, app: Any) -> Sequence[Route]:
        """The route about triggers."""

        async def triggers(_: HttpRequest) -> JsonResponse[ProposalTable]:
            """Proposals to reverse a decision, with their evidence; nothing is changed."""
            return json_response(ProposalTable(list(await app.plugins[Planner].triggers())))

        return [Route("GET", "/v1/triggers", triggers, "operate")]
