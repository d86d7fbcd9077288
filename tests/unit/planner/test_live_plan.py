"""The adopted plan at work: breakpoints stand where the requests so far make them worth it, and nowhere else."""

import random

import pytest

from parbake.planner.caching.live_plan import LivePlan
from parbake.planner.caching.pricing import CachePrices
from parbake.ports.prompts import Block, Breakpoint, Prompt
from parbake.prompt.prefix_caches import BreakpointCache, pieces
from parbake.prompt.writing.placement import CacheRules

PRICES = CachePrices(read=0.1, write=1.25, write_hour=2.0, minimum=0)
RULES = CacheRules(mechanism="breakpoints", minimum=100, ttls=("5m", "1h"))


def prompt(policy="p", session="", turns=0):
    """Return a prompt with a prefix of 1,500 tokens and some turns of 100."""
    blocks = (Block("rules", "r" * 2000), Block("policy", policy * 4000, "policy"))
    said = tuple(("user", f"{session} {n} ".ljust(400, "t")) for n in range(turns))
    return Prompt(blocks=blocks, turns=said, question="?", session=session)


def test_a_prefix_that_comes_back_is_marked_and_one_that_does_not_is_not():
    """What is asked for again every minute gets a breakpoint; prefixes that never come back cost nothing."""
    steady, unique = LivePlan(PRICES, block=128), LivePlan(PRICES, block=128)
    for n in range(60):
        again = steady(prompt(), RULES, n * 60.0)
        once = unique(prompt(policy=chr(200 + n)), RULES, n * 4000.0)
    assert again.breakpoints[-1].after == "policy"
    assert once.breakpoints == ()


def test_a_prefix_that_comes_back_after_minutes_is_held_for_an_hour():
    """If requests come every quarter of an hour, only the longer life pays."""
    plan = LivePlan(PRICES, block=128)
    for n in range(60):
        found = plan(prompt(), RULES, n * 900.0)
    assert {one.ttl for one in found.breakpoints} == {"1h"}
    assert found.breakpoints[-1].after == "policy"


@pytest.mark.parametrize("seed", range(3))
def test_it_is_never_much_dearer_than_no_caching(seed):
    """On conversations and on prefixes that never return, the bill is below, or within 2 % of, that of no caching."""
    rng = random.Random(seed)
    plan, cache, bill, plain, now = LivePlan(PRICES, block=128), BreakpointCache(RULES), 0.0, 0.0, 0.0
    for n in range(400):
        now += rng.expovariate(1 / 120)
        asked = prompt(session=f"s{n // 4}", turns=n % 4) if seed else prompt(policy=chr(300 + n))
        sent = plan(asked, RULES, now)
        found = cache.predict(sent.session, pieces(sent), now=now)
        cache.sent(sent.session, pieces(sent), now=now)
        bill += found.uncached + 0.1 * found.read + 1.25 * found.write + 2 * found.write_hour
        plain += found.input
    assert bill <= 1.02 * plain
    assert seed == 0 or bill < 0.6 * plain


def test_given_breakpoints_and_other_caches_are_left_alone():
    """A prompt with breakpoints keeps them, and a provider without any gets none."""
    plan = LivePlan(PRICES, block=128)
    given = Prompt(breakpoints=(Breakpoint("rules"),))
    assert plan(given, RULES, 0.0) == given
    assert plan(prompt(), CacheRules(mechanism="automatic"), 0.0).breakpoints == ()
    assert plan(Prompt(question="?"), RULES, 0.0).breakpoints == ()


def test_its_memory_is_bounded(monkeypatch):
    """After many blocks the plan learns anew."""
    monkeypatch.setattr("parbake.planner.caching.live_plan.MOST_SEEN", 50)
    plan = LivePlan(PRICES, block=128)
    for n in range(40):
        plan(prompt(policy=chr(300 + n)), RULES, n * 60.0)
    assert len(plan._planned._seen) <= 50
