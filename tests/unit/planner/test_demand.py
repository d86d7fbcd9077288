"""The default demand predictor: its calibration, and that it does not use the future."""

import numpy as np
import pytest

from parbake.values.logistic import sigmoid
from parbake_planner.breakeven import STORY
from parbake_planner.forecast.predictors import HabitPredictor, calibration_error, fit_demand
from parbake_planner.forecast.request_log import DAY, checked
from parbake_planner.forecast.windows import cut
from parbake_planner.per_key import Activity
from parbake_planner.plan import prepare

BEGIN, WIDTH = 1_790_812_800.0, 6 * 3600.0


def shop(seed=0, *, days=28, keys=4_000, per_day=500.0, swing=0.0, drop=1.0):
    """Draw requests of Zipf users; ``swing`` is the effect of the hour, ``drop`` the last week's share."""
    rng = np.random.default_rng(seed)
    rate = rng.permutation(np.arange(1, keys + 1.0) ** -0.9)
    hours = 1 + swing * np.cos((np.arange(4) - 2) / 4 * 2 * np.pi)
    found = []
    for window in range(days * 4):
        share = hours[window % 4] / 4 * (drop if window >= (days - 7) * 4 else 1.0)
        who = rng.choice(keys, rng.poisson(per_day * share), p=rate / rate.sum())
        found.append((who, BEGIN + (window + rng.random(len(who))) * WIDTH))
    key, time = (np.concatenate(part) for part in zip(*found, strict=True))
    return checked(key.astype(np.int32), time, keys=int(key.max()) + 1, now=BEGIN + 99 * DAY, population=keys)


def forecasts(log, judged):
    """Return predicted chances and outcomes over these windows."""
    windows = cut(log, WIDTH)
    past = Activity(log, windows)
    demand, keys = HabitPredictor().fit(past, judged.start), np.arange(log.keys, dtype=np.int32)
    chance = [demand.p(keys, window) for window in judged]
    return np.concatenate(chance), np.concatenate([np.isin(keys, past.active(window)) for window in judged])


@pytest.mark.parametrize("swing", [0.0, 0.8])
def test_probabilities_are_calibrated(swing):
    """At a base rate of two to three percent, the mean calibration error is at most half a point."""
    chance, hit = forecasts(shop(swing=swing), range(84, 112))
    assert 0.01 < hit.mean() < 0.04
    assert calibration_error(chance, hit) <= 0.005


def test_regulars_are_told_from_strangers_and_noon_from_night():
    """Keys that come have a higher chance, and a busy time of day has higher chances."""
    chance, hit = forecasts(shop(swing=0.8), range(84, 88))
    assert chance[hit].mean() > 5 * chance[~hit].mean()
    night, noon = chance[:4_000].mean(), chance[8_000:12_000].mean()
    assert noon > 3 * night


def test_the_future_is_not_seen():
    """Requests from a window on do not change the prediction for it."""
    log = shop()
    cutoff = BEGIN + 21 * DAY
    later = log.time >= cutoff
    moved = log.key.copy()
    moved[later] = 7
    other = checked(moved, log.time, keys=4_000, now=BEGIN + 99 * DAY, population=4_000)
    one, two = (forecasts(each, range(84, 85))[0] for each in (log, other))
    assert np.array_equal(one, two)


def test_too_little_to_learn_from_gives_the_overall_rate():
    """With few requests each key has the same chance."""
    log = shop(keys=4_000, per_day=2.0, days=10)
    chance, _ = forecasts(log, range(30, 31))
    assert len(np.unique(chance)) == 1
    assert 0 <= chance[0] < 0.01


def test_habits_of_one_user_by_hand():
    """A key that comes in every window has a chance near 1; one that came once long ago has a low chance."""
    rng = np.random.default_rng(0)
    daily = np.repeat(np.arange(100), 112)
    steady = BEGIN + (np.tile(np.arange(112), 100) + rng.random(len(daily))) * WIDTH
    rare = BEGIN + rng.random(400) * 5 * DAY
    key = np.concatenate([daily, 100 + np.arange(400)]).astype(np.int32)
    log = checked(key, np.concatenate([steady, rare]), keys=500, now=BEGIN + 99 * DAY)
    chance, _ = forecasts(log, range(100, 101))
    assert chance[:100].min() > 0.95
    assert chance[100:].max() < 0.05


def test_the_fit_finds_the_weights_it_was_drawn_from():
    """The fitted log odds on two columns are near those that generated the data."""
    rng = np.random.default_rng(0)
    columns = rng.normal(3, 2, (60_000, 2)).astype(np.float32)
    logit = -2 + 0.8 * columns[:, 0] - 0.5 * columns[:, 1]
    model = fit_demand(columns, rng.random(60_000) < sigmoid(logit))
    assert np.abs(model.log_odds(columns) - logit).max() < 0.25


def test_calibration_error_by_hand():
    """The error is 1 if all predictions are opposite to the outcomes, and 0 if they match."""
    chance = np.repeat([0.0, 1.0], 100)
    assert calibration_error(chance, chance == 0, bins=2) == 1.0
    assert calibration_error(chance, chance == 1, bins=2) == 0.0


def test_one_fit_per_block_and_none_from_the_future():
    """The policy fits at the start and then at intervals, each time on earlier windows only."""
    asked = []

    class Spy(HabitPredictor):
        def fit(self, past, until):
            asked.append(until)
            return super().fit(past, until)

    study, _ = prepare(shop(), STORY, sla_s=WIDTH)
    study.per_key(study.policy(Spy()))
    assert asked == sorted(set(asked))
    assert asked[0] == study.judged.start
    assert 4 <= len(asked) <= 9


@pytest.mark.parametrize("strangers", [200, 2_000, 20_000])
def test_a_few_regulars_among_many_strangers_are_known(strangers):
    """The fit converges with few regulars: they get a high chance and strangers a low one."""
    regular = np.arange(100 + strangers) < 100
    rng = np.random.default_rng(0)
    columns = np.stack(
        [np.where(regular, -0.1, -6.0), np.where(regular, 0.0, 2.0), regular, rng.normal(0, 0.01, len(regular))], axis=1
    ).astype(np.float32)
    hit = regular & (rng.random(len(regular)) < 0.8)
    chance = fit_demand(columns, hit).probability(columns)
    assert chance[regular].mean() == pytest.approx(0.8, abs=0.1)
    assert chance[~regular].max() < 0.02
