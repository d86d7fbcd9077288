"""What a cached prefix changes: the price on request, the break-even volume, the flip factor, and the trigger."""

import datetime as dt
import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
import parbake_llm
from parbake.errors import BadInput
from parbake_llm import Prompts
from parbake_llm.ports.prompts import Block
from parbake_planner import Planner
from parbake_planner.adopted import AdoptedPlan
from parbake_planner.breakeven import STORY, CallUsage, break_even_volume, expected_cost, flip_factor, read_prices
from parbake_planner.ledger.reversals import changed_prices
from parbake_planner.prices import Rate, Tokens
from parbake_planner.qacpi import Measured, qacpi
from parbake_planner.strategies import ALL

TODAY = dt.date(2026, 11, 25)
PLAIN = {"provider": "acme", "model": "small", "since": "2026-04-01", "input": 1.0, "output": 4.0, "batch": 0.5}
CACHED = PLAIN | {"cache_read": 0.1, "cache_write": 1.25, "cache_write_hour": 2.0}
CALL = {"provider": "acme", "model": "small", "tokens": {"input": 8_000, "output": 1_000}}
"""A call that costs the $0.012 of the example."""
PREFIX = {"prefix_tokens": 6_000, "cached_share": 0.95}


def priced(folder, *, usage, line):
    """Read the example's prices, of which ``on_demand`` follows from the tokens of a call."""
    stated = {"as_of": "2026-11-25", "serve": 0.0001, "write": 200 / 20e6, "batch": 2_400 / 20e6, "usage": usage,
              "book": {"as_of": "2026-11-01", "rates": [line]}}  # fmt: skip
    path = folder / "prices.json"
    path.write_text(json.dumps(stated))
    return read_prices(path, today=TODAY)


def decided(prices):
    """Return the break-even volume of the example in requests a day, and the flip factor at 400,000 requests."""
    volume = break_even_volume(batch=2_400, storage=200, on_demand=prices.on_demand, serve=prices.serve)
    return volume, flip_factor(prices, fixed=2_600, computed=0, served=400_000, requests=400_000)


def test_the_example_without_a_cached_prefix(tmp_path):
    """Without a cache the tokens cost $0.012, and the figures are those of the example."""
    prices = priced(tmp_path, usage=CALL, line=CACHED)
    assert prices.on_demand == pytest.approx(STORY.on_demand)
    volume, flip = decided(prices)
    assert (volume, flip) == (pytest.approx(218_487, abs=1), pytest.approx(0.012 / 0.0066))
    assert prices.theta() == pytest.approx(STORY.theta())


def test_the_example_with_a_cached_prefix(tmp_path):
    """A prefix that 95 % of the calls read makes them 1.73x cheaper; volume, flip factor and threshold follow."""
    prices = priced(tmp_path, usage=CALL | PREFIX, line=CACHED)
    expected = (0.95 * 6_000 * 0.1 + 0.05 * 6_000 * 1.25 + 2_000 + 4 * 1_000) / 1e6
    assert prices.on_demand == pytest.approx(expected) == pytest.approx(0.006945)
    volume, flip = decided(prices)
    assert volume == pytest.approx(2_600 / (expected - 0.0001))
    assert flip == pytest.approx(expected / 0.0066)
    assert 1 < flip < 1.06
    assert prices.theta() > 1.7 * STORY.theta()


def test_a_cached_prefix_alone_can_reverse_the_decision(tmp_path):
    """With a longer prefix, computing each request is cheaper than precomputing, at the traffic of the example."""
    prices = priced(tmp_path, usage=CALL | {"prefix_tokens": 7_000, "cached_share": 0.99}, line=CACHED)
    volume, flip = decided(prices)
    assert volume > 400_000
    assert flip < 1


def test_stated_tokens_and_a_described_prefix_cost_the_same(tmp_path):
    """Cached tokens may be stated by kind; a prefix that every call reads has the same price."""
    stated = CALL | {"tokens": {"input": 2_000, "output": 1_000, "cache_read": 6_000}}
    described = CALL | {"prefix_tokens": 6_000, "cached_share": 1.0}
    assert priced(tmp_path, usage=stated, line=CACHED) == priced(tmp_path, usage=described, line=CACHED)


@pytest.mark.parametrize(("ttl", "multiplier"), [("5m", 1.25), ("30m", 1.25), ("1h", 2.0)])
def test_those_who_miss_write_for_the_time_that_was_asked(ttl, multiplier):
    """Half of the calls read and half write, at the price of the time to live."""
    rate = Rate(**{**CACHED, "since": TODAY})
    usage = CallUsage(
        provider="acme", model="small", tokens=Tokens(input=1_000_000), prefix_tokens=1_000_000, ttl=ttl, cached_share=1
    )
    assert expected_cost(rate, usage, cached_share=0.5) == pytest.approx(0.5 * 0.1 + 0.5 * multiplier)


