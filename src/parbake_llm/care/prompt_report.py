"""The report on prompt prefixes: their parts, what providers should and did read of them, and what that costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec

from parbake.app.plugin import Parts
from parbake.errors import ProviderError
from parbake.serving.bound import BoundTask
from parbake_llm.care.prefix_care import ruled
from parbake_llm.ports.generator import Generator
from parbake_llm.ports.prompts import Block, Tool
from parbake_llm.prefix import is_prefix
from parbake_llm.watching.explaining import TYPICAL, Expected, PrefixExplanation, Traffic, explain, uncached
from parbake_llm.watching.holdings import Holding
from parbake_llm.watching.places import members_of, place_of, rules_of
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


class _Prefix(NamedTuple):
    """A stored prefix, and the plan that it follows; empty without one."""

    task: BoundTask
    key: str
    blocks: tuple[Block, ...]
    follows: str


class _Priced(NamedTuple):
    """The prices of a generator."""

    book: CostBook
    generator: Generator | None
    now: float

    def usd(self, expected: Expected) -> float | None:
        """What 1,000 requests cost."""
        if self.generator is None:
            return None
        found = price(self.book, self.generator.name, expected.usage, at=self.now)
        return None if found is None else found / expected.requests * 1000


class PromptReports:
    """Writes reports on the prefixes of an app."""

    def __init__(
        self,
        parts: Parts,
        watch: PromptWatch,
        adopted: Adoptions,
    ) -> None:
        """Keep what is reported on.

        Args:
            parts: The parts of the app, with its tasks and its generator.
            watch: What requests have met.
            adopted: The plans that prefixes follow.
        """
        self._parts, self._watch, self._adopted = parts, watch, adopted

    async def report(
        self, book: CostBook, *, now: float, traffic: Traffic = TYPICAL, tools: Sequence[Tool] | None = None
    ) -> PromptReport:
        """Report on every stored prefix.

        Args:
            book: The prices.
            now: Epoch seconds.
            traffic: The conversations to predict for.
            tools: The tools of every prompt; by default those of the last request in this process.
        """
        found, missing = await asyncio.to_thread(self._generators)
        rows: list[PromptRow] = []
        async for prefix in self._stored():
            sent = self._watch.tools(prefix.task.name, kind_of(prefix.blocks)) if tools is None else tools
            for generator in found:
                rules = ruled(NO_CACHE if generator is None else rules_of(generator), prefix.follows)
                made = explain(prefix.blocks, rules, tools=sent, traffic=traffic)
                rows.append(self._row(prefix, generator, made, _Priced(book, generator, now)))
        return PromptReport(tuple(rows), tuple(self._watch.held(now=now)), missing)

    def _row(self, prefix: _Prefix, generator: Generator | None, made: PrefixExplanation, priced: _Priced) -> PromptRow:
        place = CachePlace("", "") if generator is None else place_of(generator)
        met = self._watch.stats().get(PrefixPlace(prefix.task.name, kind_of(prefix.blocks), place))
        return PromptRow(
            prefix.task.name, prefix.key, prefix.task.contract.owner, place.provider, place.model, place.generator,
            made, priced.usd(made.expected), priced.usd(made.naive), priced.usd(uncached(made.expected)), met,
            prefix.follows,
        )  # fmt: skip

    async def _stored(self) -> AsyncIterator[_Prefix]:
        for bound in self._parts.tasks.values():
            if is_prefix(bound.task):
                history = await self._adopted.history(bound)
                follows = history[0].strategy if history else ""
                async for key, blocks in self._parts.core.stored(bound):
                    yield _Prefix(bound, str(key), blocks, follows)

    def _generators(self) -> tuple[Sequence[Generator | None], str]:
        """The app's generator, or the members of its chain; without any, ``None`` and the reason."""
        try:
            found = self._parts.resource(Generator)
        except ProviderError as error:
            return [None], str(error)
        if found is None:
            return [None], "the app has no generator: App(resources={Generator: ...})"
        return members_of(found), ""
