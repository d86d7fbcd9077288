"""Planning a prompt cache: the replay, the bound, the plan, what it learns from, and the decision."""

import datetime as dt
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parbake.errors import BadInput
from parbake_llm.caching.asked import TraceRow, traced
from parbake_llm.caching.best_marks import Candidate, best_marks
from parbake_llm.caching.clairvoyant import Clairvoyant, bound
from parbake_llm.caching.decision import make_prompt_plan, policies
from parbake_llm.caching.held import HeldPrefixes, Mark
from parbake_llm.caching.marking import Planned
from parbake_llm.caching.policies_of_caching import AlwaysMark
from parbake_llm.caching.pricing import CachePrices, cache_prices
from parbake_llm.caching.replayed import replay
from parbake_llm.caching.reuse import ReturnRates
from parbake_llm.caching.strategy_names import NONE, PLANNED, SIMPLE
from parbake_llm.prefix_caches import BreakpointCache, Piece
from parbake_llm.writing.placement import CacheRules
from parbake_planner.prices import Rate, Tokens, call_cost

PRICES = CachePrices(read=0.1, write=1.25, write_hour=2.0, token_usd=3e-6, minimum=0)
SIZE = 100
GAPS = st.sampled_from((1.0, 100.0, 299.0, 301.0, 700.0, 1500.0, 4000.0))
CHAINS = st.lists(st.tuples(GAPS, st.lists(st.integers(0, 1), min_size=1, max_size=4)), min_size=1, max_size=12)


def chains(drawn):
    """Make a trace of (gap, ids) pairs, in blocks of a hundred tokens."""
    times = itertools.accumulate(gap for gap, _ in drawn)
    rows = [TraceRow(at, SIZE * len(ids), ids=tuple(ids)) for at, (_, ids) in zip(times, drawn, strict=True)]
    return traced(rows, size=SIZE)


def repeated(gap, *, groups=60, times=6, blocks=20, between=7.0):
    """Make a trace of groups that send the same prompt again after each gap."""
    rows = [
        TraceRow(group * between + n * gap, blocks * SIZE, ids=tuple(f"{group} {at}" for at in range(blocks)))
        for group in range(groups) for n in range(times)
    ]  # fmt: skip
    return traced(rows, size=SIZE)


def unique(count, *, blocks=20):
    """Make a trace in which no prompt repeats."""
    return traced([TraceRow(at, blocks * SIZE) for at in range(count)], size=SIZE)


def rate(**changed):
    """Return a rate with the given multipliers."""
    return Rate(provider="p", model="m", since=dt.date(2026, 1, 1), input=3.0, output=15.0, **changed)


@given(CHAINS, st.data())
def test_what_a_replay_holds_is_what_the_predictor_predicts(drawn, data):
    """For any marks, the replay's reads equal those of the predictor with a breakpoint at what is read."""
    trace, held = chains(drawn), HeldPrefixes(minimum=0)
    cache = BreakpointCache(CacheRules(most=9, lookback=99))
    for one in trace.requests:
        depth = held.readable(one, one.at)
        hour = data.draw(st.booleans())
        wanted = data.draw(st.sets(st.integers(1, len(one.blocks)), max_size=3))
        marks = [Mark(at, hour) for at in sorted(wanted) if at > depth]
        ends = {mark.depth for mark in marks} | {depth}
        ttl = "1h" if hour else "5m"
        prompt = [Piece(str(block), SIZE, ttl=ttl if at in ends else None) for at, block in enumerate(one.blocks, 1)]
        if depth or marks:
            assert cache.predict("", prompt, now=one.at).read == one.until(depth)
        held.read(one, depth, one.at)
        held.write(one, marks, one.at)
        cache.sent("", prompt, now=one.at)


@given(CHAINS)
def test_nobody_undercuts_the_bound(drawn):
    """No policy, the clairvoyant one included, costs less than the bound over a whole trace."""
    trace = chains(drawn)
    least = bound(trace, PRICES).sum()
    for policy in [*policies(PRICES), Clairvoyant(trace, PRICES)]:
        assert replay(trace, policy, PRICES).cost.sum() >= least - 1e-6, policy.name


@given(st.lists(GAPS, min_size=1, max_size=5))
def test_the_bound_is_the_best_of_all_ways_to_hold_one_block(gaps):
    """For one block, the bound equals the cheapest of every sequence of writing, warming and letting lapse."""
    trace = chains([(gap, [0]) for gap in gaps])
    every = itertools.product(
        itertools.product(("no", "5m", "1h"), repeat=len(gaps)), itertools.product((False, True), repeat=len(gaps))
    )
    costs = [by_hand(gaps, ways, kept) for ways, kept in every]
    assert bound(trace, PRICES).sum() == pytest.approx(SIZE * min(costs))


