"""The decision: replay every strategy, and recommend a complex one only if it beats the best simple rule.

"Beats" means with 95 % confidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from parbake.errors import BadInput
from parbake_planner.breakeven import Prices, break_even_volume, flip_factor
from parbake_planner.forecast.predictors import HabitPredictor, Predictor
from parbake_planner.forecast.request_log import DAY, RequestLog
from parbake_planner.forecast.windows import Windows, cut
from parbake_planner.intervals import Interval, Resampler
from parbake_planner.pareto import Point, efficient, point, sweep
from parbake_planner.per_key import Activity, EventCoverage, PerKey, measured_lane, refit_times
from parbake_planner.replay import Everything, LazyPolicy, Outcome, clairvoyant, real_time, replay, with_session_starts
from parbake_planner.strategies import ALL, LAZY, PER_KEY, PER_KEY_EVENTS, REAL_TIME
from parbake_planner.target import check_share, kept, worth_of_a_second

FEWEST_PAST, _FEWEST_EVALUATED = 6, 4
"""Least number of usable windows before the judged ones, and of judged ones."""
_MOST_WINDOWS = 50_000
"""Replaying this many windows takes a minute or two."""
LEAST_GAIN = 0.002
"""The least certain saving, as a share of the cost, for which a plan per key is worth its complexity."""
EVALUATED = 0.5
"""The newest part of the log, on which strategies are judged, as a share."""
SIMPLE = (REAL_TIME, ALL, LAZY)
Progress = Callable[[str, int, int], None]
"""Called with the name of the work, the amount done, and the total."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a strategy may replace the best simple rule. ``ratio`` is its cost divided by that rule's cost."""

    candidate: str
    against: str
    ratio: Interval
    adopted: bool


@dataclass(slots=True)
class Decision:
    """The result of planning a task.

    Attributes:
        prices: The task's prices.
        outcomes: The replayed strategies, by name.
        intervals: Their cost a day in US dollars with confidence intervals, by name.
        bound: US dollars a day that no policy can undercut.
        best_simple: The cheapest strategy that needs no prediction.
        recommended: The recommended strategy.
        reason: Why it is recommended, for people.
        gates: How each strategy compares with the best simple rule.
        requests_a_day: Requests a day.
        break_even: Requests a day above which precomputing everything beats real-time.
        flip: How many times cheaper request-time computing must become to beat the recommended strategy.
        keys: Number of keys.
        width: Length of a freshness window, in seconds.
        notes: Remarks on the log, for people.
        assumed: Strategies that rest on an assumption: they are shown but never recommended.
        front: The Pareto front of cost, hits and latency.
        hits: The requested share of hits (0 to 1); ``None`` if none was requested.
        second: The extra value of a second of waiting that keeps ``hits``, in US dollars, in addition to its price.
        population: Whether ``keys`` also counts keys that were never requested.
    """

    prices: Prices
    outcomes: dict[str, Outcome]
    intervals: dict[str, Interval]
    bound: float
    best_simple: str
    recommended: str
    reason: str
    gates: list[Gate]
    requests_a_day: float
    break_even: float
    flip: float
    keys: int
    width: float
    notes: tuple[str, ...]
    assumed: tuple[str, ...]
    front: list[Point] = field(default_factory=list)
    hits: float | None = None
    second: float = 0.0
    population: bool = False

    @property
    def theta(self) -> float:
        """The probability above which a key is computed ahead, with the extra value of a second for ``hits``."""
        return replace(self.prices, second=self.prices.second + self.second).theta()

    @property
    def keeps_hits(self) -> bool:
        """Whether the recommended strategy keeps the requested share of hits; true if none was requested."""
        return self.hits is None or kept(self.outcomes[self.recommended], self.hits)


