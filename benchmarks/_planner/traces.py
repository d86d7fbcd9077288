"""Real traces: strategies at every price ratio, decided on the past and paid on later windows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import _peers
import numpy as np
from _report import Goal, show
from numpy.typing import NDArray

from parbake_planner.forecast.predictors import HabitPredictor, calibration_error
from parbake_planner.forecast.request_log import DAY, Codes, RequestLog, checked
from parbake_planner.intervals import Interval, Resampler
from parbake_planner.per_key import Activity, PerKey
from parbake_planner.plan import ALL, PER_KEY, SIMPLE, Study, gate, prepare
from parbake_planner.replay import Outcome, replay

from .economics import prices

RATIOS = (100, 50, 20, 10, 5, 4, 3, 2)
DECIDE_FROM, PAY_FROM, BLOCKS, REFITS = 0.3, 0.5, 6, 16
"""The parts of the log from which strategies are judged, and from which they are paid; how often it is decided anew."""
LIMITS = {100: 0.66, 20: 0.78, 10: 0.92}


@dataclass(slots=True)
class Gated:
    """The strategy that was adopted for each window; what a planner that plans anew from time to time does."""

    per_key: PerKey
    chosen: dict[int, str]
    name: str = "gated"
    uses_events: bool = False

    def picks(self, window: int, valid_until: NDArray[np.float64]) -> Codes:
        """What the strategy in force computes ahead."""
        strategy = self.chosen[window]
        if strategy == PER_KEY:
            return self.per_key.picks(window, valid_until)
        known = np.flatnonzero(self.per_key.past.windows.known <= window).astype(np.int32)
        return known if strategy == ALL else known[:0]


@dataclass(frozen=True)
class Paid:
    """What one ratio came to: dollars a day by strategy, the gated cost over the best simple rule, what was chosen."""

    ratio: float
    per_day: dict[str, float]
    cost: Interval
    ungated: float
    chosen: tuple[str, ...]
    hit: float


def cdnow() -> RequestLog:
    """The purchases of 23,570 customers over 18 months (Fader & Hardie), a day being all that is known of a time."""
    found = _peers.run("cdnow.py")
    names: dict[str, int] = {}
    key = np.asarray([names.setdefault(name, len(names)) for name in found["customer"]], dtype=np.int32)
    noon = [dt.datetime.strptime(day + "12+0000", "%Y%m%d%H%z").timestamp() for day in found["day"]]
    return checked(key, np.asarray(noon), keys=len(names), now=max(noon) + DAY)


def pay(log: RequestLog, width: float, ratios: tuple[float, ...] = RATIOS) -> tuple[list[Paid], float]:
    """Decide and pay at each ratio; and the calibration error over the paid windows."""
    study, doubts = prepare(log, prices(ratios[0]), sla_s=width)
    if doubts:
        raise SystemExit(f"this trace cannot be judged: {'; '.join(doubts)}")
    count = int(np.flatnonzero(study.windows.usable)[-1]) + 1
    since, paid = int(count * DECIDE_FROM), range(int(count * PAY_FROM), count)
    refits = tuple(sorted({since + n * (count - since) // REFITS for n in range(REFITS)}))
    policy = PerKey(Activity(log, study.windows), study.prices, HabitPredictor(), refits)
    found = [_at(replace_prices(study, ratio), policy, since, paid) for ratio in ratios]
    usable = [window for window in paid if study.windows.usable[window]]
    chance = np.concatenate([policy.predicted(window) for window in usable]).astype(np.float64)
    hit = np.concatenate([
        np.isin(np.flatnonzero(study.windows.known <= window), policy.past.active(window)) for window in usable
    ])  # fmt: skip
    return found, calibration_error(chance, hit)


def replace_prices(study: Study, ratio: float) -> Study:
    """The same log at another ratio of prices."""
    return replace(study, prices=prices(ratio))


def _at(study: Study, policy: PerKey, since: int, paid: range) -> Paid:
    priced = policy.sharing(study.prices)
    step = max(1, -(-len(paid) // BLOCKS))
    chosen: dict[int, str] = {}
    for begin in range(paid.start, paid.stop, step):
        strategy = _decided(replace(study, judged=range(since, begin)), priced)
        chosen |= dict.fromkeys(range(begin, min(begin + step, paid.stop)), strategy)
    later = replace(study, judged=paid)
    simple = later.simple()
    ungated = later.per_key(priced)
    gated = replay(study.log, study.windows, study.prices, Gated(priced, chosen), paid)
    best = simple[min(SIMPLE, key=lambda name: simple[name].per_day)]
    per_day = {name: outcome.per_day for name, outcome in {**simple, PER_KEY: ungated, "gated": gated}.items()}
    return Paid(
        study.prices.on_demand / study.prices.batch, per_day,
        Resampler(study.log.keys).ratio(gated.cost, best.cost), ungated.per_day / best.per_day,
        tuple(dict.fromkeys(chosen.values())), gated.share(gated.fresh_hits),
    )  # fmt: skip


def _decided(study: Study, priced: PerKey) -> str:
    simple = study.simple()
    best = min(SIMPLE, key=lambda name: simple[name].per_day)
    candidate: Outcome = study.per_key(priced)
    return PER_KEY if gate(candidate, simple[best], Resampler(study.log.keys)).adopted else best


def measure(name: str, log: RequestLog, width: float, *, is_cdnow: bool) -> tuple[dict[str, float], list[Goal]]:
    """The table of one trace; prints it."""
    found, off = pay(log, width)
    rows = [
        (f"{p.ratio:.0f}x", *(p.per_day[s] for s in (*SIMPLE, PER_KEY)), f"{p.cost.value:.3f}",
         f"[{p.cost.low:.3f}, {p.cost.high:.3f}]", f"{p.ungated:.3f}", f"{p.hit:.2f}", ", ".join(p.chosen))
        for p in found
    ]  # fmt: skip
    print(f"{name}: {log.keys:,} keys, {log.requests:,} requests, windows of {width / DAY:g} days; $/day")
    columns = ("batch", *SIMPLE, "per key", "gated / best simple", "95 %", "ungated", "hit", "adopted")
    show(columns, rows)
    figures = {f"{name} {p.ratio:.0f}x: cost / best simple rule": p.cost.value for p in found}
    most = max(p.cost.value for p in found)
    goals = [Goal(f"{name}: cost / best simple rule at 2x to 100x, most", most, "times", "<= 1.00", most <= 1.0)]
    goals.append(Goal(f"{name}: calibration error", off, "", "<= .005", off <= 0.005))
    for p in found:
        if is_cdnow and (limit := LIMITS.get(round(p.ratio))):
            what = f"{name} {p.ratio:.0f}x: cost / best simple rule"
            goals.append(Goal(what, p.cost.value, "times", f"<= {limit}", p.cost.value <= limit))
    return figures, goals
