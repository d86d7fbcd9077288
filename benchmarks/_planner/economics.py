"""The design's example: what each strategy costs, and how far choosing by history is from knowing the rates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import mean, median

import numpy as np
from _report import Goal, show
from numpy.typing import NDArray

from parbake_planner.breakeven import STORY, Prices
from parbake_planner.forecast.predictors import HabitPredictor, calibration_error
from parbake_planner.forecast.request_log import Codes
from parbake_planner.intervals import Resampler
from parbake_planner.per_key import Activity, EventCoverage, PerKey
from parbake_planner.plan import LAZY, SIMPLE, Study, gate, prepare
from parbake_planner.replay import clairvoyant, replay
from parbake_planner.target import worth_of_a_second

from .world import A_DAY, KINDS, ON, SCALE, WEEK, WIDTH, Kind, World, drawn

PAST_DAYS, JUDGED_DAYS = 28, 7
RATIO, SLOW_RATIO, NEAR_LINE = 100, 4, 10
EVENTS = EventCoverage(coverage=0.8, precision=0.5)
HITS, PROMISED = 0.84, "per key, .84 hits promised"
KNOWN, GUESSED = "true rates", "true rates, weeks unknown"


@dataclass(frozen=True)
class Rates:
    """A predictor that knows the chances that the world was drawn from."""

    chance: NDArray[np.float32]

    def fit(self, past: object, until: int) -> Rates:  # noqa: ARG002 - there is nothing to learn
        """Knows already."""
        return self

    def p(self, keys: Codes, window: int) -> NDArray[np.float64]:
        """The chance itself."""
        found: NDArray[np.float64] = self.chance[window][keys].astype(np.float64)
        return found


@dataclass(frozen=True)
class Weeks:
    """A predictor that knows each user's rate, but learns only from requests who is away this week (Bayes' rule)."""

    world: World
    past: Activity

    def fit(self, past: object, until: int) -> Weeks:  # noqa: ARG002 - it knows the log already
        """Nothing to learn."""
        return self

    def p(self, keys: Codes, window: int) -> NDArray[np.float64]:
        """The chance given this week's requests so far."""
        week = range(window - window % WEEK, window)
        silent = np.exp(-self.world.usual[week.start : window].sum(axis=0, dtype=np.float64) / ON)
        here = ON * silent / (ON * silent + 1 - ON)
        for passed in week:
            here[self.past.active(passed)] = 1.0
        found: NDArray[np.float64] = (here * -np.expm1(-self.world.usual[window] / ON))[keys]
        return found


@dataclass(frozen=True)
class Result:
    """One world: dollars a day at full scale and fresh hits by strategy, and what the gate said."""

    per_day: dict[str, float]
    hits: dict[str, float]
    upper: float
    calibration: float
    base_rate: float


def prices(ratio: float) -> Prices:
    """The example's prices with batch ``ratio`` times cheaper than on demand, near-line at ten times batch."""
    batch = STORY.on_demand / ratio
    return replace(STORY, batch=batch, near_line=NEAR_LINE * batch)


def judge(world: World, ratio: float, *, away: bool) -> Result:
    """Learn from four weeks, judge by the fifth."""
    judged = range(PAST_DAYS * A_DAY, (PAST_DAYS + JUDGED_DAYS) * A_DAY)
    study, _ = prepare(world.log, prices(ratio), sla_s=WIDTH, judged=judged)
    outcomes = study.simple()
    policy = study.policy(HabitPredictor())
    outcomes["per key"] = study.per_key(policy)
    second = worth_of_a_second(policy, judged, HITS)
    outcomes[PROMISED] = study.per_key(policy, second=second)
    if (beside := study.with_events(policy, EVENTS)) is not None:
        outcomes["per key + events"] = beside
    knowing = PerKey(policy.past, study.prices, Rates(world.chance), (0,), name=KNOWN)
    outcomes[KNOWN] = replay(study.log, study.windows, study.prices, knowing, judged)
    if away:
        guessing = PerKey(policy.past, study.prices, Weeks(world, policy.past), (0,), name=GUESSED)
        outcomes[GUESSED] = replay(study.log, study.windows, study.prices, guessing, judged)
    best = min(SIMPLE, key=lambda name: outcomes[name].per_day)
    chance, hit = _forecasts(study, policy, judged)
    per_day = {name: outcome.per_day * SCALE for name, outcome in outcomes.items()}
    per_day["bound"] = clairvoyant(study.log, outcomes[LAZY], study.prices) * SCALE
    return Result(
        per_day, {name: o.share(o.fresh_hits) for name, o in outcomes.items()},
        gate(outcomes["per key"], outcomes[best], Resampler(study.log.keys)).ratio.upper,
        calibration_error(chance, hit), float(hit.mean()),
    )  # fmt: skip


