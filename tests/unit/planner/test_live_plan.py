"""The adopted plan at work: breakpoints and warm-ups where the requests so far make them worth it, and nowhere else."""

import random

import pytest

from parbake.planner.caching.live_plan import LivePlan
from parbake.planner.caching.marking import Planned
from parbake.planner.caching.policies_of_caching import AlwaysMark
from parbake.planner.caching.pricing import CachePrices
from parbake.ports.prompts import Block, Breakpoint, Prompt
from parbake.prompt.prefix_caches import BreakpointCache, pieces
from parbake.prompt.writing.placement import CachePlace, CacheRules

PRICES = CachePrices(read=0.1, write=1.25, write_hour=2.0, minimum=0)
MINUTES = CachePrices(read=0.1, write=1.25, minimum=0)
PLACE = CachePlace("maker", "small")
RULES = CacheRules(mechanism="breakpoints", minimum=100, ttls=("5m", "1h"))


def planned(prices=PRICES):
    """Return a plan that has seen nothing."""
    return LivePlan(lambda: Planned(prices), block=128)


def prompt(policy="p", session="", turns=0):
    """Return a prompt with a prefix of 1,500 tokens and some turns of 100."""
    blocks = (Block("rules", "r" * 2000), Block("policy", policy * 4000, "policy"))
    said = tuple(("user", f"{session} {n} ".ljust(400, "t")) for n in range(turns))
    return Prompt(blocks=blocks, turns=said, question="?", session=session)


def test_a_prefix_that_comes_back_is_marked_and_one_that_does_not_is_not():
    """What is asked for again every minute gets a breakpoint; prefixes that never come back cost nothing."""
    steady, unique = planned(), planned()
    for n in range(60):
        again = steady(PLACE, RULES, prompt(), n * 60.0)
        once = unique(PLACE, RULES, prompt(policy=chr(200 + n)), n * 4000.0)
    assert again.breakpoints[-1].after == "policy"
    assert once.breakpoints == ()


def test_a_prefix_that_comes_back_after_minutes_is_held_for_an_hour():
    """If requests come every quarter of an hour, only the longer life pays."""
    plan = planned()
    for n in range(60):
        found = plan(PLACE, RULES, prompt(), n * 900.0)
    assert {one.ttl for one in found.breakpoints} == {"1h"}
    assert found.breakpoints[-1].after == "policy"


@pytest.mark.parametrize("seed", range(3))
def test_it_is_never_much_dearer_than_no_caching(seed):
    """On conversations and on prefixes that never return, the bill is below, or within 2 % of, that of no caching."""
    rng = random.Random(seed)
    plan, cache, bill, plain, now = planned(), BreakpointCache(RULES), 0.0, 0.0, 0.0
    for n in range(400):
        now += rng.expovariate(1 / 120)
        asked = prompt(session=f"s{n // 4}", turns=n % 4) if seed else prompt(policy=chr(300 + n))
        sent = plan(PLACE, RULES, asked, now)
        found = cache.predict(sent.session, pieces(sent), now=now)
        cache.sent(sent.session, pieces(sent), now=now)
        bill += found.uncached + 0.1 * found.read + 1.25 * found.write + 2 * found.write_hour
        plain += found.input
    assert bill <= 1.02 * plain
    assert seed == 0 or bill < 0.6 * plain


def test_given_breakpoints_and_other_caches_are_left_alone():
    """A prompt with breakpoints keeps them, and a provider without any gets none."""
    plan = planned()
    given = Prompt(breakpoints=(Breakpoint("rules"),))
    assert plan(PLACE, RULES, given, 0.0) == given
    assert plan(PLACE, CacheRules(mechanism="automatic"), prompt(), 0.0).breakpoints == ()
    assert plan(PLACE, RULES, Prompt(question="?"), 0.0).breakpoints == ()


def test_its_memory_is_bounded(monkeypatch):
    """After many blocks the plan learns anew."""
    monkeypatch.setattr("parbake.planner.caching.live_plan.MOST_SEEN", 50)
    plan = planned()
    for n in range(40):
        plan(PLACE, RULES, prompt(policy=chr(300 + n)), n * 60.0)
    assert len(plan._policy._seen) <= 50


