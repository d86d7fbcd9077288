"""Looks after the prefixes of prompts: alerts to owners, unread writes, adopted plans, and prefixes computed ahead."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from parbake.declare.tasks import Artifact
from parbake.errors import ParbakeError
from parbake.lanes.batch.adopted import AdoptedPlan, Adoptions
from parbake.planner.caching.strategy_names import HOUR, LAST, MINUTES, NONE, PLANNED, WARM
from parbake.ports.alerts import Alert
from parbake.ports.clock import Clock
from parbake.ports.models import Generator, Usage
from parbake.ports.prompts import Block, Prompt
from parbake.process.loops import forever
from parbake.prompt.watching.places import members_of
from parbake.prompt.watching.prompt_watch import Drift, Marking, PromptWatch, kind_of
from parbake.prompt.writing.placement import placed
from parbake.serving.bound import BoundTask
from parbake.serving.read import Resolver
from parbake.values.redaction import one_line

EVERY_S = 5.0
BLOCK = 128
"""Tokens of a block, by which a plan tells prefixes apart."""
RULES: dict[str, dict[str, Any]] = {
    NONE: {"most": 0},
    LAST: {"most": 1, "ttls": ("5m",)},
    MINUTES: {"ttls": ("5m",)},
    WARM: {"ttls": ("5m",)},
    HOUR: {"ttls": ("1h",)},
}
"""How a provider's rules are used under a simple rule."""
Wasted = Callable[[str, str, Usage], None]
"""Called with the prefix, the generator's name, and the tokens that were written and not read."""
_log = logging.getLogger("parbake.prompt")


class Warming(Protocol):
    """A generator that can compute a prefix before anybody asks."""

    async def warm(self, prompt: Prompt) -> None:
        """Compute the blocks of a prompt ahead."""
        ...


class PrefixCare:
    """Looks every few seconds at what the requests of this process have met."""

    def __init__(
        self,
        watch: PromptWatch,
        resolver: Resolver,
        tasks: Mapping[str, BoundTask],
        clock: Clock,
        *,
        adopted: Adoptions,
        resources: Mapping[Any, Any],
        send: Callable[[Alert], Awaitable[object]],
        wasted: Wasted | None = None,
    ) -> None:
        """Keep what is looked at.

        Args:
            watch: The watch over the requests.
            resolver: Reads stored prefixes.
            tasks: The stored tasks by name.
            clock: The source of wall time.
            adopted: The plans that prefixes follow.
            resources: The app's resources, with the generator.
            send: Sends an alert.
            wasted: Books what was written and not read, if there is a ledger.
        """
        self._watch, self._resolver, self._clock = watch, resolver, clock
        self._prefixes = {n: p for n, p in tasks.items() if isinstance(p.task, Artifact) and p.task.is_prefix}
        self._adopted, self._resources = adopted, resources
        self._send, self._wasted = send, wasted
        self._followed: dict[str, AdoptedPlan | None] = {}
        self._warmed: set[tuple[str, tuple[Block, ...]]] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        await forever(self.look, EVERY_S, what="the look at prompt prefixes", log=_log)

    async def look(self) -> None:
        """Send what has begun or ended since the last look, book what lapsed unread, and follow what was adopted."""
        now = self._clock.now()
        for drift in self._watch.drifts():
            if (bound := self._prefixes.get(drift.prefix)) is not None:
                kind = "cache_steady" if drift.is_over else "cache_drift"
                await self._send(Alert(kind, drift.prefix, bound.contract.owner, _said(drift), now))
        for held, usage in self._watch.lapsed(now=now):
            if self._wasted is not None and held.prefix:
                self._wasted(held.prefix, held.generator, usage)
        for bound in self._prefixes.values():
            await self._follow(bound)
        await self._warm()

    async def _follow(self, bound: BoundTask) -> None:
        """Take over a plan that was adopted or taken back since the last look."""
        history = await self._adopted.history(bound)
        adopted = history[0] if history else None
        if self._followed.get(bound.name) == adopted:
            return
        self._followed[bound.name] = adopted
        self._watch.follow(bound.name, None if adopted is None else marking(adopted))

    async def _warm(self) -> None:
        """Let generators in this process compute changed prefixes ahead, such as after a policy event."""
        generators = [found for found in self._generators() if hasattr(found, "warm")]
        if not generators or not self._watch.kinds():
            return
        async for name, blocks in self._stored():
            kind = kind_of(blocks)
            if (name, kind) not in self._watch.kinds() or (name, blocks) in self._warmed:
                continue
            self._warmed = {one for one in self._warmed if one[0] != name or kind_of(one[1]) != kind} | {(name, blocks)}
            for generator in generators:
                try:
                    await generator.warm(Prompt(blocks=blocks, prefix=name))
                except ParbakeError as error:
                    _log.warning("%s could not be computed ahead: %s", name, one_line(error))

    async def _stored(self) -> AsyncIterator[tuple[str, tuple[Block, ...]]]:
        for name, bound in self._prefixes.items():
            async for _, blocks in self._resolver.stored(bound):
                yield name, blocks

    def _generators(self) -> Sequence[Any]:
        """The app's generator, or the members of its chain, once it has been built."""
        found = self._resources.get(Generator)
        return [] if found is None else members_of(found)


def marking(adopted: AdoptedPlan) -> Marking:
    """How breakpoints are placed under an adopted plan.

    Args:
        adopted: Follows one of :mod:`parbake.planner.caching.strategy_names`. Under ``planned`` each request's
            breakpoints follow from the requests of this process before it, or without numpy from volatility.
    """
    if adopted.strategy == PLANNED:
        try:
            from parbake.planner.caching.live_plan import LivePlan
            from parbake.planner.caching.pricing import CachePrices
        except ImportError:
            _log.warning("the plan of a prefix needs numpy; breakpoints follow the volatility of the blocks")
        else:
            return LivePlan(CachePrices(**adopted.prices), block=BLOCK)  # type: ignore[arg-type]  # as they were adopted
    changed = RULES.get(adopted.strategy, {})
    return lambda prompt, rules, _: placed(prompt, msgspec.structs.replace(rules, **changed))


def _said(drift: Drift) -> str:
    where = f"{drift.place.provider} {drift.place.model}"
    if drift.is_over:
        return f"{where} caches the prefix as predicted again"
    how = "less" if drift.share < 0 else "more"
    return f"{where} reads {abs(drift.share):.0%} of the input tokens {how} from its cache than predicted"
