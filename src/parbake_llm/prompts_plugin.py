"""The plugin that watches prompts: ``App(plugins=[Prompts()])``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from parbake.app.plugin import Parts, Plugin
from parbake.errors import ParbakeError
from parbake.ports.messages import HttpRequest, JsonResponse, Route, json_response
from parbake.ports.usage import is_generator
from parbake.tasks.task_types import Stored, Task
from parbake_llm.care.prefix_care import PrefixCare
from parbake_llm.care.prompt_report import PromptReport, report_prompts
from parbake_llm.care.warm_ups import WarmUps
from parbake_llm.ports.generator import Generator
from parbake_llm.ports.prompts import Tool
from parbake_llm.prefix import PREFIXES, is_prefix
from parbake_llm.watching.meter import TokenMeter, metered_generator
from parbake_planner.adopted import AdoptedPlan, Adoptions
from parbake_planner.books import LEDGER
from parbake_planner.ledger.costs import EXAMPLE, CostBook

if TYPE_CHECKING:
    from parbake_llm.caching.decision import PromptPlan
    from parbake_llm.watching.explaining import Traffic
    from parbake_planner.ledger.ledger_writer import LedgerWriter


class PromptDesk:
    """The prompts of an app: ``app.plugins[Prompts]``.

    Attributes:
        meter: Watches the requests that tasks send to generators, and books their tokens.
        care: Looks after the prefixes in servers.
        adopted_plans: The plans that prefixes follow, as they are kept in the store.
    """

    def __init__(self, parts: Parts) -> None:
        """Watch the app's generators; tokens are booked if an earlier plugin offers a ledger."""
        self._parts = parts
        books = parts.found(LEDGER)
        self._ledger: LedgerWriter | None = books.file if books else None
        self._book = books.book if books else EXAMPLE
        self.meter = TokenMeter(parts.clock, self._ledger)
        if books is not None:
            books.counts_tokens = True
        self.adopted_plans = Adoptions(parts.store, parts.clock, self._ledger)
        prefixes = [bound for bound in parts.tasks.values() if is_prefix(bound.task)]
        self.care = PrefixCare(
            self.meter.watch,
            prefixes,
            parts.clock,
            adopted=self.adopted_plans,
            warm_ups=WarmUps(self.meter, prefixes, parts),
            send=parts.core.send,
            wasted=self._ledger.cache_wasted if self._ledger else None,
        )
        parts.wrap(object, self._metered)
        parts.on.server.append(self.care.run)

    def _metered(self, found: Any, task: Task, lane: str) -> Any:
        """Meter a resource if it is a generator, whatever the type by which tasks ask for it."""
        return metered_generator(found, task.name, lane, self.meter) if is_generator(found) else found

    async def report(
        self, book: CostBook | None = None, *, traffic: Traffic | None = None, tools: Sequence[Tool] | None = None
    ) -> PromptReport:
        """Report on the prefixes of prompts: parts, breakpoints, expected and met cache reads, costs and holdings.

        Args:
            book: The prices; by default those of the ledger.
            traffic: The conversations to predict for; by default eight at once.
            tools: The tools of every prompt; by default those of the last request in this process.
        """
        from parbake_llm.watching.explaining import Traffic

        return await report_prompts(
            self._parts, self.meter.watch, self.adopted_plans, book or self._book, traffic=traffic or Traffic(),
            tools=tools,
        )  # fmt: skip

    async def replan(self, prefix: Stored, generator: str, book: CostBook | None = None) -> PromptPlan:
        """Plan how a prefix uses its provider's cache, from the requests in the ledger; nothing is adopted.

        Args:
            prefix: The prefix's task.
            generator: The name of the generator that the requests went to.
            book: The prices; by default those of the ledger.

        Raises:
            BadInput: There is no ledger, no request yet, or no price for cached tokens.
        """
        from parbake_llm.caching.caching_plans import plan_prefix
        from parbake_llm.watching.places import rules_named

        try:
            found = await asyncio.to_thread(self._parts.resource, Generator)
        except ParbakeError:  # it can be planned without its key or its model's file
            found = None
        rules = None if found is None else rules_named(found, generator)
        bound, now = self._parts.core.bound(prefix), self._parts.clock.now()
        return await plan_prefix(bound, generator, book or self._book, self._ledger, now, rules=rules)

    async def adopt(self, prefix: Stored, plan: PromptPlan) -> AdoptedPlan:
        """Follow a plan of a prefix; servers take it over within seconds, and :meth:`unadopt` takes it back."""
        from parbake_llm.caching.caching_plans import prefix_adoption

        bound = self._parts.core.bound(prefix)
        return await self.adopted_plans.follow(bound, prefix_adoption(bound, plan, self._parts.clock.now()))

    async def adopted(self, prefix: Stored) -> tuple[AdoptedPlan, ...]:
        """Return the plans that a prefix has followed, the current one first; empty before the first."""
        return await self.adopted_plans.history(self._parts.core.bound(prefix))

    async def unadopt(self, prefix: Stored) -> AdoptedPlan:
        """Make a prefix follow its previous plan again, and return that plan."""
        return await self.adopted_plans.rollback(self._parts.core.bound(prefix))


class Prompts(Plugin[PromptDesk]):
    """Watches the prompts that tasks send: predicts what is read from providers' caches, and looks after prefixes.

    Tokens are booked if a :class:`parbake_planner.Ledger` stands before it.
    """

    def open(self, parts: Parts) -> PromptDesk:
        """Watch the app's generators; see :class:`parbake.Plugin`."""
        desk = PromptDesk(parts)
        parts.offer(PREFIXES, desk)
        return desk

    def routes(self, app: Any) -> Sequence[Route]:
        """The route about prefixes."""

        async def prompts(_: HttpRequest) -> JsonResponse[PromptReport]:
            """Prompt prefixes: parts, breakpoints, expected and met cache reads, cost, and what providers may hold."""
            return json_response(await app.plugins[Prompts].report())

        return [Route("GET", "/v1/prompts", prompts, "operate")]
