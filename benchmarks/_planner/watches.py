"""Refresh intervals, reversal triggers on simulated days, and what batch work does to the peak."""

from __future__ import annotations

import math
from statistics import median

import numpy as np
from _report import Goal, show

from parbake.lanes.batch.off_peak_windows import cheapest
from parbake_planner.detectors import DAY, HOUR, HitRate
from parbake_planner.traffic import learn

from . import refresh
from .world import MONDAY

KEYS, SPREADS = 50_000, (1.0, 1.5, 2.0)
REFRESH, STALE = 0.00012, 0.001
READS_A_DAY = 1.0
EVERY_6_H, QUARTER = 4.0, 1.0
SETTLED = 7
"""Runs after which a daily batch has moved into the trough, a quarter of a day at a time."""
DAYS, RATES, SWING, PER_HOUR, DROPPED = 60, (0.605, 0.62), 0.015, 200, 0.55


def refreshing(seeds: int) -> tuple[dict[str, float], list[Goal]]:
    """Intervals per key against the best single one, and a quarter of the budget; over lognormal reads and changes."""
    rows, figures = [], {}
    for spread in SPREADS:
        found = [_refreshed(np.random.default_rng(seed), spread) for seed in range(seeds)]
        cheaper, six, quarter = (median(values) for values in zip(*found, strict=True))
        rows.append((f"sigma {spread:g}", f"{cheaper:.2f}", f"{six:.3f}", f"{quarter:.3f}"))
        figures |= {
            f"refresh, sigma {spread:g}: single / per key": cheaper,
            f"refresh, sigma {spread:g}: fresh, all every 6 h": six,
            f"refresh, sigma {spread:g}: fresh, a quarter of it by need": quarter,
        }
    print(f"refresh: {KEYS:,} keys, reads and changes lognormal")
    show(("spread", "best single / per key", "fresh, all every 6 h", "fresh, a quarter of the budget"), rows)
    cheaper = figures["refresh, sigma 2: single / per key"]
    gain = (
        figures["refresh, sigma 2: fresh, a quarter of it by need"] - figures["refresh, sigma 2: fresh, all every 6 h"]
    )
    return figures, [
        Goal("refresh: best single interval / per key (sigma 2)", cheaper, "times", ">= 1.8", cheaper >= 1.8),
        Goal("refresh: freshness on a quarter of the budget minus all every 6 h", gain, "", ">= 0", gain >= 0),
    ]


def _refreshed(rng: np.random.Generator, spread: float) -> tuple[float, float, float]:
    reads = READS_A_DAY * np.exp(rng.normal(0, spread, KEYS))
    changes = np.exp(rng.normal(-1, spread, KEYS))
    each = refresh.per_key(reads, changes, refresh=REFRESH, stale=STALE)
    one = refresh.single(reads, changes, refresh=REFRESH, stale=STALE)
    costs = [float(refresh.cost_rate(reads, changes, t, refresh=REFRESH, stale=STALE).sum()) for t in (one, each)]
    rates = refresh.under_budget(reads, changes, KEYS * QUARTER)
    six = refresh.fresh_share(reads, changes, np.full(KEYS, EVERY_6_H))
    return costs[0] / costs[1], six, refresh.fresh_share(reads, changes, rates)


def triggers(seeds: int) -> tuple[dict[str, float], list[Goal]]:
    """Sixty days without a fault, then a real drop; an hourly check beside the watch."""
    flips, naive, delays = [], [], []
    for seed in range(seeds):
        for rate in RATES:
            watched, hourly, delay = _watched(np.random.default_rng(seed), rate)
            flips.append(watched)
            naive.append(hourly)
            delays.append(delay)
    print(f"triggers: {DAYS} days at true rates of {RATES[0]} to {RATES[1]}, {PER_HOUR} requests/h, then {DROPPED}")
    shown = (f"{max(flips)}", f"{min(naive)} to {max(naive)}", f"{min(delays):.0f} to {max(delays):.0f} h")
    show(("false flips, most", "an hourly check", "a drop found after"), [shown])
    figures = {"triggers: false flips": float(max(flips)), "triggers: hourly check, median flips": median(naive),
               "triggers: drop found after, h, most": max(delays)}  # fmt: skip
    return figures, [
        Goal("triggers: false flips in 60 days, most of all runs", max(flips), "", "= 0", max(flips) == 0),
        Goal("triggers: a real drop is found after, most", max(delays), "h", "<= 24", max(delays) <= 24),
    ]


def _watched(rng: np.random.Generator, rate: float) -> tuple[int, int, float]:
    watch, flips, naive, was_low = HitRate("candidates"), 0, 0, False
    for hour in range(DAYS * 24):
        requests, hits = _hour(rng, rate, hour)
        before = watch.is_low
        watch.observe(hour * HOUR, requests=requests, hits=hits)
        flips += watch.is_low != before
        naive += (hits < 0.6 * requests) != was_low
        was_low = hits < 0.6 * requests
    for hour in range(DAYS * 24, (DAYS + 5) * 24):
        requests, hits = _hour(rng, DROPPED, hour)
        if watch.observe(hour * HOUR, requests=requests, hits=hits):
            return flips, naive, hour - DAYS * 24 + 1.0
    return flips, naive, math.inf


def _hour(rng: np.random.Generator, rate: float, hour: int) -> tuple[int, int]:
    requests = int(rng.poisson(PER_HOUR))
    return requests, int(rng.binomial(requests, rate + SWING * math.sin(hour / 24 * 2 * math.pi)))


def off_peak(seeds: int) -> tuple[dict[str, float], list[Goal]]:
    """Batch work of 30 % of a day's requests, in the window that was learned and from midnight to six."""
    rows, most = [], 0.0
    for phase in (0, 6, 12, 18):
        learned, fixed = [], []
        for seed in range(seeds):
            chosen, midnight = _peaks(np.random.default_rng(seed), phase)
            learned.append(chosen)
            fixed.append(midnight)
        most = max(most, *learned)
        rows.append((f"{phase:02d}:00", f"{median(learned):.1%}", f"{median(fixed):.1%}"))
    print("off-peak: how much batch work of 30 % of a day's requests raises the peak, by when the trough is")
    show(("trough (UTC)", "learned window", "fixed 00-06"), rows)
    return {"off-peak: peak increase": most}, [Goal("off-peak: the peak rises by, most", most, "", "= 0", most <= 1e-9)]


def _peaks(rng: np.random.Generator, trough: int) -> tuple[float, float]:
    hours = np.arange(24)
    mean = 600 * (1 - 0.8 * np.cos((hours - trough) / 24 * 2 * np.pi))
    minutes = rng.poisson(np.repeat(np.tile(mean, 14), 60) / 60)
    begin = int(MONDAY // 60)
    load = learn({begin + n: int(count) for n, count in enumerate(minutes)}, MONDAY + 14 * DAY)
    now = MONDAY + 14 * DAY
    start = now
    for _ in range(SETTLED):
        start = cheapest(load, start, (0.75 * DAY, 1.25 * DAY), 6 * HOUR, nominal=start + DAY)
    work = 0.3 * mean.sum() / 6
    found = []
    for at in (int((start - now) // HOUR) % 24, 0):
        busy = mean.copy()
        busy[(at + np.arange(6)) % 24] += work
        found.append(float(busy.max() / mean.max() - 1))
    return found[0], found[1]
