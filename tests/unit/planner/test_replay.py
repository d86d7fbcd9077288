"""The cost of strategies on a log, checked by a plain simulation, a bound and the adoption gate."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parbake.errors import BadInput
from parbake_planner.breakeven import STORY, Prices
from parbake_planner.forecast.request_log import DAY, checked
from parbake_planner.forecast.windows import cut
from parbake_planner.intervals import Resampler
from parbake_planner.per_key import EventCoverage, PerKey, measured_lane, worth
from parbake_planner.plan import (
    ALL,
    LAZY,
    LEAST_GAIN,
    PER_KEY,
    PER_KEY_EVENTS,
    SIMPLE,
    Assumptions,
    Study,
    decided,
    gate,
    make,
    prepare,
)
from parbake_planner.replay import Everything, LazyPolicy, Outcome, clairvoyant, real_time, replay, with_session_starts

BEGIN, WIDTH = 1_790_812_800.0, 6 * 3600.0
NOW = BEGIN + 400 * DAY
TWENTY = dataclasses.replace(STORY, batch=0.012 / 20)
PRICES = dataclasses.replace(STORY, near_line=0.0012, changes_a_day=1.0, stale_serve=0.002)


def shop(seed=0, *, days=14, keys=300, per_day=600.0, zipf=1.0, population=True):
    """Draw a log in which keys differ in their rates."""
    rng = np.random.default_rng(seed)
    rate = np.arange(1, keys + 1.0) ** -zipf
    count = rng.poisson(per_day * days)
    key = rng.choice(keys, count, p=rate / rate.sum()).astype(np.int32)
    time = BEGIN + rng.random(count) * days * DAY
    return checked(key, time, keys=int(key.max()) + 1, now=NOW, population=keys if population else None)


def by_hand(log, windows, prices, ahead, judged):
    """Simulate each request, with a dictionary of expiry times."""
    stored, cost, hits, stale = {}, 0.0, 0, 0.0
    begin = windows.begin(judged.start)
    rows = [(t, k) for t, k in zip(log.time, log.key, strict=True) if t >= begin - WIDTH]
    for window in (judged.start - 1, *judged):
        start, counts = windows.begin(window), window in judged
        if ahead and counts:
            stored |= dict.fromkeys(range(log.keys), start + WIDTH)
            cost += log.keys * (prices.batch + prices.write)
        for time, key in (r for r in rows if start <= r[0] < start + WIDTH):
            if stored.get(key, 0.0) > time:
                outdated = 1 - np.exp(-prices.changes_a_day / DAY * (time - (stored[key] - WIDTH)))
                cost += counts * (prices.serve + prices.stale_serve * outdated)
                hits += counts
                stale += counts * outdated
            else:
                cost += counts * (prices.on_demand + prices.write)
                stored[key] = time + WIDTH
    return cost, hits, stale


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_replay_equals_a_simulation_request_by_request(seed, ahead):
    """Cost, hits and stale serves of lazy and precompute-all equal the simulation."""
    log = shop(seed, days=4)
    windows, judged = cut(log, WIDTH), range(6, 14)
    found = replay(log, windows, PRICES, Everything(windows) if ahead else LazyPolicy(), judged)
    cost, hits, stale = by_hand(log, windows, PRICES, ahead, judged)
    assert float(found.cost.sum()) == pytest.approx(cost)
    assert found.fresh_hits == hits
    assert found.stale == pytest.approx(stale)


def test_real_time_and_precomputing_all_cost_what_the_formula_says():
    """Real time costs requests times a price; precompute-all costs keys times windows times another."""
    log = shop()
    windows, judged = cut(log, WIDTH), range(20, 40)
    live, ahead = real_time(log, windows, STORY, judged), replay(log, windows, STORY, Everything(windows), judged)
    assert float(live.cost.sum()) == pytest.approx(live.requests * 0.012)
    assert float(ahead.cost.sum()) == pytest.approx(ahead.requests * 0.0001 + 300 * 20 * STORY.ahead)
    assert ahead.share(ahead.fresh_hits) == 1.0
    assert (ahead.p95_s(STORY), live.p95_s(STORY)) == (0.005, 0.8)


class Chosen:
    """A policy that computes random keys ahead in each window."""

    name = "chosen"

    def __init__(self, seed, share, uses_events):
        self.rng, self.share, self.uses_events = np.random.default_rng(seed), share, uses_events

    def picks(self, window, valid_until):
        """Return random keys."""
        return np.flatnonzero(self.rng.random(len(valid_until)) < self.share).astype(np.int32)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000), share=st.floats(0, 1), uses_events=st.booleans(),
    ratio=st.sampled_from([0.5, 1, 1.5, 2, 4, 20, 100]), near=st.floats(0.2, 20),
)  # fmt: skip
def test_no_policy_undercuts_the_bound(seed, share, uses_events, ratio, near):
    """No policy costs less than the bound, at any prices, also if batch costs more than on-demand."""
    batch = 0.012 / ratio
    prices = dataclasses.replace(STORY, batch=batch, near_line=batch * near)
    log = with_session_starts(shop(seed % 3, days=3, keys=60), coverage=0.7, seed=seed)
    windows, judged = cut(log, WIDTH), range(4, 12)
    lazy = replay(log, windows, prices, LazyPolicy(), judged)
    bound = clairvoyant(log, lazy, prices)
    tried = replay(log, windows, prices, Chosen(seed, share, uses_events), judged)
    for outcome in (lazy, tried, real_time(log, windows, prices, judged)):
        assert bound <= outcome.per_day * (1 + 1e-12)


def test_signals_compute_before_the_request_comes():
    """If every session is announced, every request is a hit, and computations have the near-line price."""
    log = with_session_starts(shop(days=4), coverage=1.0, idle_s=0.0)
    windows, judged = cut(log, WIDTH), range(6, 14)
    found = replay(log, windows, PRICES, Chosen(0, 0.0, uses_events=True), judged, precision=0.5)
    lazy = replay(log, windows, PRICES, LazyPolicy(), judged)
    assert found.share(found.fresh_hits) == 1.0
    assert found.near_line == lazy.computed
    assert lazy.requests == found.requests
    assert measured_lane(log, windows, 14) == EventCoverage(1.0, 1.0)
    assert measured_lane(shop(), cut(shop(), WIDTH), 9).coverage == 0.0


@pytest.mark.parametrize(
    ("rows", "coverage", "precision"),
    [
        ([(0, "request")], 0.0, 0.0),
        ([(0, "signal"), (0, "request")], 1.0, 1.0),
        ([(0, "request"), (0, "signal")], 0.0, 0.0),
        ([(0, "signal"), (1, "request")], 0.0, 0.0),
        ([(0, "signal"), (0, "request"), (1, "request"), (2, "request")], 1 / 3, 1.0),
        ([(0, "signal"), (0, "request"), (1, "signal"), (2, "request")], 1 / 2, 1 / 2),
    ],
)
def test_a_lane_is_measured_by_the_signals_that_come_first(rows, coverage, precision):
    """Coverage is a share of requests and precision a share of signals; both are 0 without any."""
    key = np.asarray([key for key, _ in rows], np.int32)
    signal = np.asarray([kind == "signal" for _, kind in rows])
    log = checked(key, BEGIN + 60.0 * np.arange(len(rows)), signal, keys=int(key.max()) + 1, now=NOW)
    windows = cut(log, WIDTH)
    assert measured_lane(log, windows, 1) == EventCoverage(coverage, precision)
    assert measured_lane(log, windows, 0) == EventCoverage(0.0, 0.0)


@pytest.mark.parametrize("chance", [0.0, 0.1, 0.4, 0.9])
def test_staleness_takes_from_what_a_key_is_worth(chance):
    """A key's worth falls by the expected number of serves times the cost of a stale serve."""
    changing = dataclasses.replace(PRICES, stale_serve=0.002)
    lost = -np.log(1 - chance) * changing.stale_serve * changing.stale_share(WIDTH)
    found, unharmed = (
        worth(prices, np.asarray([chance]), WIDTH)[0]
        for prices in (changing, dataclasses.replace(changing, stale_serve=0.0))
    )
    assert unharmed == pytest.approx(chance * changing.miss - changing.ahead)
    assert found == pytest.approx(unharmed - lost)
    assert (found < unharmed) == (chance > 0)