def _forecasts(study: Study, policy: PerKey, judged: range) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    past, keys = Activity(study.log, study.windows), np.arange(study.log.keys, dtype=np.int32)
    chance = np.concatenate([policy.predicted(window) for window in judged]).astype(np.float64)
    return chance, np.concatenate([np.isin(keys, past.active(window)) for window in judged])


def measure(seeds: int) -> tuple[dict[str, float], list[Goal]]:
    """Every row of the table: the first over all seeds, the others over a third of them; prints it."""
    rows, figures, goals = [], {}, []
    cases = [(kind, RATIO, kind.name) for kind in KINDS] + [(KINDS[0], SLOW_RATIO, "Zipf 1.0, batch 4x cheaper")]
    names = ("real-time", "precompute all", "lazy", "per key", PROMISED, KNOWN, "bound", "per key + events")
    for kind, ratio, label in cases:
        count = seeds if (kind, ratio) == (KINDS[0], RATIO) else -(-seeds // 3)
        found = [judge(_world(kind, seed), ratio, away=kind.on_off) for seed in range(count)]
        costs = {n: median(r.per_day[n] for r in found) for n in (*names, GUESSED) if n in found[0].per_day}
        hits = {n: median(r.hits[n] for r in found) for n in found[0].hits}
        event = "per key + events"
        shown = [f"{costs[n]:,.0f}" for n in names[:3]]
        shown += [f"{costs[name]:,.0f} ({hits[name]:.3f})" for name in ("per key", PROMISED)]
        shown += [f"{costs[KNOWN]:,.0f}", f"{costs['bound']:,.0f}"]
        shown += [f"{costs[event]:,.0f} ({hits[event]:.3f})" if event in costs else "does not pay"]
        shown += [f"{mean(r.calibration for r in found):.4f}", f"{max(r.upper for r in found):.3f}"]
        rows.append((label, *shown))
        figures |= {f"{label}: {name}, $/day": value for name, value in costs.items()}
        figures |= {f"{label}: {name}, hit": value for name, value in hits.items()}
        goals += _goals(label, kind, found) if ratio == RATIO else []
    print(
        f"$/day, the example's economics at 1:{SCALE}, median of {seeds} seeds (other rows than the first: "
        f"{-(-seeds // 3)}); fresh hits in brackets"
    )
    columns = ("users", *names[:3], "per key (hit)", ".84 promised", KNOWN, "bound", f"{names[-1]} (assumed)")
    show((*columns, "ECE", "gate, most"), rows)
    return figures, goals


def _world(kind: Kind, seed: int) -> World:
    return drawn(kind, seed, days=PAST_DAYS + JUDGED_DAYS)


def _goals(label: str, kind: Kind, found: list[Result]) -> list[Goal]:
    limit = 1.5 if kind.on_off else 1.15
    far = median(r.per_day["per key"] / r.per_day[KNOWN] for r in found)
    off = max(r.calibration for r in found)
    stated = [Goal(f"{label}: calibration error, most", off, "", "<= .005", off <= 0.005)]
    if kind.zipf == 1.0:
        stated.append(Goal(f"{label}: per key / true rates, median", far, "times", f"<= {limit}", far <= limit))
    if kind == KINDS[0]:
        for name, most, least in ((PROMISED, 1_150, 0.84), ("per key + events", 550, 0.95)):
            cost, hit = max(r.per_day[name] for r in found), min(r.hits[name] for r in found)
            stated.append(Goal(f"{label}: {name}, the dearest seed", cost, "$/day", f"<= {most:,}", cost <= most))
            stated.append(Goal(f"{label}: {name}, fewest hits of a seed", hit, "", f">= {least}", hit >= least))
    return stated
