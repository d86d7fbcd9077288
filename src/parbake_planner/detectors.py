"""When a decision should be reversed: five detectors. Each proposes a change; none of them acts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import NormalDist, fmean, stdev

from parbake.errors import BadInput
from parbake_planner.breakeven import Prices

HOUR, DAY = 3600.0, 86_400.0
_MORE_HITS = "compute ahead for more keys: lower the threshold or enlarge the pool"
CONFIDENCE = 0.95
_FEWEST_PAIRS = 7
_HORIZON_DAYS = 30.0
"""The days within which a saving must exceed the cost of a change."""
_TOLERATED = 0.05
"""By how much p95 may rise while a lane runs, as a share."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed change and the reason for it.

    Attributes:
        trigger: Which detector made the proposal.
        task: The task's name.
        at: Time of the proposal, in epoch seconds.
        reason: Why the change is proposed, for people.
        action: What to do, for people.
        evidence: The measured values behind the proposal, by name.
        saving: Expected saving in US dollars a day; ``None`` if it is not known.
    """

    trigger: str
    task: str
    at: float
    reason: str
    action: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    saving: float | None = None


@dataclass(slots=True)
class HitRate:
    """Monitor one hit rate: an exponentially weighted mean, three standard errors, and a dwell time between changes.

    A hit rate moves with the hour of the day. An hourly check would therefore flip all the time, and a CUSUM would add
    up the daily swing. The mean over a day with its standard error (Roberts 1959) does neither. The rate becomes low
    when it is below ``floor`` by more than the error, and clears above ``floor + clear``. At least ``dwell_s`` seconds
    pass between two changes.
    """

    task: str
    floor: float = 0.60
    clear: float = 0.03
    memory_s: float = DAY
    dwell_s: float = DAY
    errors: float = 3.0
    least_s: float = 6 * HOUR
    is_low: bool = False
    _weight: float = 0.0
    _hits: float = 0.0
    _squares: float = 0.0
    _first: float = math.nan
    _last: float = math.nan
    _changed: float = -math.inf

    def observe(self, at: float, *, requests: int, hits: int) -> Proposal | None:
        """Record the requests since the last call, and propose a change if the rate has just become low.

        Args:
            at: End of the observed interval, in epoch seconds.
            requests: Number of requests since the last call.
            hits: Number of those requests that were hits.

        Returns:
            A proposal, or ``None`` if the rate is not low or was low before.

        Raises:
            BadInput: ``hits`` is negative or greater than ``requests``.
        """
        if not 0 <= hits <= requests:
            raise BadInput(f"hits={hits} must be between 0 and requests={requests}", field="hits")
        self._first = at if math.isnan(self._first) else self._first
        fade = 1.0 if math.isnan(self._last) else math.exp(-max(0.0, at - self._last) / self.memory_s)
        self._last = at
        self._weight = self._weight * fade + requests
        self._hits = self._hits * fade + hits
        self._squares = self._squares * fade**2 + requests
        if not requests or at - self._first < self.least_s or at - self._changed < self.dwell_s:
            return None
        if self.is_low and self.rate > self.floor + self.clear:
            self.is_low, self._changed = False, at
        elif not self.is_low and self.rate + self.errors * self.error < self.floor:
            self.is_low, self._changed = True, at
            return self._proposal(at)
        return None

    @property
    def rate(self) -> float:
        """The weighted mean of the hit rate; not a number before the first request."""
        return self._hits / self._weight if self._weight else math.nan

    @property
    def error(self) -> float:
        """The standard error of the mean: that of a proportion over the effective number of requests."""
        if not self._weight:
            return math.inf
        effective = self._weight**2 / self._squares
        rate = (self._hits + 1) / (self._weight + 2)
        return math.sqrt(rate * (1 - rate) / effective)

    def _proposal(self, at: float) -> Proposal:
        evidence = {"rate": self.rate, "standard_error": self.error, "floor": self.floor}
        reason = f"the key hit rate is {self.rate:.1%}, below {self.floor:.0%} by more than the error"
        return Proposal("key hit rate", self.task, at, reason, _MORE_HITS, evidence)


def batch_dearer(
    task: str, at: float, *, batch: Sequence[float], real_time: Sequence[float], switching: float
) -> Proposal | None:
    """Propose real-time if batch costs more with 95 % confidence, and a month's saving exceeds the switch.

    Args:
        task: The task.
        at: Time of the check, in epoch seconds.
        batch: The batch lane's cost of each day, in US dollars, shape (days,).
        real_time: What the same days' requests would have cost.
        switching: The one-time cost of a change, in US dollars.
    """
    saving = lower_bound(days := [b - r for b, r in zip(batch, real_time, strict=True)])
    if not saving > 0 or saving * _HORIZON_DAYS <= switching:
        return None
    evidence = {"days": float(len(days)), "mean_a_day": fmean(days), "surely_a_day": saving, "switching": switching}
    reason = f"batch costs at least ${saving:.4g} a day more than computing on request (95 % confidence)"
    return Proposal("batch dearer", task, at, reason, "compute on request", evidence, saving)


def price_changed(task: str, at: float, *, before: Prices, after: Prices, flip: float) -> Proposal | None:
    """Propose a new plan after any change of price, such as a cache that makes the prefix of each call cheaper.

    The flip factor holds if nothing but the price on request changes. Where other prices have changed too, only a new
    plan tells what is cheapest.

    Args:
        task: The task's name.
        at: Time of the check, in epoch seconds.
        before: The prices that the current plan was made with.
        after: The present prices.
        flip: How many times cheaper request-time computing must become for real-time to win, from the current plan.

    Returns:
        A proposal, or ``None`` if no price has changed.
    """
    if before == after:
        return None
    cheaper = before.on_demand / after.on_demand if after.on_demand else math.inf
    evidence = {"on_demand_before": before.on_demand, "on_demand_after": after.on_demand,
                "times_cheaper": cheaper, "flip": flip}  # fmt: skip
    others = [part.name for part in fields(Prices) if part.name != "on_demand"]
    changed = [name for name in others if getattr(before, name) != getattr(after, name)]
    action = "plan anew"
    if cheaper >= flip and not changed:
        action = "compute on request"
        reason = f"computing on request became {cheaper:.3g}x cheaper, and from {flip:.3g}x on real-time wins"
    elif cheaper >= flip:
        reason = (
            f"computing on request became {cheaper:.3g}x cheaper, but other prices changed too: {', '.join(changed)}"
        )
    else:
        reason = f"prices changed; computing on request is {cheaper:.3g}x cheaper, real-time wins from {flip:.3g}x"
    return Proposal("price", task, at, reason, action, evidence)


def peak_slower(
    task: str, at: float, *, on: Sequence[float], off: Sequence[float], is_throttled: bool
) -> Proposal | None:
    """Propose to throttle a lane that surely slows requests down, or to move its runs if that did not help.

    Args:
        task: What slows them down.
        at: Time of the check, in epoch seconds.
        on: p95 latencies while it runs, in seconds, shape (pairs,).
        off: p95 latencies at the same times of day without it, shape (pairs,).
        is_throttled: Whether it is throttled already.
    """
    slower = lower_bound([math.log(one / other) for one, other in zip(on, off, strict=True)])
    if slower <= math.log1p(_TOLERATED):
        return None
    action = "move the batch work to other hours or other compute" if is_throttled else "throttle the batch lane"
    times = math.exp(slower)
    reason = f"with the batch lane on, p95 is at least {times:.3g} times that without (95 % confidence)"
    return Proposal("peak harm", task, at, reason, action, {"p95_times_at_least": times, "pairs": float(len(on))})


def lower_bound(differences: Sequence[float], *, confidence: float = CONFIDENCE) -> float:
    """The one-sided lower bound of a mean; minus infinity for fewer than seven values, which are too few."""
    count = len(differences)
    if count < _FEWEST_PAIRS:
        return -math.inf
    return fmean(differences) - student(confidence, count - 1) * stdev(differences) / math.sqrt(count)


def student(probability: float, freedom: int) -> float:
    """Quantile of Student's t by its expansion around the normal (Abramowitz & Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(probability)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