def test_a_key_is_worth_it_from_the_threshold_on():
    """The gain is zero at the threshold, which an event lane raises."""
    prices = dataclasses.replace(STORY, near_line=0.0012)
    assert worth(prices, np.asarray([prices.theta()]), WIDTH)[0] == pytest.approx(0.0)
    lane = EventCoverage(0.8, 0.5)
    spared = 0.8 * (0.0012 + 0.00001) / 0.5 + 0.2 * prices.miss
    assert worth(prices, np.asarray([prices.ahead / spared]), WIDTH, lane)[0] == pytest.approx(0.0)


class Certain:
    """A predictor that gives each key the same chance."""

    def __init__(self, chance):
        self.chance = chance

    def fit(self, past, until):
        """Return itself unchanged."""
        return self

    def p(self, keys, window):
        """Return the same chance for all keys."""
        return np.full(len(keys), self.chance)


def test_a_run_that_does_not_earn_its_fixed_cost_is_left_out():
    """If the job's fixed cost exceeds the gains of all keys, no key is picked."""
    for job, picked in ((0.0, 300), (1e6, 0)):
        study, _ = prepare(shop(), dataclasses.replace(STORY, job=job), sla_s=WIDTH)
        policy = study.policy(Certain(0.5))
        assert len(policy.picks(study.judged.start, np.full(300, -np.inf))) == picked


