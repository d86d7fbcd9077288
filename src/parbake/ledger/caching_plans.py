"""How prompts with a declared prefix use their provider's cache: planned from the ledger's requests, and adopted."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from parbake.errors import BadInput, MissingDependency
from parbake.lanes.batch.adopted import AdoptedPlan, Adoptions
from parbake.lanes.worker.prefix_care import BLOCK
from parbake.ledger.costs import CostBook
from parbake.ledger.rows import PromptRequest
from parbake.ledger.sqlite_ledger import Ledger
from parbake.planner.prices import Book, Rate
from parbake.ports.clock import Clock
from parbake.serving.bound import BoundTask

if TYPE_CHECKING:
    from parbake.planner.caching.asked import PromptTrace
    from parbake.planner.caching.decision import PromptPlan

DAYS = 28


class CachingPlans:
    """Plans the prefixes of an app."""

    def __init__(self, adoptions: Adoptions, clock: Clock, ledger: Ledger | None) -> None:
        """Keep plans in ``adoptions``; without a ``ledger`` nothing can be planned."""
        self._adoptions, self._clock, self._ledger = adoptions, clock, ledger

    async def make(self, bound: BoundTask, generator: str, book: CostBook, *, minimum: int = 0) -> PromptPlan:
        """Plan a prefix from the requests of the last weeks, without adopting the plan.

        Args:
            bound: The prefix.
            generator: The generator that the requests went to.
            book: Has the generator's prices.
            minimum: The least number of tokens of a prefix that the provider caches.

        Raises:
            BadInput: There is no ledger, no request yet, or no price for cached tokens.
        """
        if not getattr(bound.task, "is_prefix", False):
            raise BadInput(f"{bound.name} is not a prefix of prompts", field="task")
        if self._ledger is None:
            raise BadInput(f"{bound.name}: planning needs App(ledger=...), where requests are kept", field="ledger")
        rate = self._rate(generator, book)
        rows = await asyncio.to_thread(self._ledger.prompts, bound.name, generator, days=DAYS)
        return await asyncio.to_thread(_planned, rows, rate, minimum)

    async def adopt(self, bound: BoundTask, plan: PromptPlan) -> AdoptedPlan:
        """Follow a plan from now on; servers take it over within seconds."""
        adopted, none = plan.used[plan.adopted], plan.used["no caching"]
        evidence = {
            "requests": float(plan.requests),
            "usd": adopted.cost_usd,
            "without_caching_usd": none.cost_usd,
            "saving": adopted.saving,
            "read_share": adopted.read,
            "break_even": plan.prices.break_even(hour=False),
        }
        reason = f"saves {adopted.saving:.1%} of the input's cost in a replay of {plan.requests:,} requests"
        return await self._adoptions.follow(
            bound, AdoptedPlan(plan.adopted, self._clock.now(), reason, dataclasses.asdict(plan.prices), evidence)
        )

    def _rate(self, generator: str, book: CostBook) -> Rate:
        offer = book.generators.get(generator)
        if offer is None:
            raise BadInput(f"the cost book has no generator {generator!r}", field="generators")
        today = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).date()
        prices = Book(as_of=book.as_of, rates=book.rates)
        return prices.rate(offer.provider, offer.model, on=today, context=offer.context)


def _planned(rows: Sequence[PromptRequest], rate: Rate, minimum: int) -> PromptPlan:
    try:
        from parbake.planner.caching.decision import make_prompt_plan
        from parbake.planner.caching.pricing import cache_prices
    except ImportError as missing:
        raise MissingDependency.of("planning", "plan", field="numpy") from missing
    return make_prompt_plan(_trace(rows), cache_prices(rate, minimum=minimum))


def _trace(rows: Sequence[PromptRequest]) -> PromptTrace:
    """The requests as blocks: those of the prefix are everybody's, those behind it are the conversation's."""
    from parbake.planner.caching.asked import TraceRow, traced

    return traced([TraceRow(row.ts, row.tokens, ids=_ids(row), session=row.session.hex()) for row in rows], size=BLOCK)


def _ids(row: PromptRequest) -> tuple[object, ...]:
    shared, stable = row.prefix_tokens // BLOCK, min(row.stable_tokens, row.tokens) // BLOCK
    own = row.session.hex() or f"{row.ts}"
    return tuple((row.digest, at) if at < shared else (row.digest, own, at) for at in range(stable))
