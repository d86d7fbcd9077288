"""How prompts with a declared prefix use their provider's cache: planned from the ledger's requests, and adopted."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from parbake.errors import BadInput, MissingDependency
from parbake.serving.bound import BoundTask
from parbake_llm.caching.pricing import PLANNED_TTLS
from parbake_llm.caching.strategy_names import BLOCK
from parbake_llm.prefix import is_prefix
from parbake_planner.adopted import AdoptedPlan
from parbake_planner.ledger.costs import CostBook
from parbake_planner.ledger.ledger_writer import LedgerWriter
from parbake_planner.ledger.rows import PromptRequest
from parbake_planner.prices import Rate

if TYPE_CHECKING:
    from parbake_llm.caching.asked import PromptTrace
    from parbake_llm.caching.decision import PromptPlan
    from parbake_llm.writing.placement import CacheRules

DAYS = 28


async def plan_prefix(
    bound: BoundTask,
    generator: str,
    book: CostBook,
    ledger: LedgerWriter | None,
    now: float,
    *,
    rules: CacheRules | None,
) -> PromptPlan:
    """Plan a prefix from the requests of the last weeks, without adopting the plan.

    Args:
        bound: The prefix.
        generator: The generator that the requests went to.
        book: Has the generator's prices.
        ledger: Has the requests.
        now: Epoch seconds.
        rules: How the generator's provider caches, if that is known; it may offer no hour.

    Raises:
        BadInput: There is no ledger, no request yet, no price for cached tokens, or nothing to plan.
    """
    _must_be_prefix(bound)
    _must_be_plannable(generator, rules)
    if ledger is None:
        raise BadInput(
            f"{bound.name}: planning needs a ledger, where requests are kept: "
            "App(plugins=[parbake_planner.Ledger(path)])",
            field="ledger",
        )
    rate = _rate(generator, book, now)
    rows = await asyncio.to_thread(ledger.prompts, bound.name, generator, days=DAYS)
    return await asyncio.to_thread(_planned, rows, rate, rules)


def prefix_adoption(bound: BoundTask, plan: PromptPlan, now: float) -> AdoptedPlan:
    """Turn a plan into the one that a prefix follows from ``now`` on.

    Raises :class:`BadInput` if the task is not a prefix, or there were too few requests to compare anything.
    """
    _must_be_prefix(bound)
    if plan.is_blind:
        from parbake_llm.caching.decision import FEWEST_GROUPS

        raise BadInput(
            f"{bound.name}: {plan.requests} requests in {plan.groups} groups are too few to adopt a plan; "
            f"wait for {FEWEST_GROUPS} groups, which are conversations or families of equal prompts",
            field="adopt",
        )
    adopted, none, base = plan.used[plan.adopted], plan.used["no caching"], plan.used[plan.base]
    evidence = {
        "requests": float(plan.requests),
        "usd": adopted.usd,
        "without_caching_usd": none.usd,
        "without_plan_usd": base.usd,
        "saving": adopted.saving,
        "read_share": adopted.read,
        "break_even": plan.prices.break_even(hour=False),
    }
    saved = 1.0 - adopted.usd / base.usd if base.usd else 0.0
    found = f"saves {saved:.1%} against {plan.base}" if adopted is not base else "nothing is surely cheaper"
    reason = f"{found} in a replay of {plan.requests:,} requests"
    return AdoptedPlan(plan.adopted, now, reason, dataclasses.asdict(plan.prices), evidence)


def _rate(generator: str, book: CostBook, now: float) -> Rate:
    offer = book.generators.get(generator)
    if offer is None:
        raise BadInput(f"the cost book has no generator {generator!r}", field="generators")
    today = dt.datetime.fromtimestamp(now, dt.UTC).date()
    return book.rate(offer.provider, offer.model, on=today, context=offer.context)


def _must_be_prefix(bound: BoundTask) -> None:
    if not is_prefix(bound.task):
        raise BadInput(f"{bound.name} is not a prefix of prompts", field="task")


def _must_be_plannable(generator: str, rules: CacheRules | None) -> None:
    """Raise :class:`BadInput` for a provider that no plan could tell anything, or whose times to live are others."""
    if rules is None:
        return
    if rules.mechanism != "breakpoints":
        raise BadInput(
            f"{generator} takes no breakpoints ({rules.mechanism}), so there is nothing to plan", field="generator"
        )
    if not set(rules.ttls) <= PLANNED_TTLS:
        raise BadInput(
            f"{generator} holds prefixes for {', '.join(rules.ttls)}; plans are made for 5m and 1h only",
            field="generator",
        )


def _planned(rows: Sequence[PromptRequest], rate: Rate, rules: CacheRules | None) -> PromptPlan:
    try:
        from parbake_llm.caching.decision import make_prompt_plan
        from parbake_llm.caching.pricing import cache_prices
    except ImportError as missing:
        raise MissingDependency.of("planning", "plan", field="numpy") from missing
    prices = cache_prices(rate, minimum=rules.minimum if rules else 0)
    if rules is not None and "1h" not in rules.ttls:
        prices = dataclasses.replace(prices, write_hour=None)
    elif rules is not None and prices.write_hour is None:
        raise BadInput(
            f"{rate.provider} {rate.model}: servers write prefixes for an hour, and the cost book has no price for "
            "that; add cache_write_hour to the rate",
            field="cache_write_hour",
        )
    return make_prompt_plan(_trace(rows), prices, shared=[_shared(row) for row in rows])


def _trace(rows: Sequence[PromptRequest]) -> PromptTrace:
    """The requests as blocks: those of the prefix are everybody's, those behind it are the conversation's."""
    from parbake_llm.caching.asked import TraceRow, traced

    return traced([TraceRow(row.ts, row.tokens, ids=_ids(row), session=row.session.hex()) for row in rows], size=BLOCK)


def _ids(row: PromptRequest) -> tuple[object, ...]:
    shared, stable = _shared(row), min(row.stable_tokens, row.tokens) // BLOCK
    own = row.session.hex() or f"{row.ts}"
    return tuple((row.digest, at) if at < shared else (row.digest, own, at) for at in range(stable))


def _shared(row: PromptRequest) -> int:
    """How many blocks everybody shares."""
    return min(row.prefix_tokens, row.stable_tokens, row.tokens) // BLOCK