def test_what_is_stored_already_is_worth_less():
    """A key whose value stays valid for most of the window is not picked."""
    study, _ = prepare(shop(), STORY, sla_s=WIDTH)
    policy: PerKey = study.policy(Certain(0.02))
    window = study.judged.start
    begin = study.windows.begin(window)
    held = np.full(300, begin + 0.3 * WIDTH)
    assert len(policy.picks(window, held)) == 300
    assert len(policy.picks(window, np.full(300, begin + 0.6 * WIDTH))) == 0


@pytest.mark.parametrize("chance", [0.0, 0.005, 0.02, 0.5, 0.999])
@pytest.mark.parametrize("ratio", [2, 10, 100])
def test_the_gate_never_adopts_what_cost_more(ratio, chance):
    """With any predictor, the recommendation costs no more than the best simple rule."""
    prices = dataclasses.replace(STORY, batch=0.012 / ratio)
    for seed in range(2):
        found = make(shop(seed), prices, sla_s=WIDTH, assumed=Assumptions(predictor=Certain(chance)), with_front=False)
        best = min(found.outcomes[name].per_day for name in SIMPLE)
        assert found.outcomes[found.recommended].per_day <= best
        assert found.gates[0].adopted == (max(found.gates[0].ratio.upper, found.gates[0].ratio.value) < 1 - LEAST_GAIN)


def test_the_gate_wants_more_than_luck():
    """Of two strategies with equal mean costs, one is adopted in at most 12 of 100 draws."""
    adopted = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        one, other = rng.lognormal(0, 1, 400), rng.lognormal(0, 1, 400)
        adopted += gate(Outcome("a", one), Outcome("b", other), Resampler(400, seed=seed)).adopted
    assert adopted <= 12


def test_intervals_cover_the_truth():
    """95 % intervals for a skewed total contain the true value in about 95 % of draws."""
    covered = 0
    for seed in range(200):
        values = np.random.default_rng(seed).lognormal(0, 1, 500)
        found = Resampler(500, seed=seed).total(values, scale=1 / 500)
        covered += found.low <= np.exp(0.5) <= found.high
    assert 176 <= covered <= 200


def test_groups_of_users_resample_like_users():
    """Resampling groups of users changes the width of an interval by at most 20 %."""
    values = np.random.default_rng(0).lognormal(0, 1, 20_000)
    alone, dealt = (Resampler(20_000, groups=groups).total(values) for groups in (20_000, 2_000))
    assert (dealt.high - dealt.low) / (alone.high - alone.low) == pytest.approx(1.0, abs=0.2)


def test_a_plan_on_a_shop_with_regulars_chooses_by_key():
    """With few frequent keys the plan is per key, is cheaper than lazy and above the bound."""
    found = make(shop(keys=3_000, days=21), TWENTY, sla_s=WIDTH, assumed=Assumptions(events=EventCoverage(0.8, 0.5)))
    assert found.recommended == PER_KEY
    assert found.gates[0].ratio.upper < 1
    assert found.bound < found.outcomes[PER_KEY].per_day < found.outcomes[LAZY].per_day
    assert "surely" in found.reason
    assert [p.per_day for p in found.front] == sorted(p.per_day for p in found.front)
    assert found.front[0].efficient


@pytest.mark.parametrize("hits", [0.8, 0.9])
def test_a_promise_of_hits_is_kept_at_the_least_cost(hits):
    """With ``hits=`` the plan reaches the share, at more cost than without it and less than precompute-all."""
    log = shop(keys=3_000, days=21)
    free, bound = (make(log, TWENTY, sla_s=WIDTH, with_front=False, hits=h) for h in (None, hits))
    share, fewer = (p.outcomes[PER_KEY].share(p.outcomes[PER_KEY].fresh_hits) for p in (bound, free))
    assert fewer < hits <= share < 1.0
    assert (bound.recommended, bound.second > 0) == (PER_KEY, True)
    assert free.outcomes[PER_KEY].per_day < bound.outcomes[PER_KEY].per_day < bound.outcomes[ALL].per_day
    assert f"requested {100 * hits:g} % of hits" in bound.reason
    assert bound.theta < free.theta


