"""Learning when traffic is low, and choosing the start of a batch run."""

import datetime as dt
import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parbake.errors import BadInput
from parbake.lanes.batch.off_peak_windows import DAY, Flat, cheapest, declared
from parbake_planner.traffic import HOUR, Learned, learn

MONDAY = 1_791_763_200.0
"""A Monday's midnight, UTC."""


def log(days, of_hour, seed=3):
    """Return requests by minute until MONDAY; ``of_hour(weekday, hour)`` is the mean of a minute."""
    draw, counts = random.Random(seed), {}
    first = int(MONDAY // 60) - days * 1440
    for minute in range(first, int(MONDAY // 60)):
        moment = dt.datetime.fromtimestamp(minute * 60, dt.UTC)
        mean = of_hour(moment.weekday(), moment.hour + moment.minute / 60)
        count = int(mean) + (draw.random() < mean % 1)
        if count:
            counts[minute] = count
    return counts


def day_curve(_weekday, hour):
    """Return the traffic of an hour, with a minimum at four in the morning."""
    return 6 - 5 * math.cos((hour - 4) / 12 * math.pi)


def test_the_trough_of_a_day_is_found():
    """An hour of work that may start at any time starts at night, when a week's traffic is lowest."""
    load = learn(log(7, day_curve), MONDAY)
    start = cheapest(load, MONDAY - DAY, (DAY, 2 * DAY - HOUR), HOUR, nominal=MONDAY + DAY / 2)
    assert 3 <= (start - MONDAY) / HOUR <= 4.5


def test_weekdays_are_told_apart_after_two_weeks():
    """Three weeks of traffic are learned by weekday, and one week by hour only."""
    load = learn(log(21, lambda weekday, _: 1 if weekday == 6 else 8), MONDAY)
    start = cheapest(load, MONDAY, (0, 6.9 * DAY), 2 * HOUR, nominal=MONDAY + DAY)
    assert dt.datetime.fromtimestamp(start, dt.UTC).weekday() == 6
    week = learn(log(7, lambda weekday, _: 1 if weekday == 6 else 8), MONDAY)
    assert len(load.hours) == 168
    assert len(week.hours) == 24


def test_one_outage_makes_no_window():
    """One day without traffic at noon, or with a peak at night, does not change what is learned."""
    counts = log(9, day_curve)
    at_noon, at_night = (int((MONDAY - 3 * DAY + hour * HOUR) // 60) for hour in (12, 4))
    counts |= {at_night + n: 500 for n in range(60)}
    counts = {m: c for m, c in counts.items() if not at_noon <= m < at_noon + 60}
    load = learn(counts, MONDAY)
    assert load.at(MONDAY + 12.5 * HOUR) > 3 * load.at(MONDAY + 4.5 * HOUR)


def test_four_runs_a_day_each_take_the_cheapest_slot_of_their_deadline():
    """Runs within their deadlines meet at least 5 % less traffic than the average."""
    load = learn(log(7, day_curve), MONDAY)
    at, starts = MONDAY, []
    for _ in range(40):
        at = cheapest(load, at, (4.75 * HOUR, 7.25 * HOUR), 0.75 * HOUR, at + 6 * HOUR)
        starts.append(at)
    assert all(4.7 * HOUR <= b - a <= 7.3 * HOUR for a, b in itertools.pairwise(starts))
    met = [load.at(start + 0.375 * HOUR) for start in starts]
    assert sum(met) / len(met) < 0.95 * sum(load.hours) / 24


@pytest.mark.parametrize("counts", [{}, log(1, day_curve), {int(MONDAY // 60) - 5: 3}])
def test_too_short_a_log_says_nothing(counts):
    """With less than two days of traffic a run starts when its period is over."""
    load = learn(counts, MONDAY)
    assert isinstance(load, Flat)
    assert cheapest(load, MONDAY, (0, DAY), HOUR, nominal=MONDAY + HOUR) == MONDAY + HOUR


def test_a_declared_window_follows_the_clock_on_the_wall():
    """A window from 22 to 6 in Berlin is 20 to 4 UTC in summer and 21 to 5 in winter."""
    night = declared(["22:00-06:00"], "Europe/Berlin")
    for day, quiet in (((2026, 7, 1), 20), ((2026, 1, 15), 21)):
        moment = dt.datetime(*day, tzinfo=dt.UTC).timestamp()
        assert [hour for hour in range(24) if night.at(moment + hour * HOUR) == 0] == sorted(
            (quiet + n) % 24 for n in range(8)
        )


@pytest.mark.parametrize(
    ("windows", "zone", "field"),
    [
        (["22-6"], "UTC", "off_peak"),
        (["25:00-06:00"], "UTC", "off_peak"),
        (["06:00-06:00"], "UTC", "off_peak"),
        (["22:00-06:00"], "Europe/Atlantis", "zone"),
        (["22:00-06:00"], "../etc/passwd", "zone"),
    ],
)
def test_a_window_that_is_none_is_refused(windows, zone, field):
    """An invalid window or time zone is refused by its field."""
    with pytest.raises(BadInput) as caught:
        declared(windows, zone)
    assert caught.value.field == field


@given(
    st.floats(0, 1e5),
    st.floats(-1e4, 2e5),
    st.floats(1, 2e4),
    st.floats(-1e5, 3e5),
    st.lists(st.floats(0, 9), min_size=24, max_size=24),
)
def test_a_slot_lies_between_the_earliest_and_the_latest(width, offset, duration, nominal, hours):
    """The chosen start is within the allowed interval for any load."""
    load, least = Learned(tuple(hours)), abs(offset)
    start = cheapest(load, MONDAY, (least, least + width), duration, MONDAY + nominal)
    assert least - 1e-3 <= start - MONDAY <= least + width + 1e-3