def test_a_batch_run_reads_only_what_it_is_said_to_read(tmp_path):
    """In a batch, calls that read have half of the cached price; without a share, all have half of the plain one."""
    told = {"as_of": "2026-11-25", "serve": 0.0001, "write": 0.00001, "on_demand": 0.02}
    book = {"as_of": "2026-11-01", "rates": [CACHED]}

    def batch(**usage):
        path = tmp_path / "prices.json"
        path.write_text(json.dumps({**told, "usage": CALL | usage, "book": book}))
        return read_prices(path, today=TODAY).batch

    assert batch() == batch(**PREFIX) == pytest.approx(0.006)
    read, written = (2_000 + 600 + 4_000) / 1e6, (2_000 + 7_500 + 4_000) / 1e6
    assert batch(**PREFIX, ahead_cached_share=0.5) == pytest.approx((read + written) / 2 / 2)


@pytest.mark.parametrize(
    ("usage", "says"),
    [
        ({"prefix_tokens": 8_001}, "prefix_tokens=8001: the prefix is a part of the input=8000"),
        ({"prefix_tokens": -1}, "prefix_tokens=-1"),
        ({"prefix_tokens": 1, "cached_share": 1.1}, "cached_share=1.1 must be a share"),
        ({"prefix_tokens": 1, "ahead_cached_share": -0.1}, "ahead_cached_share=-0.1 must be a share"),
        ({"cached_share": 0.5}, "needs prefix_tokens"),
        ({"tokens": {"input": 9, "cache_read": 9}, "prefix_tokens": 1}, "state the one or the other"),
        ({"prefix_tokens": 1, "ttl": "2h"}, "ttl"),
    ],
)
def test_a_prefix_that_cannot_be(tmp_path, usage, says):
    """A prefix longer than the input, shares outside 0 to 1, both ways to state it, and unknown times are refused."""
    with pytest.raises(BadInput, match=says):
        priced(tmp_path, usage=CALL | usage, line=CACHED)


@pytest.mark.parametrize(
    ("usage", "lacking"),
    [
        ({"tokens": {"input": 9, "cache_read": 9}}, "cache_read"),
        ({"tokens": {"input": 9, "cache_write_hour": 9}}, "cache_write_hour"),
    ],
)
def test_stated_cached_tokens_need_their_price(tmp_path, usage, lacking):
    """Cached tokens that are stated by kind are refused if the book has no price for them."""
    with pytest.raises(BadInput, match=f"has no {lacking} price; add the multiplier to the price book"):
        priced(tmp_path, usage=CALL | usage, line=PLAIN)


def test_a_prefix_that_is_read_needs_the_price_of_its_writes(tmp_path):
    """A rate with reads and without writes is refused; a write that costs as much as input is stated as 1."""
    line = PLAIN | {"cache_read": 0.1}
    with pytest.raises(BadInput, match="has no cache_write price"):
        priced(tmp_path, usage=CALL | PREFIX, line=line)
    assert priced(tmp_path, usage=CALL | PREFIX, line=line | {"cache_write": 1.0}).on_demand < 0.007


def adopted(prices):
    """Return a plan that precomputes everything, made at these prices."""
    _, flip = decided(prices)
    return AdoptedPlan(ALL, 0.0, "cheapest", asdict(prices), {"flip_factor": flip})


@pytest.mark.parametrize(
    ("tokens", "share", "action"), [(6_000, 0.95, "plan anew"), (7_000, 0.99, "compute on request")]
)
def test_cache_prices_alone_are_a_change_of_price(tmp_path, tokens, share, action):
    """A book that only gains cache prices makes computing on request cheaper, which the trigger says."""
    usage = CALL | {"prefix_tokens": tokens, "cached_share": share}
    before, after = (priced(tmp_path, usage=usage, line=line) for line in (PLAIN, CACHED))
    assert before.on_demand == pytest.approx(0.012)
    (proposal,) = changed_prices({"lists": adopted(before)}, {"lists": after}, 9.0)
    assert (proposal.trigger, proposal.task, proposal.action) == ("price", "lists", action)
    times = before.on_demand / after.on_demand
    assert proposal.evidence["times_cheaper"] == pytest.approx(times)
    assert f"{times:.3g}x cheaper" in proposal.reason
    assert changed_prices({"lists": adopted(after)}, {"lists": after}, 9.0) == []


def test_a_prefix_that_is_mostly_read_makes_calls_five_times_cheaper(tmp_path):
    """Cache prices alone reach the trigger of the example, five times cheaper, if most tokens are a prefix."""
    usage = CALL | {"tokens": {"input": 11_600, "output": 100}, "prefix_tokens": 11_000, "cached_share": 0.999}
    before, after = (priced(tmp_path, usage=usage, line=line) for line in (PLAIN, CACHED))
    (proposal,) = changed_prices({"lists": adopted(before)}, {"lists": after}, 9.0)
    assert proposal.evidence["times_cheaper"] > 5
    assert proposal.action == "compute on request"