@dataclass(slots=True)
class Study:
    """A log with windows and prices, and the windows to judge by. ``is_blind`` if too few of them are usable."""

    log: RequestLog
    windows: Windows
    prices: Prices
    judged: range
    progress: Progress | None = None
    is_blind: bool = False

    def simple(self) -> dict[str, Outcome]:
        """Replay the three strategies that need no prediction."""
        found = {REAL_TIME: real_time(self.log, self.windows, self.prices, self.judged)}
        for policy in (Everything(self.windows), LazyPolicy()):
            found[policy.name] = replay(
                self.log, self.windows, self.prices, policy, self.judged, progress=self._bar(policy.name)
            )
        return found

    def policy(self, predictor: Predictor) -> PerKey:
        """The strategy per key."""
        return PerKey(Activity(self.log, self.windows), self.prices, predictor, refit_times(self.judged))

    def per_key(self, policy: PerKey, *, second: float = 0.0) -> Outcome:
        """Replay the strategy per key.

        For its choices only, ``second`` adds to the value of a second, in US dollars.
        """
        bar, prices = self._bar(policy.name), policy.prices
        if second:
            policy = policy.sharing(replace(prices, second=prices.second + second))
        return replay(self.log, self.windows, prices, policy, self.judged, progress=bar)

    def with_events(self, policy: PerKey, assumed: EventCoverage | None) -> Outcome | None:
        """Replay the strategy with an event lane, on the log's own or on assumed signals.

        ``None`` if that cannot pay.
        """
        if self.log.signal.any():
            lane, log, precision = measured_lane(self.log, self.windows, self.judged.start), self.log, 1.0
        elif assumed is not None:
            lane, precision = assumed, assumed.precision
            log = with_session_starts(self.log, coverage=assumed.coverage)
        else:
            return None
        if not lane.pays(self.prices):
            return None
        windows = self.windows if log is self.log else cut(log, self.windows.width)
        beside = policy.sharing(self.prices, events=lane, name=PER_KEY_EVENTS)
        bar = self._bar(PER_KEY_EVENTS)
        return replay(log, windows, self.prices, beside, self.judged, precision=precision, progress=bar)

    def front(self, policy: PerKey | None, outcomes: dict[str, Outcome]) -> list[Point]:
        """Cost, hits and latency of all strategies, and of the strategy per key at rising values of waiting time."""
        points = [point(outcome, self.prices) for outcome in outcomes.values()]
        if policy is not None:
            points += sweep(lambda prices: self.per_key(policy.sharing(prices)), self.prices)
        return efficient(points)

    def _bar(self, name: str) -> Callable[[int, int], None] | None:
        show = self.progress
        return (lambda done, total: show(name, done, total)) if show else None


