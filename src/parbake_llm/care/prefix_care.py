"""Looks after the prefixes of prompts: alerts to owners, unread writes, adopted plans, and prefixes computed ahead."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from parbake.ports.alerts import Alert
from parbake.ports.clock import Clock
from parbake.ports.usage import Usage
from parbake.process.loops import forever
from parbake.serving.bound import BoundTask
from parbake.values.redaction import one_line
from parbake_llm.caching.strategy_names import BLOCK, HOUR, LAST, MINUTES, NONE, PLANNED, WARM
from parbake_llm.care.warm_ups import WarmUps
from parbake_llm.ports.prompts import Prompt
from parbake_llm.watching.prompt_watch import Drift, Marked, Marking, PromptWatch
from parbake_llm.writing.placement import CachePlace, CacheRules
from parbake_planner.adopted import AdoptedPlan, Adoptions

EVERY_S = 5.0
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
_log = logging.getLogger("parbake_llm")


class PrefixCare:
    """Looks every few seconds at what the requests of this process have met."""

    def __init__(
        self,
        watch: PromptWatch,
        prefixes: Sequence[BoundTask],
        clock: Clock,
        *,
        adopted: Adoptions,
        warm_ups: WarmUps,
        send: Callable[[Alert], Awaitable[object]],
        wasted: Wasted | None = None,
    ) -> None:
        """Keep what is looked at.

        Args:
            watch: The watch over the requests.
            prefixes: The app's prefixes.
            clock: The source of wall time.
            adopted: The plans that prefixes follow.
            warm_ups: Computes prefixes ahead, and keeps them from lapsing.
            send: Sends an alert.
            wasted: Books what was written and not read, if there is a ledger.
        """
        self._watch, self._clock = watch, clock
        self._prefixes = {bound.name: bound for bound in prefixes}
        self._adopted, self._warm_ups = adopted, warm_ups
        self._send, self._wasted = send, wasted
        self._followed: dict[str, AdoptedPlan | None] = {}
        self._untold: list[Drift] = []

    async def run(self) -> None:
        """Look until cancelled."""
        await forever(self.look, EVERY_S, what="the look at prompt prefixes", log=_log)

    async def look(self) -> None:
        """Do all that is due. A part that fails is logged, and the others go on."""
        steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("drifts", self._alert),
            ("unread prefixes", self._book_unread),
            *((f"the plan of {bound.name}", partial(self._follow, bound)) for bound in self._prefixes.values()),
            ("prefixes to compute ahead", self._warm_ups.ahead),
            ("prefixes to keep warm", self._warm_ups.send_due),
        ]
        for what, step in steps:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - any error: the other steps do not depend on this one
                _log.error("the look at %s failed and will be repeated: %s", what, one_line(error))

    async def _alert(self) -> None:
        """Tell owners of drifts; one that could not be told is told at the next look."""
        self._untold += self._watch.drifts()
        while self._untold:
            drift = self._untold[0]
            if (bound := self._prefixes.get(drift.prefix)) is not None:
                kind = "cache_steady" if drift.is_over else "cache_drift"
                owner, key = bound.contract.owner, f"cache_drift/{drift.prefix}/{bound.contract.owner}"
                await self._send(Alert(kind, drift.prefix, owner, _said(drift), self._clock.now(), key))
            del self._untold[0]

    async def _book_unread(self) -> None:
        for held, usage in self._watch.lapsed(now=self._clock.now()):
            if self._wasted is not None and held.prefix:
                self._wasted(held.prefix, held.generator, usage)

    async def _follow(self, bound: BoundTask) -> None:
        """Take over a plan that was adopted or taken back since the last look."""
        history = await self._adopted.history(bound)
        adopted = history[0] if history else None
        if self._followed.get(bound.name) == adopted:
            return
        self._watch.follow(bound.name, None if adopted is None else marking(adopted))
        self._followed[bound.name] = adopted


def marking(adopted: AdoptedPlan) -> Marking:
    """How breakpoints are placed under an adopted plan.

    Args:
        adopted: Follows one of :mod:`parbake_llm.caching.strategy_names`. Under ``planned`` and ``warm all``, each
            request's breakpoints and the warm-ups follow from the requests of this process before, or without numpy
            from volatility.
    """
    if adopted.strategy in (PLANNED, WARM):
        try:
            return _live_plan(adopted)
        except ImportError:
            _log.warning("the plan of a prefix needs numpy; breakpoints follow the volatility of the blocks")
    return _Ruled(adopted.strategy)


class _Ruled(Marking):
    """Places breakpoints as a simple rule does."""

    def __init__(self, strategy: str) -> None:
        self._strategy = strategy

    def __call__(self, place: CachePlace, rules: CacheRules, prompt: Prompt, now: float, /) -> Marked:
        return super().__call__(place, ruled(rules, self._strategy), prompt, now)


def ruled(rules: CacheRules, strategy: str) -> CacheRules:
    """A provider's rules as a strategy uses them. It asks for no time to live that the provider does not offer.

    Args:
        rules: The rules.
        strategy: One of :mod:`parbake_llm.caching.strategy_names`. Those that decide request by request change
            nothing.
    """
    changed = dict(RULES.get(strategy, {}))
    if "ttls" in changed:
        changed["ttls"] = tuple(ttl for ttl in changed["ttls"] if ttl in rules.ttls) or rules.ttls[:1]
    return msgspec.structs.replace(rules, **changed)


def _live_plan(adopted: AdoptedPlan) -> Marking:
    """Decide request by request, from the requests of this process."""
    from parbake_llm.caching.live_plan import LivePlan
    from parbake_llm.caching.marking import Planned
    from parbake_llm.caching.policies_of_caching import AlwaysMark
    from parbake_llm.caching.pricing import CachePrices

    if adopted.strategy == WARM:
        return LivePlan(lambda warms: AlwaysMark(warm=warms), block=BLOCK)
    prices = CachePrices(**adopted.prices)  # type: ignore[arg-type]  # as they were adopted
    return LivePlan(lambda warms: Planned(prices, warms=warms), block=BLOCK)


def _said(drift: Drift) -> str:
    where = f"{drift.place.provider} {drift.place.model}"
    if drift.is_over:
        return f"{where} caches the prefix as predicted again"
    how = "less" if drift.share < 0 else "more"
    return f"{where} reads {abs(drift.share):.0%} of the input tokens {how} from its cache than predicted"