def test_a_cheaper_batch_beside_it_needs_a_new_plan(tmp_path):
    """If the batch price follows from the same book, cache prices change both, and the flip factor does not decide."""

    def both(line, **usage):
        told = {"as_of": "2026-11-25", "serve": 0.0001, "write": 0.00001}
        path = tmp_path / "prices.json"
        book = {"as_of": "2026-11-01", "rates": [line]}
        path.write_text(json.dumps({**told, "usage": CALL | usage, "book": book}))
        return read_prices(path, today=TODAY)

    told = {"prefix_tokens": 7_000, "cached_share": 0.99, "ahead_cached_share": 0.9}
    before, after = both(PLAIN, **told), both(CACHED, **told)
    plan = AdoptedPlan(ALL, 0.0, "cheapest", asdict(before), {"flip_factor": 1.5})
    (proposal,) = changed_prices({"lists": plan}, {"lists": after}, 9.0)
    assert proposal.evidence["times_cheaper"] > 1.5
    assert proposal.action == "plan anew"
    assert proposal.reason.endswith("but other prices changed too: batch")


async def test_a_prefix_has_no_prices_of_its_own(world):
    """Prices for a prefix are refused with what to state instead, and its plan is compared with no task's prices."""
    tasks = pb.Registry()

    @parbake_llm.prefix(tasks, **contract())
    def base(variant: str) -> list[Block]:
        return [Block("rules", variant)]

    app = world.app(tasks, plugins=[Planner(), Prompts()])
    await app.drain()
    with pytest.raises(BadInput, match=r"'base' is a prefix.*usage\.prefix_tokens") as caught:
        await app.plugins[Planner].triggers(prices={"base": STORY})
    assert caught.value.field == "prices"
    plan = AdoptedPlan("always 5m", 0.0, "saves", {"token_usd": 1e-6}, {"break_even": 0.28})
    assert changed_prices({"base": plan}, {"base": STORY}, 9.0) == []


PAGE = Path(__file__).parents[3] / "docs/explanation/economics.md"
APPROACHES = {"full real-time": (0.92, 180_000, 0.8), "hybrid": (0.89, 52_000, 0.15),
              "fully precomputed": (0.71, 8_000, 0.005)}  # fmt: skip
"""Quality, cost a month in US dollars and latency in seconds, as the design states them."""
MONTH = 30_000_000
SERVE = 0.0001


@pytest.fixture(scope="module")
def page():
    """Return the page on economics."""
    return PAGE.read_text()


@pytest.fixture
def shown(page, tmp_path):
    """Return the prices that the page's example of a cached prefix gives, with and without the cache."""
    (text,) = [one for one in re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE) if "prefix" in one]
    stated = json.loads(text)
    found = []
    for shares in ({}, {"cached_share": 0.0, "ahead_cached_share": 0.0}):
        path = tmp_path / "prices.json"
        path.write_text(json.dumps(stated | {"usage": stated["usage"] | shares}))
        found.append(read_prices(path, today=TODAY))
    return found


def test_the_table_of_a_million_requests_a_day(page, shown):
    """Each row of the page's first table follows from its JSON example and the figures of the design."""
    cached, plain = shown
    assert plain.on_demand == pytest.approx(0.00057)
    assert plain.on_demand < 52_000 / MONTH
    saved = MONTH * (plain.on_demand - cached.on_demand)
    serving = MONTH * SERVE
    after = {
        "full real-time": 180_000 - saved,
        "hybrid": 52_000 - saved,
        "fully precomputed": serving + (8_000 - serving) * cached.batch / plain.batch,
    }
    measured = {
        name: Measured(quality=quality, cost=after[name], latency_s=latency)
        for name, (quality, _, latency) in APPROACHES.items()
    }
    for name, (_, before, _) in APPROACHES.items():
        index = qacpi(measured[name], measured["full real-time"])
        share = f"{1 - after[name] / before:.0%}".replace("%", " %")
        assert f"| {name} | ${before:,} | ${after[name]:,.0f} | {share} | {index:.1f} |" in page
    assert f"gains least**, ${8_000 - after['fully precomputed']:,.0f} a month" in page
    assert f"from $44,000 to ${after['hybrid'] - after['fully precomputed']:,.0f} a month" in page


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("| not cached | |", {}),
        ("| 6,000 tokens | 95 % of the calls |", PREFIX),
        ("| 7,000 tokens | 99 % of the calls |", {"prefix_tokens": 7_000, "cached_share": 0.99}),
    ],
)
def test_the_table_of_recommendations(page, tmp_path, words, told):
    """Each row of the page's second table is what the planner computes."""
    prices = priced(tmp_path, usage=CALL | told, line=CACHED)
    volume, flip = decided(prices)
    when = f"{flip:.2f}x cheaper" if flip > 1 else "now"
    assert f"{words} ${prices.on_demand:.5f} | {volume:,.0f} | {when} |" in page
