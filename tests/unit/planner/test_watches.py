"""Reversal triggers, checked by formulas and on simulated days."""

import dataclasses
import math

import numpy as np
import pytest

from parbake.errors import BadInput
from parbake_planner.breakeven import STORY
from parbake_planner.detectors import DAY, HOUR, HitRate, batch_dearer, lower_bound, peak_slower, price_changed, student


def hour_of(rng, rate, hour):
    """Draw the requests and hits of an hour: 200 requests, with a daily swing of 1.5 points."""
    requests = int(rng.poisson(200))
    return {"requests": requests, "hits": int(rng.binomial(requests, rate + 0.015 * math.sin(hour / 24 * 2 * math.pi)))}


@pytest.mark.parametrize("rate", [0.605, 0.62])
@pytest.mark.parametrize("seed", range(5))
def test_sixty_good_days_propose_nothing_and_a_real_drop_is_found_within_a_day(seed, rate):
    """Sixty good days give no proposal, a drop to 55 % gives one within 24 hours, and a recovery clears it."""
    rng, watch, hourly = np.random.default_rng(seed), HitRate("candidates"), []
    for hour in range(60 * 24):
        seen = hour_of(rng, rate, hour)
        hourly.append(seen["hits"] < 0.6 * seen["requests"])
        assert watch.observe(hour * HOUR, **seen) is None
    assert np.count_nonzero(np.diff(hourly)) > 200
    found = [watch.observe((60 * 24 + hour) * HOUR, **hour_of(rng, 0.55, hour)) for hour in range(24)]
    (proposal,) = [each for each in found if each]
    assert proposal.evidence["rate"] < 0.6
    assert "lower the threshold" in proposal.action
    for hour in range(61 * 24, 65 * 24):
        assert watch.observe(hour * HOUR, **hour_of(rng, 0.70, hour)) is None
    assert not watch.is_low


def test_a_watch_waits_a_day_between_changes():
    """A rate that jumps every six hours changes the state at most once a day."""
    watch, changed, was = HitRate("candidates"), [], False
    for hour in range(30 * 24):
        rate = 0.2 if hour // 40 % 2 else 0.95
        watch.observe(hour * HOUR, requests=1000, hits=int(1000 * rate))
        if watch.is_low != was:
            changed.append(hour)
            was = watch.is_low
    assert len(changed) > 5
    assert min(np.diff(changed)) >= 24


def test_few_requests_prove_nothing():
    """Few or no requests give no proposal, and more hits than requests are refused."""
    watch = HitRate("candidates")
    assert watch.observe(0.0, requests=0, hits=0) is None
    assert math.isnan(watch.rate)
    assert watch.observe(HOUR, requests=10, hits=0) is None
    with pytest.raises(BadInput):
        watch.observe(2 * HOUR, requests=1, hits=2)


def compared(seed, *, mean, days=30, switching=1.0):
    """Compare batch with real time on simulated days of four windows, of about $10 each."""
    rng = np.random.default_rng(seed)
    live = rng.normal(10, 2, days * 4)
    batch = live + rng.normal(mean, 1.0, days * 4)
    batch, live = (each.reshape(days, 4).sum(axis=1) for each in (batch, live))
    return batch_dearer("t", 0.0, batch=batch, real_time=live, switching=switching)


def test_batch_that_costs_more_is_switched_only_when_that_is_sure_and_pays():
    """A difference is proposed only if it is certain, long enough observed and above the cost of switching."""
    assert sum(compared(seed, mean=0.0, switching=0.0) is not None for seed in range(100)) <= 10
    found = compared(0, mean=1.0)
    assert 2.0 < found.saving < found.evidence["mean_a_day"] < 4.5
    assert compared(0, mean=1.0, switching=1_000.0) is None
    assert compared(0, mean=1.0, days=5) is None
    assert compared(0, mean=-1.0) is None
    with pytest.raises(ValueError, match="shorter"):
        batch_dearer("t", 0.0, batch=[1.0], real_time=[], switching=0.0)


@pytest.mark.parametrize(("on_demand", "action"), [(0.0064, "compute on request"), (0.0070, "plan anew")])
def test_any_change_of_price_plans_anew_and_past_the_flip_real_time_wins(on_demand, action):
    """A changed price gives a proposal to plan anew, and past the flip factor to compute on request."""
    after = dataclasses.replace(STORY, on_demand=on_demand)
    proposal = price_changed("t", 0.0, before=STORY, after=after, flip=0.012 / 0.0066)
    assert proposal.action == action
    assert price_changed("t", 0.0, before=STORY, after=STORY, flip=1.82) is None


def peaks(seed, times, days=14):
    """Draw the p95 of the same hours with and without the batch lane."""
    rng = np.random.default_rng(seed)
    off = np.exp(rng.normal(-1.5, 0.3, days))
    return {"off": off, "on": off * times * np.exp(rng.normal(0, 0.1, days))}


def test_batch_that_slows_requests_is_throttled_first_and_moved_then():
    """If batch slows requests, the proposal is to throttle, and to move the runs if that did not help."""
    found = [peak_slower("t", 0.0, **peaks(seed, 1.0), is_throttled=False) for seed in range(100)]
    assert sum(one is not None for one in found) <= 8
    for is_throttled, word in ((False, "throttle"), (True, "move")):
        assert word in peak_slower("t", DAY, **peaks(0, 1.2), is_throttled=is_throttled).action


def test_quantiles_of_student_are_those_of_the_tables():
    """One-sided 95 % quantiles are 1.943 at 6 degrees of freedom and 1.699 at 29."""
    assert student(0.95, 6) == pytest.approx(1.943, abs=0.002)
    assert student(0.95, 29) == pytest.approx(1.699, abs=0.001)
    assert lower_bound([1.0] * 6) == -math.inf
