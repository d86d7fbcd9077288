"""The policy per key: compute the keys ahead whose predicted probability of a request is high enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from parbake_planner.breakeven import Prices
from parbake_planner.forecast.predictors import Forecast, Predictor
from parbake_planner.forecast.request_log import Codes, RequestLog
from parbake_planner.forecast.windows import Windows

Floats = NDArray[np.float64]
REFITS = 8


@dataclass(slots=True)
class Activity:
    """Which keys were active in each window of a log."""

    log: RequestLog
    windows: Windows

    def active(self, window: int) -> Codes:
        """The keys with a request in a window, ascending."""
        rows = slice(self.windows.bounds[window], self.windows.bounds[window + 1])
        return np.unique(self.log.key[rows][~self.log.signal[rows]])


@dataclass(frozen=True, slots=True)
class EventCoverage:
    """What an event lane can do for a key that is not computed ahead.

    Attributes:
        coverage: Share of computations that a signal precedes (0 to 1).
        precision: Share of signals that a request follows (0 to 1).
    """

    coverage: float
    precision: float

    def pays(self, prices: Prices) -> bool:
        """Whether computing on a signal is cheaper than waiting for the request."""
        return self.near_line(prices) < prices.miss

    def near_line(self, prices: Prices) -> float:
        """US dollars per near-line computation that a request follows; it also pays for those without a request."""
        if prices.near_line is None or self.precision <= 0:
            return math.inf
        return (prices.near_line + prices.write) / self.precision


def measured_lane(log: RequestLog, windows: Windows, until: int) -> EventCoverage:
    """Measure coverage and precision of a log's signals, for signals ahead of a first request in a window.

    Args:
        log: The log with its signals.
        windows: The log's windows.
        until: The number of the first window that must not be used.
    """
    ahead = signalled = asked = 0
    for window in range(until):
        rows = slice(windows.bounds[window], windows.bounds[window + 1])
        keys, signals = log.key[rows], log.signal[rows]
        _, first = np.unique(keys, return_index=True)
        begun = keys[first[signals[first]]]
        active = np.unique(keys[~signals])
        ahead += len(np.intersect1d(begun, active, assume_unique=True))
        signalled, asked = signalled + len(begun), asked + len(active)
    return EventCoverage(ahead / max(1, asked), ahead / max(1, signalled))


def worth(prices: Prices, chance: Floats, width: float, events: EventCoverage | None = None) -> Floats:
    """Compute the US dollars saved by computing each key ahead.

    ``P x miss - (batch + write) - E[stale serves] x stale_serve``. With an event lane, the cost that is avoided is the
    mean of the two remaining ways: ``coverage (near_line + write) / precision + (1 - coverage) miss``. This applies
    only if it is cheaper than waiting for the request.

    Args:
        prices: The task's prices.
        chance: The probability that each key is computed anyway, shape (keys,).
        width: The length of a window, in seconds.
        events: The event lane beside it; ``None`` if there is none.

    Returns:
        The saving per key; negative if computing ahead costs more than it saves, shape (keys,).
    """
    spared = prices.miss
    if events is not None and events.pays(prices):
        spared = events.coverage * events.near_line(prices) + (1 - events.coverage) * prices.miss
    stale = prices.stale_serve * prices.stale_share(width)
    expected = -np.log1p(-np.minimum(chance, 1 - 1e-12)) if stale else 0.0
    found: Floats = chance * spared - prices.ahead - expected * stale
    return found


@dataclass(slots=True)
class PerKey:
    """The policy per key.

    Compares predicted probability and threshold, window by window, and refits from time to time.
    """

    past: Activity
    prices: Prices
    predictor: Predictor
    refits: tuple[int, ...]
    events: EventCoverage | None = None
    name: str = "per key"
    _demand: Forecast | None = field(default=None, init=False)
    _fitted: int = field(default=-1, init=False)
    _cache: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def uses_events(self) -> bool:
        """Whether signals trigger computations."""
        return self.events is not None

    def chance(self, keys: Codes, window: int) -> Floats:
        """The predicted probability of a request, from a model that was fitted before the window."""
        due = max((refit for refit in self.refits if refit <= window), default=window)
        if self._demand is None or due != self._fitted:
            self._demand, self._fitted = self.predictor.fit(self.past, due), due
        return self._demand.p(keys, window)

    def picks(self, window: int, valid_until: Floats) -> Codes:
        """The keys that are worth computing ahead; empty if together they do not pay for the run."""
        windows = self.past.windows
        keys = np.flatnonzero(windows.known <= window).astype(np.int32)
        chance = uncovered(self.predicted(window).astype(np.float64), valid_until[keys], windows, window)
        return chosen(keys, worth(self.prices, chance, windows.width, self.events), self.prices)

    def predicted(self, window: int) -> NDArray[np.float32]:
        """The predicted probability of each key that is known when a window begins. The result is cached."""
        if window not in self._cache:
            keys = np.flatnonzero(self.past.windows.known <= window).astype(np.int32)
            self._cache[window] = self.chance(keys, window).astype(np.float32)
        return self._cache[window]

    def sharing(self, prices: Prices, *, events: EventCoverage | None = None, name: str = "per key") -> PerKey:
        """Copy the policy with the same cached predictions, at other prices or with an event lane.

        Args:
            prices: The prices to use instead.
            events: The event lane beside it; ``None`` if there is none.
            name: The name of the new policy.
        """
        return PerKey(self.past, prices, self.predictor, self.refits, events, name, self._cache)


def uncovered(chance: Floats, valid_until: Floats, windows: Windows, window: int) -> Floats:
    """Compute the request probability for the part of a window that no stored result covers.

    Requests are assumed to be evenly spread.

    Args:
        chance: The probability of a request in the whole window, shape (keys,).
        valid_until: When each stored result expires, in epoch seconds, shape (keys,).
        windows: The windows.
        window: The number of the window.

    Returns:
        The probability per key, shape (keys,).
    """
    begin = windows.begin(window)
    open_share = 1.0 - np.clip((valid_until - begin) / windows.width, 0.0, 1.0)
    return -np.expm1(np.log1p(-np.minimum(chance, 1 - 1e-12)) * open_share)


def chosen(keys: Codes, gain: Floats, prices: Prices) -> Codes:
    """Select the keys with a positive gain, if together they are worth the run's fixed cost.

    Args:
        keys: The candidates, as positions, shape (keys,).
        gain: What computing each of them ahead saves, in US dollars, shape (keys,).
        prices: The task's prices.

    Returns:
        The selected keys; empty if the run does not pay.
    """
    gains = gain > 0
    return keys[gains] if float(gain[gains].sum()) > prices.job else keys[:0]


def refit_times(evaluated: range, *, times: int = REFITS) -> tuple[int, ...]:
    """The windows at which to refit: the first one, and then at equal distances."""
    step = max(1, len(evaluated) // times)
    return tuple(evaluated[n] for n in range(0, len(evaluated), step))