def by_hand(gaps, ways, kept):
    """Cost of one block per token: each request writes in its way unless it reads, and is kept alive or not."""
    held, cost = None, 0.0
    for at, way in enumerate(ways):
        if held is None:
            held = None if way == "no" else way
            cost += {"no": 1.0, "5m": 1.25, "1h": 2.0}[way]
        else:
            cost += 0.1
        if held and at + 1 < len(gaps):
            missing = max(0, math.ceil(gaps[at + 1] / {"5m": 300, "1h": 3600}[held]) - 1)
            cost += 0.1 * missing if kept[at] else 0.0
            held = held if kept[at] or not missing else None
    return cost


@given(st.lists(st.tuples(st.floats(-1, 2), st.floats(-1, 2)), min_size=1, max_size=5), st.integers(1, 3))
def test_the_best_breakpoints_are_the_best_of_all(worths, most):
    """The chosen breakpoints gain as much as the best of all choices of depths and times to live."""
    ones = [Candidate(at, at * 10, *worth) for at, worth in enumerate(worths, 1)]

    def gain(marks):
        before, found = 0, 0.0
        for mark in marks:
            one = ones[mark.depth - 1]
            found += (one.tokens - before) * (one.hour - 1.0 if mark.hour else one.minutes - 0.25)
            before = one.tokens
        return found

    every = [
        [Mark(depth, at < hours) for at, depth in enumerate(depths)]
        for count in range(most + 1) for depths in itertools.combinations(range(1, len(ones) + 1), count)
        for hours in range(count + 1)
    ]  # fmt: skip
    found = best_marks(ones, read=0, most=most, prices=PRICES, hour=True)
    assert len(found) <= most
    assert list(found) == sorted(found)
    assert gain(found) == pytest.approx(max(map(gain, every)))


def test_rates_of_return_are_learnt_while_prefixes_still_wait():
    """With returns at a constant rate, the chance is right to 5 points, also while hardly a prefix has returned yet."""
    assert learnt(600.0, 300.0) == pytest.approx(1 - math.exp(-300 / 200), abs=0.05)
    assert learnt(25.0, 25.0) == pytest.approx(1 - math.exp(-25 / 200), abs=0.05)


def learnt(end, within):
    """Return the chance within some seconds that is learnt from prefixes that return after 200 s in the mean."""
    rng, rates, kinds = np.random.default_rng(0), ReturnRates(), ((0, 0),)
    begun = np.sort(rng.uniform(0, end, 2_000))
    events = [(at, 0, n) for n, at in enumerate(begun)]
    events += [(at + rng.exponential(200), 1, n) for n, at in enumerate(begun)]
    waits = {}
    for at, is_return, number in sorted(events):
        if at > end:
            break
        rates.advance(at)
        if is_return:
            rates.returned(waits[number], 1)
        else:
            waits[number] = rates.began(kinds, 1)
    for _ in range(100):
        rates.advance(end)
    return rates.survival(kinds).within(0.0, within)


def test_decisions_rest_on_the_past_alone():
    """What comes later in a trace changes the cost of no earlier request."""
    whole = repeated(120.0, groups=30)
    part = traced([TraceRow(one.at, one.tokens, ids=one.blocks) for one in whole.requests[:100]], size=SIZE)
    for early, late in zip(policies(PRICES), policies(PRICES), strict=True):
        one, other = replay(part, early, PRICES), replay(whole, late, PRICES)
        assert one.cost.tolist() == other.cost[:100].tolist(), early.name


@pytest.mark.parametrize("gap", [100.0, 299.0, 310.0, 601.0, 1500.0])
def test_the_plan_learns_how_long_to_hold(gap):
    """Whatever the gap within an hour, the plan saves 90 % of what the clairvoyant saves in the newest half."""
    plan = make_prompt_plan(repeated(gap, groups=150), PRICES)
    assert plan.used[PLANNED].of_clairvoyant > 0.9


@pytest.mark.parametrize("trace", [unique(300), repeated(3601.0), repeated(4000.0)], ids=["unique", "3601", "4000"])
def test_the_plan_is_never_dearer_than_no_caching(trace):
    """Without repeats, or with repeats just after an hour, the plan costs what no caching costs: it is not adopted."""
    plan = make_prompt_plan(trace, PRICES)
    assert plan.used[PLANNED].usd <= plan.used[NONE].usd * (1 + 1e-9)
    assert plan.adopted == NONE


def test_the_plan_stops_marking_what_stops_to_repeat():
    """After repeats end, what the plan writes in vain shrinks by more than half."""
    first = repeated(60.0, groups=80, between=10.0)
    rows = [TraceRow(one.at, one.tokens, ids=one.blocks) for one in first.requests]
    rows += [TraceRow(1200.0 + at * 4, 2000, ids=tuple(f"new {at} {n}" for n in range(20))) for at in range(800)]
    made = replay(traced(rows, size=SIZE), Planned(PRICES), PRICES)
    wasted = np.add.reduceat(made.wasted[-800:], [0, 200, 400, 600])
    assert wasted[0] > 0
    assert wasted[3] < wasted[0] / 2


