"""The report on prompt prefixes: their parts, what providers should and did read of them, and what that costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from parbake.app.plugin import Parts
from parbake.errors import ProviderError
from parbake_llm.care.prefix_care import ruled
from parbake_llm.ports.generator import Generator
from parbake_llm.ports.prompts import Tool
from parbake_llm.prefix import is_prefix
from parbake_llm.watching.explaining import TYPICAL, Expected, PrefixExplanation, Traffic, explain, uncached
from parbake_llm.watching.holdings import Holding
from parbake_llm.watching.places import cache_of, members_of
from parbake_llm.watching.prompt_watch import PrefixPlace, PrefixStats, PromptWatch, kind_of
from parbake_llm.writing.placement import NO_CACHE, CachePlace
from parbake_planner.adopted import Adoptions
from parbake_planner.ledger.costs import CostBook, price


class PromptRow(msgspec.Struct, frozen=True):
    """One prefix at one provider.

    Attributes:
        prefix: The task.
        key: Which of its prefixes, as text.
        owner: Who is alerted.
        provider: The provider; empty if the app has no generator.
        model: The model.
        generator: The name of the generator.
        explanation: The parts, the findings and the expected tokens.
        usd: What 1,000 requests like those of the traffic should cost, in US dollars; ``None`` without a price.
        naive_usd: The same in the naive order.
        uncached_usd: The same without any cache.
        met: What requests of this process have met; ``None`` before the first.
        follows: The adopted plan; empty without one. Under ``planned`` and ``warm all``, breakpoints follow from the
            requests, and the explanation shows those that are set without a plan.
    """

    prefix: str
    key: str
    owner: str
    provider: str
    model: str
    generator: str
    explanation: PrefixExplanation
    usd: float | None
    naive_usd: float | None
    uncached_usd: float | None
    met: PrefixStats | None = None
    follows: str = ""


class PromptReport(msgspec.Struct, frozen=True):
    """All prefixes, what providers may hold of them, and why a generator is missing, if one is."""

    prompts: tuple[PromptRow, ...]
    held: tuple[Holding, ...]
    missing: str = ""


async def report_prompts(
    parts: Parts,
    watch: PromptWatch,
    adopted: Adoptions,
    book: CostBook,
    *,
    traffic: Traffic = TYPICAL,
    tools: Sequence[Tool] | None = None,
) -> PromptReport:
    """Report on every stored prefix.

    Args:
        parts: The parts of the app, with its tasks and its generator.
        watch: What requests have met.
        adopted: The plans that prefixes follow.
        book: The prices.
        traffic: The conversations to predict for.
        tools: The tools of every prompt; by default those of the last request in this process.
    """
    found, missing = await asyncio.to_thread(_generators, parts)
    rows, now = list[PromptRow](), parts.clock.now()
    for bound in parts.tasks.values():
        if not is_prefix(bound.task):
            continue
        history = await adopted.history(bound)
        follows = history[0].strategy if history else ""
        async for key, blocks in parts.core.stored(bound):
            kind = kind_of(blocks)
            sent = watch.tools(bound.name, kind) if tools is None else tools
            for generator in found:
                place, rules = (CachePlace("", ""), NO_CACHE) if generator is None else cache_of(generator)
                made = explain(blocks, ruled(rules, follows), tools=sent, traffic=traffic)
                in_order, naive, plain = (
                    _usd(book, place, one, now) for one in (made.expected, made.naive, uncached(made.expected))
                )
                met = watch.stats().get(PrefixPlace(bound.name, kind, place))
                rows.append(PromptRow(
                    bound.name, str(key), bound.contract.owner, place.provider, place.model, place.generator, made,
                    in_order, naive, plain, met, follows,
                ))  # fmt: skip
    return PromptReport(tuple(rows), tuple(watch.held(now=now)), missing)


def _usd(book: CostBook, place: CachePlace, expected: Expected, now: float) -> float | None:
    """What 1,000 requests cost; ``None`` without a price."""
    found = price(book, place.generator, expected.usage, at=now)
    return None if found is None else found / expected.requests * 1000


def _generators(parts: Parts) -> tuple[Sequence[Generator | None], str]:
    """The app's generator, or the members of its chain; without any, ``None`` and the reason."""
    try:
        found = parts.resource(Generator)
    except ProviderError as error:
        return [None], str(error)
    if found is None:
        return [None], "the app has no generator: App(resources={Generator: ...})"
    return members_of(found), ""