def test_a_promise_that_nothing_keeps_is_told():
    """If no strategy reaches the share of hits, the reason says so; a share above 1 is refused."""
    found = make(shop(keys=3_000, days=21, population=False), TWENTY, sla_s=WIDTH, with_front=False, hits=0.9999)
    assert "no strategy keeps" in found.reason
    with pytest.raises(BadInput, match="above 0 and below 1"):
        make(shop(), TWENTY, sla_s=WIDTH, hits=84.0)


def test_an_assumed_event_lane_is_shown_and_not_recommended():
    """A cheaper strategy that rests on an assumption is not recommended, unless the log has signals."""
    log, prices = shop(keys=3_000, days=21), dataclasses.replace(TWENTY, near_line=0.0012)
    found = make(log, prices, sla_s=WIDTH, assumed=Assumptions(events=EventCoverage(0.8, 0.5)), with_front=False)
    assert found.outcomes[PER_KEY_EVENTS].per_day < found.outcomes[PER_KEY].per_day
    assert (found.recommended, found.assumed) == (PER_KEY, (PER_KEY_EVENTS,))
    seen = make(with_session_starts(log, coverage=0.8), prices, sla_s=WIDTH, with_front=False)
    assert (seen.recommended, seen.assumed) == (PER_KEY_EVENTS, ())


def test_where_precomputing_all_wins_it_is_recommended():
    """If every key comes in every window and batch is cheap, precompute-all is recommended."""
    found = make(shop(keys=20, per_day=2_000, zipf=0.0), STORY, sla_s=WIDTH, with_front=False)
    assert found.recommended == ALL
    assert found.break_even == pytest.approx(20 * 4 * STORY.ahead / 0.0119)


@pytest.mark.parametrize("days", [2, 5])
def test_a_short_log_gets_a_simple_rule_that_says_why(days):
    """With less than a week of log a simple rule is recommended, with the reason."""
    found = make(shop(days=days), STORY, sla_s=WIDTH)
    assert found.recommended in SIMPLE
    assert PER_KEY not in found.outcomes
    assert f"covers {days}.0 days" in found.reason


def test_a_log_of_few_windows_gets_a_simple_rule():
    """With two windows a simple rule is recommended, with the reason."""
    found = make(shop(days=14), STORY, sla_s=7 * DAY)
    assert found.recommended in SIMPLE
    assert "too few to learn" in found.reason


def test_one_key_with_most_requests_gets_a_simple_rule():
    """If one key has nine in ten requests a simple rule is recommended, with the reason."""
    log = shop(days=14)
    key = log.key.copy()
    key[np.random.default_rng(0).random(len(key)) < 0.9] = 0
    found = make(checked(key, log.time, keys=300, now=NOW), STORY, sla_s=WIDTH)
    assert found.recommended in SIMPLE
    assert "one key makes" in found.reason


def test_one_request_is_a_log():
    """A log of one request gives a simple rule with finite costs."""
    log = checked(np.zeros(1, np.int32), np.asarray([BEGIN + 60]), keys=1, now=NOW)
    found = make(log, STORY, sla_s=WIDTH)
    assert found.recommended in SIMPLE
    assert np.isfinite(found.outcomes[LAZY].per_day)


def test_dearer_batch_than_on_request_is_never_used():
    """If batch costs twice as much as on-demand, nothing is computed ahead."""
    found = make(shop(), Prices(on_demand=0.01, serve=0.0, batch=0.02, write=0.0), sla_s=WIDTH, with_front=False)
    assert found.outcomes[PER_KEY].ahead == 0
    assert found.recommended == LAZY


def test_unknown_keys_are_never_computed_ahead():
    """Without a known population, only keys with earlier requests are computed ahead."""
    log = shop(keys=2_000, days=10, population=False)
    study, doubts = prepare(log, STORY, sla_s=WIDTH)
    assert doubts == ()
    ahead = replay(log, study.windows, STORY, Everything(study.windows), range(20, 21))
    assert ahead.ahead == len(np.unique(log.key[log.time < study.windows.begin(20)]))
    assert decided(Study(log, study.windows, STORY, study.judged), study.simple(), ["no reason"]).recommended in SIMPLE