def test_a_rule_that_surely_pays_is_adopted_and_a_plan_must_beat_it():
    """With repeats every minute, a policy that caches is adopted, and the gates name what they compare."""
    plan = make_prompt_plan(repeated(60.0, groups=100), PRICES)
    assert plan.adopted != NONE
    assert plan.best_simple in SIMPLE
    simple, planned = plan.gates
    assert (simple.against, planned.candidate, planned.against) == (NONE, PLANNED, plan.best_simple)
    assert simple.adopted
    assert simple.ratio.upper < 1
    assert plan.adopted == (PLANNED if planned.adopted else plan.best_simple)


def test_nothing_is_adopted_on_too_few_groups():
    """One prompt that repeats often is a single group, from which nothing is concluded with confidence."""
    trace = traced([TraceRow(60.0 * at, 2000, ids=("only",) * 20) for at in range(5)], size=SIZE)
    plan = make_prompt_plan(trace, PRICES)
    assert plan.used[PLANNED].saving > 0 or plan.used["always 5m"].saving > 0
    assert plan.is_blind is (plan.groups < 8)
    assert plan.is_blind
    assert plan.adopted == NONE


def test_without_a_price_for_an_hour_nothing_is_marked_for_one():
    """The policy for an hour is left out, and the others still plan."""
    prices = CachePrices(read=0.1, write=1.25, minimum=0)
    plan = make_prompt_plan(repeated(60.0), prices)
    assert "always 1h" not in plan.used
    assert plan.used[PLANNED].saving > 0
    assert prices.break_even(hour=True) == math.inf


def test_a_warm_up_keeps_a_prefix_over_a_gap():
    """With repeats every 310 seconds, warming reads what five minutes alone would lose, and each warm-up is counted."""
    trace = repeated(310.0)
    cold, warm = replay(trace, AlwaysMark(), PRICES), replay(trace, AlwaysMark(warm=True), PRICES)
    assert cold.read.sum() == 0
    assert warm.read.sum() == trace.tokens * 5 / 6
    assert warm.warm_ups.sum() >= 60 * 5


def test_waste_is_what_was_written_and_never_read():
    """A trace without repeats wastes all that it writes; one where all is read again wastes nothing but the last."""
    made = replay(unique(10), AlwaysMark(), PRICES)
    assert made.wasted.sum() == made.written.sum() == 10 * 20 * SIZE
    again = replay(repeated(60.0, groups=1, times=3), AlwaysMark(), PRICES)
    assert (again.written.sum(), again.wasted.sum()) == (2000, 0)


def test_the_clairvoyant_comes_close_to_the_bound():
    """On repeats with gaps on both sides of both times to live, its saving is at least 95 % of the bound's."""
    rows = [
        TraceRow(one.at, one.tokens, ids=tuple(f"{gap} {block}" for block in one.blocks))
        for gap in (100.0, 310.0, 1500.0) for one in repeated(gap, groups=20).requests
    ]  # fmt: skip
    trace = traced(rows, size=SIZE)
    made = replay(trace, Clairvoyant(trace, PRICES), PRICES)
    assert trace.tokens - made.cost.sum() >= 0.95 * (trace.tokens - bound(trace, PRICES).sum())


@pytest.mark.parametrize("missing", ["cache_read", "cache_write"])
def test_a_rate_without_cache_prices_is_refused(missing):
    """The refusal names the multiplier that the price book lacks."""
    given_ = {"cache_read": 0.1, "cache_write": 1.25} | {missing: None}
    with pytest.raises(BadInput, match=f"no {missing} price") as refused:
        cache_prices(rate(**given_))
    assert refused.value.field == missing


def test_the_break_even_chances_are_those_of_the_prices():
    """At a tenth for reads, a write at 1.25 pays from a chance of 0.25 / 0.9, and one at 2 from 1 / 0.9 reads."""
    prices = cache_prices(rate(cache_read=0.1, cache_write=1.25, cache_write_hour=2.0))
    assert prices.break_even(hour=False) == pytest.approx(0.25 / 0.9)
    assert prices.break_even(hour=True) == pytest.approx(1 / 0.9)
    assert CachePrices(read=1.0, write=1.25).break_even(hour=False) == math.inf


def test_a_write_for_an_hour_is_priced_with_its_own_multiplier():
    """A million tokens written for an hour cost twice the input price, and a rate without that price is refused."""
    tokens = Tokens(cache_write_hour=1_000_000)
    assert call_cost(rate(cache_write_hour=2.0), tokens) == pytest.approx(6.0)
    with pytest.raises(BadInput) as refused:
        call_cost(rate(cache_write=1.25), tokens)
    assert refused.value.field == "cache_write_hour"
