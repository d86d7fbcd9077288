"""When a decision should be reversed: five detectors. Each proposes a change; none of them acts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import NormalDist, fmean, stdev
from typing import Literal

from parbake.errors import BadInput
from parbake_planner.breakeven import Prices

HOUR, DAY = 3600.0, 86_400.0
HitKind = Literal["key", "fresh", "accepted"]
ACTIONS: Mapping[HitKind, str] = {
    "key": "compute ahead for more keys: lower the threshold or enlarge the pool",
    "fresh": "refresh more often, or compute on events",
    "accepted": "enlarge the candidate pool, or refresh more often",
}
CONFIDENCE = 0.95
FEWEST_PAIRS = 7


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
    kind: HitKind
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
        reason = f"the {self.kind} hit rate is {self.rate:.1%}, below {self.floor:.0%} by more than the error"
        return Proposal(f"{self.kind} hit rate", self.task, at, reason, ACTIONS[self.kind], evidence)


def batch_dearer(
    task: str, at: float, *, batch: Sequence[float], real_time: Sequence[float], windows_a_day: float,
    switching: float, horizon_days: float = 30.0,
) -> Proposal | None:  # fmt: skip
    """Propose real-time if batch costs more with 95 % confidence and the saving within the horizon exceeds the switch.

    The bound is one-sided, from paired differences (Student 1908). Differences within one day are summed first, because
    windows of the same day resemble each other.

    Args:
        task: The task's name.
        at: Time of the check, in epoch seconds.
        batch: Cost of the batch lane in each window, in US dollars.
        real_time: Cost of computing on request in the same windows, in US dollars.
        windows_a_day: Number of windows in a day.
        switching: One-time cost of switching, in US dollars.
        horizon_days: The days within which the saving must exceed ``switching``.

    Returns:
        A proposal, or ``None`` if the saving is not certain or too small.
    """
    if len(batch) != len(real_time):
        raise BadInput("batch and real_time must have one value for each of the same windows", field="batch")
    each = max(1, round(windows_a_day))
    differences = [b - r for b, r in zip(batch, real_time, strict=True)]
    days = [sum(differences[n : n + each]) for n in range(0, len(differences) - each + 1, each)]
    saving = lower_bound(days) * windows_a_day / each
    if not saving > 0 or saving * horizon_days <= switching:
        return None
    evidence = {"days": float(len(days)), "mean_a_day": fmean(days), "surely_a_day": saving, "switching": switching}
    reason = f"batch costs at least ${saving:.4g} a day more than computing on request (95 % confidence)"
    return Proposal("batch dearer", task, at, reason, "compute on request", evidence, saving)


def price_changed(
    task: str, at: float, *, before: Prices, after: Prices, flip: float, replanned: float | None = None
) -> Proposal | None:
    """Propose a new plan after any change of price, such as a cache that makes the prefix of each call cheaper.

    The flip factor holds if nothing but the price on request changes. Where other prices have changed too, only a new
    plan tells what is cheapest.

    Args:
        task: The task's name.
        at: Time of the check, in epoch seconds.
        before: The prices that the current plan was made with.
        after: The present prices.
        flip: How many times cheaper request-time computing must become for real-time to win, from the current plan.
        replanned: What a new plan saves, in US dollars a day; ``None`` if it is not known.

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
    return Proposal("price", task, at, reason, action, evidence, replanned)


@dataclass(slots=True)
class PeakHarm:
    """Detect whether the batch lane slows requests down: compares p95 and CPU pressure with and without it.

    The compared values are from equal times of day.
    """

    task: str
    tolerated: float = 0.05
    throttled: bool = False

    def judge(
        self, at: float, *, p95_on: Sequence[float], p95_off: Sequence[float], pressure_on: Sequence[float] = (),
        pressure_off: Sequence[float] = (),
    ) -> Proposal | None:  # fmt: skip
        """Compare pairs of measurements from the same time of day.

        The first proposal is to throttle. If throttling did not help, the proposal is to move the batch runs.

        Args:
            at: Time of the check, in epoch seconds.
            p95_on: p95 latencies while the batch lane runs, in seconds, shape (pairs,).
            p95_off: p95 latencies at the same times without it, in seconds, shape (pairs,).
            pressure_on: Share of time (0 to 1) in which work waits for a CPU while the batch lane runs, shape (pairs,).
            pressure_off: The same share without the batch lane, shape (pairs,).

        Returns:
            A proposal, or ``None`` if no harm is certain.
        """
        slower = lower_bound([math.log(on / off) for on, off in zip(p95_on, p95_off, strict=True)])
        squeezed = lower_bound([on - off for on, off in zip(pressure_on, pressure_off, strict=True)])
        if slower <= math.log1p(self.tolerated) and squeezed <= self.tolerated:
            return None
        action = "move the batch work to other hours or other compute" if self.throttled else "throttle the batch lane"
        self.throttled = True
        times = math.exp(slower) if math.isfinite(slower) else 1.0
        evidence = {"p95_times_at_least": times, "pairs": float(len(p95_on))}
        if math.isfinite(squeezed):
            evidence["pressure_at_least"] = squeezed
        reason = f"with the batch lane on, p95 is at least {times:.3g} times that without (95 % confidence)"
        return Proposal("peak harm", self.task, at, reason, action, evidence)


def lower_bound(differences: Sequence[float], *, confidence: float = CONFIDENCE) -> float:
    """The one-sided lower bound of a mean; minus infinity for fewer than seven values, which are too few."""
    count = len(differences)
    if count < FEWEST_PAIRS:
        return -math.inf
    return fmean(differences) - student(confidence, count - 1) * stdev(differences) / math.sqrt(count)


def student(probability: float, freedom: int) -> float:
    """Quantile of Student's t by its expansion around the normal (Abramowitz & Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(probability)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