def warmed(plan, begin, end, every=5.0):
    """Return what is warmed when the plan is asked every few seconds, with the times."""
    times = [begin + every * n for n in range(int((end - begin) / every))]
    return [(at, one) for at in times for one in plan.due(at)]


def test_a_prefix_that_will_be_asked_for_again_is_warmed_just_before_it_lapses():
    """With requests every eight minutes, the prefix is warmed in between, with nothing of one user in the warm-up."""
    plan, found = planned(MINUTES), []
    for n in range(80):
        plan(PLACE, RULES, prompt(session=f"s{n}", turns=2), n * 480.0)
        found = warmed(plan, n * 480.0, (n + 1) * 480.0)
    ((at, one),) = found
    assert 275 <= at - 79 * 480.0 <= 300
    assert (one.place, one.prompt.turns, one.prompt.session) == (PLACE, (), "")
    assert [block.name for block in one.prompt.blocks] == ["rules", "policy"]
    assert [end.after for end in one.prompt.breakpoints] == ["policy"]


def test_only_what_comes_back_is_warmed():
    """Of prompts with the same rules and ever new policies, the rules alone are kept warm."""
    plan, found = planned(MINUTES), []
    for n in range(300):
        plan(PLACE, RULES, prompt(policy=chr(300 + n)), n * 400.0)
        found += [(n, one.prompt.blocks[-1].name) for _, one in warmed(plan, n * 400.0, (n + 1) * 400.0)]
    assert {name for n, name in found if n > 100} == {"rules"}


def test_a_warm_up_is_not_a_request_and_a_request_puts_it_off():
    """What is warmed is not learnt as asked for, and a prefix that was just asked for is not warmed."""
    plan = LivePlan(lambda: AlwaysMark(warm=True), block=128)
    plan(PLACE, RULES, prompt(), 0.0)
    plan(PLACE, RULES, prompt(), 200.0)
    assert warmed(plan, 200.0, 475.0) == []
    at, one = warmed(plan, 475.0, 500.0)[0]
    assert plan(PLACE, RULES, one.prompt, at) == one.prompt
    times = [at for at, _ in warmed(plan, at + 5, 20_000.0)]
    assert times[-1] < 200.0 + 3600.0
    assert len(times) == 11


def test_a_look_that_comes_too_late_warms_nothing():
    """A prefix that has lapsed meanwhile would be written by its warm-up, so it is given up."""
    plan = LivePlan(lambda: AlwaysMark(warm=True), block=128)
    plan(PLACE, RULES, prompt(), 0.0)
    assert plan.due(299.0) == []
    assert plan.due(10_000.0) == []


def test_what_belongs_to_one_user_is_not_warmed():
    """A conversation, and a block about one user, are sent for that user alone."""
    plan = LivePlan(lambda: AlwaysMark(warm=True), block=128)
    asked = prompt(session="s", turns=8)
    mine = Block("profile", "m" * 4000, "user")
    plan(PLACE, RULES, Prompt(blocks=(*asked.blocks, mine), turns=asked.turns, question="?", session="s"), 0.0)
    assert warmed(plan, 0.0, 1000.0) == []


def test_conversations_behind_one_prefix_need_one_warm_up():
    """Ten conversations within a minute leave one prefix to warm, wherever their breakpoints stand."""
    plan = LivePlan(lambda: AlwaysMark(warm=True), block=128)
    for n in range(10):
        for turns in range(3):
            plan(PLACE, RULES, prompt(session=f"s{n}", turns=turns), n * 6.0 + turns)
    (found,) = [one for _, one in warmed(plan, 60.0, 400.0)]
    assert found.prompt.blocks[-1].name == "policy"


def test_each_provider_is_kept_warm_by_itself():
    """A request to one provider warms nothing at another."""
    plan, other = LivePlan(lambda: AlwaysMark(warm=True), block=128), CachePlace("else", "large")
    plan(PLACE, RULES, prompt(), 0.0)
    plan(other, RULES, prompt(), 200.0)
    assert [one.place for _, one in warmed(plan, 200.0, 310.0)] == [PLACE]
