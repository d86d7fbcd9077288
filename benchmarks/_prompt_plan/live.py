"""The plan at work: requests are sent one by one, with breakpoints and warm-ups as the plan says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parbake.ports.usage import Usage
from parbake_llm.caching.live_plan import LivePlan
from parbake_llm.caching.marking import Planned
from parbake_llm.caching.policies_of_caching import AlwaysMark, CachingPolicy
from parbake_llm.caching.pricing import CachePrices
from parbake_llm.caching.strategy_names import BY_VOLATILITY
from parbake_llm.ports.prompts import Block, Prediction, Prompt
from parbake_llm.prefix_caches import BreakpointCache, pieces
from parbake_llm.watching.prompt_watch import Marked
from parbake_llm.writing.placement import CachePlace, CacheRules, placed

LOOK_S = 5.0
"""How often a server looks for warm-ups, in seconds."""
RULES = CacheRules(mechanism="breakpoints", minimum=1024)
PLACE = CachePlace("maker", "small")
FAMILIAR = 0.5
"""The part of the requests, from the first on, that is left out of the bill, because the plan still learns."""


@dataclass(frozen=True, slots=True)
class LiveBill:
    """What the requests and warm-ups cost, as a multiple of their cost without caching."""

    cost: float
    warm_ups: int


def asked(seed: int, *, hours: float, between_s: float) -> list[tuple[float, Prompt]]:
    """Conversations of a few turns behind one shared prefix, by time.

    Args:
        seed: Makes the conversations.
        hours: For how long they begin.
        between_s: The mean time between two of them, in seconds.
    """
    rng, found, now = np.random.default_rng(seed), list[tuple[float, Prompt]](), 0.0
    blocks = (Block("rules", "r" * 4_000), Block("policy", "p" * 20_000, "policy"))
    while now < hours * 3600:
        now += float(rng.exponential(between_s))
        session, at, turns = f"s{len(found)}", now, tuple[tuple[str, str], ...]()
        profile = int(rng.integers(40, 1200))
        for turn in range(int(rng.geometric(0.4))):
            question = f"{session} {turn} ".ljust(200, "q")
            mine = Block("profile", f"{session} ".ljust(profile, "u"), "user")
            found.append((at, Prompt(blocks=(*blocks, mine), turns=turns, question=question, session=session)))
            turns = (*turns, ("user", question), ("assistant", f"{session} {turn} ".ljust(800, "a")))
            at += float(40.0 * rng.lognormal(0, 0.7))
    return sorted(found, key=lambda one: one[0])


def bill(
    requests: list[tuple[float, Prompt]], policy: Callable[[bool], CachingPolicy] | None, prices: CachePrices
) -> LiveBill:
    """Send requests under a policy, to a provider that follows its rules.

    Args:
        requests: The requests by time.
        policy: Creates the policy; ``None`` for what servers do without a plan.
        prices: The prices.
    """
    plan, cache = LivePlan(policy or (lambda _: CachingPolicy()), block=128), BreakpointCache(RULES)
    now, begin = 0.0, requests[int(len(requests) * FAMILIAR)][0]
    spent, plain, warm_ups = 0.0, 0.0, 0
    for at, prompt in requests:
        while now + LOOK_S < at:
            now += LOOK_S
            for one in plan.due(now):
                cost = (
                    _sent(plan, cache, plan(PLACE, RULES, one.prompt, now), now, prices, is_warm_up=True)[0]
                    + prices.warm_up
                )
                spent, warm_ups = (spent + cost, warm_ups + 1) if now >= begin else (spent, warm_ups)
        marked = Marked(placed(prompt, RULES)) if policy is None else plan(PLACE, RULES, prompt, at)
        cost, tokens = _sent(plan, cache, marked, at, prices)
        spent, plain = (spent + cost, plain + tokens) if at >= begin else (spent, plain)
    return LiveBill(spent / plain, warm_ups)


def bills(seed: int, prices: CachePrices, *, hours: float, between_s: float) -> dict[str, LiveBill]:
    """The bills of the plan with and without warm-ups, and of the simple rules.

    Args:
        seed: Makes the conversations.
        prices: The prices.
        hours: For how long conversations begin.
        between_s: The mean time between two of them, in seconds.
    """
    requests = asked(seed, hours=hours, between_s=between_s)
    ways: dict[str, Callable[[bool], CachingPolicy]] = {
        "planned": lambda warms: Planned(prices, warms=warms),
        "planned, no warm-ups": lambda _: Planned(prices, warms=False),
        "always 5m": lambda _: AlwaysMark(),
        "warm all": lambda warms: AlwaysMark(warm=warms),
    }
    return {BY_VOLATILITY: bill(requests, None, prices)} | {
        name: bill(requests, policy, prices) for name, policy in ways.items()
    }


def _sent(
    plan: LivePlan, cache: BreakpointCache, sent: Marked, now: float, prices: CachePrices, *, is_warm_up: bool = False
) -> tuple[float, int]:
    """What a request costs, in uncached input tokens, and its length; the plan learns what the provider reports."""
    session, cut = sent.prompt.session, pieces(sent.prompt)
    found: Prediction = cache.predict(session, cut, now=now)
    cache.sent(session, cut, now=now)
    usage = Usage(cache_read=found.read, cache_write=found.write, cache_write_hour=found.write_hour)
    plan.answered(PLACE, sent, usage, now, is_warm_up=is_warm_up)
    return found.uncached + prices.read * found.read + prices.write * found.write, found.input