def gate(candidate: Outcome, simple: Outcome, resampler: Resampler) -> Gate:
    """Adopt a strategy only if the one-sided 95 % bound of its cost ratio is below 1, for users resampled in pairs.

    Args:
        candidate: The strategy that may replace the simple rule.
        simple: The best simple rule.
        resampler: Resamples the users.
    """
    ratio = resampler.ratio(candidate.cost, simple.cost)
    return Gate(candidate.name, simple.name, ratio, max(ratio.value, ratio.upper) < 1.0 - LEAST_GAIN)


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a plan assumes that its log does not tell.

    Attributes:
        predictor: Predicts the probability of a request.
        events: Event lane, for a log without signals. A log's own signals are replayed instead.
    """

    predictor: Predictor = field(default_factory=HabitPredictor)
    events: EventCoverage | None = None


def make(
    log: RequestLog, prices: Prices, *, sla_s: float, assumed: Assumptions | None = None, with_front: bool = True,
    judged: range | None = None, progress: Progress | None = None, hits: float | None = None,
) -> Decision:  # fmt: skip
    """Plan a task.

    Args:
        log: The requests.
        prices: The task's prices.
        sla_s: How long a result may be served, in seconds.
        assumed: What the log does not tell; by default that keys keep their habits, and that there is no event lane.
        with_front: Whether to compute the Pareto front, which takes more replays.
        judged: The windows to judge by; the newest half by default.
        progress: Called with the name of the work, the amount done, and the total.
        hits: Share of requests that must find a fresh result (0 to 1). The cheapest strategy that keeps it is
            recommended.
    """
    check_share(hits)
    assumed = assumed or Assumptions()
    study, doubts = prepare(log, prices, sla_s=sla_s, judged=judged, progress=progress)
    outcomes, policy, second = study.simple(), None, 0.0
    if not doubts:
        policy = study.policy(assumed.predictor)
        if hits is not None:
            second = worth_of_a_second(policy, study.judged, hits)
        outcomes[PER_KEY] = study.per_key(policy, second=second)
        if (beside := study.with_events(policy, assumed.events)) is not None:
            outcomes[PER_KEY_EVENTS] = beside
    plan = decided(study, outcomes, doubts, hits=hits)
    plan.second = second
    if with_front:
        plan.front = study.front(policy, outcomes)
    return plan


def prepare(
    log: RequestLog, prices: Prices, *, sla_s: float, judged: range | None = None, progress: Progress | None = None
) -> tuple[Study, tuple[str, ...]]:
    """Cut a log into windows and choose the windows to judge by.

    Args:
        log: The requests.
        prices: The task's prices.
        sla_s: How long a result may be served, in seconds.
        judged: The windows to judge by; the newest half by default.
        progress: Called with the name of the work, the amount done, and the total.

    Returns:
        The study, and the reasons why nothing can be learned from the log (empty if there are none).

    Raises:
        BadInput: The SLA is so short that there would be too many windows.
    """
    spans = log.days * DAY / sla_s
    if spans > _MOST_WINDOWS:
        least = log.days * DAY / _MOST_WINDOWS
        raise BadInput(
            f"sla={sla_s:g} s cuts a log of {log.days:.0f} days into {spans:,.0f} windows; at most {_MOST_WINDOWS:,} "
            f"are replayed; give a shorter log, or an SLA of at least {least:.0f} s",
            field="sla",
        )
    windows = cut(log, sla_s)
    chosen = _newest(windows) if judged is None else judged
    past, left = (int(np.count_nonzero(windows.usable[part])) for part in (_before(chosen), _within(chosen)))
    if past >= FEWEST_PAST and left >= _FEWEST_EVALUATED:
        return Study(log, windows, prices, chosen, progress), log.doubts
    if not windows.usable.any():
        windows.usable[:] = True
    few = f"it has {past + left} whole freshness windows, too few to learn from some and judge by others"
    is_blind = past + left < _FEWEST_EVALUATED
    return Study(log, windows, prices, range(windows.count), progress, is_blind), (*log.doubts, few)


def decided(
    study: Study, outcomes: dict[str, Outcome], doubts: Sequence[str], *, hits: float | None = None
) -> Decision:
    """Choose the cheapest of the replayed strategies, or the cheapest that keeps ``hits`` if any does.

    Args:
        study: The log, windows and prices.
        outcomes: The replayed strategies, by name.
        doubts: Why a plan per key cannot be trusted; empty if it can.
        hits: Share of requests that must find a fresh result (0 to 1); ``None`` if nothing was promised.
    """
    resampler = Resampler(study.log.keys)
    able = [name for name, outcome in outcomes.items() if hits is None or kept(outcome, hits)] or list(outcomes)
    simple = [name for name in SIMPLE if name in able] or [*SIMPLE]
    best = LAZY if study.is_blind else min(simple, key=lambda name: outcomes[name].per_day)
    is_assumed = PER_KEY_EVENTS in outcomes and not study.log.signal.any()
    gates = [
        gate(outcomes[n], outcomes[best], resampler) for n in (PER_KEY, PER_KEY_EVENTS) if n in outcomes and n in able
    ]
    passed = [g.candidate for g in gates if g.adopted and not (is_assumed and g.candidate == PER_KEY_EVENTS)]
    chosen = min(passed, key=lambda name: outcomes[name].per_day, default=best)
    lazy = outcomes[LAZY]
    reason = _blind(doubts) if study.is_blind else _reason(chosen, gates, doubts) + _promised(outcomes[chosen], hits)
    return Decision(
        prices=study.prices, outcomes=outcomes,
        intervals={n: resampler.total(o.cost, scale=1 / o.days) for n, o in outcomes.items()},
        bound=clairvoyant(study.log, lazy, study.prices), best_simple=best, recommended=chosen,
        reason=reason, gates=gates, requests_a_day=lazy.requests / lazy.days,
        break_even=_break_even(outcomes[ALL], study.prices), flip=_flip(outcomes[chosen], study.prices),
        keys=study.log.keys, width=study.windows.width, notes=study.log.notes,
        assumed=(PER_KEY_EVENTS,) if is_assumed else (), hits=hits, population=study.log.population,
    )  # fmt: skip


def _promised(outcome: Outcome, hits: float | None) -> str:
    if hits is None:
        return ""
    share, asked = f"{outcome.share(outcome.fresh_hits):.2%}", f"{100 * hits:g} %"
    if kept(outcome, hits):
        return f"; only strategies that keep the requested {asked} of hits are compared (it has {share})"
    return f"; no strategy keeps the requested {asked} of hits (it has {share})"


def _blind(doubts: Sequence[str]) -> str:
    return f"{LAZY} is the safest choice, and the strategies cannot be judged, because {'; and '.join(doubts)}"


def _reason(chosen: str, gates: Sequence[Gate], doubts: Sequence[str]) -> str:
    if doubts:
        return f"{chosen} is the cheapest simple rule; keys are not chosen one by one, because {'; and '.join(doubts)}"
    of = {g.candidate: g for g in gates}
    if chosen in of:
        g = of[chosen]
        return (
            f"{chosen} costs {g.ratio.value:.3g} of {g.against}, the best simple rule, and is surely cheaper: the "
            f"upper bound is {g.ratio.upper:.3g}"
        )
    if PER_KEY not in of:
        return f"{chosen} is the cheapest simple rule"
    g = of[PER_KEY]
    return (
        f"{chosen} is the cheapest simple rule, and choosing keys one by one does not surely beat it: it costs "
        f"{g.ratio.value:.3g} of it, with an upper bound of {g.ratio.upper:.3g}"
    )


def _break_even(everything: Outcome, prices: Prices) -> float:
    ahead = everything.ahead / everything.days
    return break_even_volume(
        batch=ahead * prices.batch, storage=ahead * prices.write, on_demand=prices.request, serve=prices.stored
    )


def _flip(outcome: Outcome, prices: Prices) -> float:
    """How many times cheaper request-time computing must become to beat a strategy whose choices stay the same."""
    if outcome.name == REAL_TIME:
        return math.nan
    on_request = outcome.computed * prices.request
    served = outcome.requests - outcome.computed
    fixed = float(outcome.cost.sum()) - on_request - served * prices.stored
    return flip_factor(prices, fixed=fixed, computed=outcome.computed, served=served, requests=outcome.requests)


def _newest(windows: Windows) -> range:
    usable = np.flatnonzero(windows.usable)
    if not len(usable):
        return range(0)
    return range(int(usable[int(len(usable) * (1 - EVALUATED))]), int(usable[-1]) + 1)


def _before(judged: range) -> slice:
    return slice(0, judged.start)


def _within(judged: range) -> slice:
    return slice(judged.start, judged.stop)
