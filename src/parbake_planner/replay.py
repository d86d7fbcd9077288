"""Counterfactual replay: what each strategy would have cost on a recorded log.

A request log is enough to judge a strategy: it says which keys were requested, and when. A result is stored for one
freshness window, whichever lane computed it. Within a window, a key is therefore computed on request at most once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from parbake_planner.breakeven import Prices
from parbake_planner.forecast.request_log import DAY, Codes, Flags, RequestLog, Times
from parbake_planner.forecast.windows import Windows

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]


class ReplayPolicy(Protocol):
    """Chooses the keys to compute ahead."""

    @property
    def name(self) -> str:
        """The policy's name."""
        ...

    @property
    def uses_events(self) -> bool:
        """Whether signals trigger computations."""
        ...

    def picks(self, window: int, valid_until: Floats) -> Codes:
        """The keys to compute when a window begins; ``valid_until``, shape (keys,), is when stored results expire."""
        ...


@dataclass(frozen=True, slots=True)
class LazyPolicy:
    """Compute on the first request and keep the result for its window: what every cache does."""

    name: str = "lazy"
    uses_events: bool = False

    def picks(self, window: int, valid_until: Floats) -> Codes:  # noqa: ARG002 - the port's signature; always nothing
        """Compute nothing ahead."""
        return np.empty(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Everything:
    """Compute all known keys ahead."""

    windows: Windows
    name: str = "precompute all"
    uses_events: bool = False

    def picks(self, window: int, valid_until: Floats) -> Codes:  # noqa: ARG002 - the port's signature; always all
        """All keys that are known when the window begins."""
        return np.flatnonzero(self.windows.known <= window).astype(np.int32)


@dataclass(slots=True)
class Outcome:
    """The result of a replay over the evaluated ``windows``.

    Attributes:
        name: The strategy's name.
        cost: Cost per key, in US dollars, shape (keys,).
        days: Length of the evaluated windows, in days.
        requests: Number of requests.
        key_hits: Requests that found a stored result, expired or not.
        fresh_hits: Requests that found a result within its window.
        stale: Expected number of fresh hits that are outdated, at the declared rate of change; the others are accepted.
        computed: Results computed on request.
        near_line: Results computed on a signal.
        ahead: Results computed ahead.
        read_ahead: Results computed ahead and read within the window.
        windows: The evaluated windows.
        by_window: Cost of each of them, in US dollars.
    """

    name: str
    cost: Floats
    days: float = 0.0
    requests: int = 0
    key_hits: int = 0
    fresh_hits: int = 0
    stale: float = 0.0
    computed: int = 0
    near_line: int = 0
    ahead: int = 0
    read_ahead: int = 0
    windows: list[int] = field(default_factory=list)
    by_window: list[float] = field(default_factory=list)

    @property
    def per_day(self) -> float:
        """Cost in US dollars a day."""
        return float(self.cost.sum()) / self.days if self.days else math.nan

    @property
    def wasted(self) -> int:
        """Results computed ahead and never read within the window."""
        return self.ahead - self.read_ahead

    def share(self, count: float) -> float:
        """Share of a count among all requests (0 to 1)."""
        return count / self.requests if self.requests else math.nan

    def p95_s(self, prices: Prices) -> float:
        """The 95th percentile of latency in seconds. Hits have one latency, computations another."""
        return prices.serve_s if self.share(self.fresh_hits) >= 0.95 else prices.on_demand_s  # noqa: PLR2004 - the 95 of p95


def real_time(log: RequestLog, windows: Windows, prices: Prices, evaluated: range) -> Outcome:
    """Replay real-time: compute every request and store nothing.

    Args:
        log: The requests.
        windows: The log's windows.
        prices: The task's prices.
        evaluated: The windows to evaluate.
    """
    found = Outcome("real-time", np.zeros(log.keys))
    for window in _usable(windows, evaluated):
        rows = slice(windows.bounds[window], windows.bounds[window + 1])
        keys = log.key[rows][~log.signal[rows]]
        np.add.at(found.cost, keys, prices.request)
        found.requests += len(keys)
        found.computed += len(keys)
        _close(found, window, len(keys) * prices.request, windows)
    return found


def replay(
    log: RequestLog,
    windows: Windows,
    prices: Prices,
    policy: ReplayPolicy,
    evaluated: range,
    *,
    precision: float = 1.0,
    progress: Progress | None = None,
) -> Outcome:
    """Replay a policy over the evaluated windows. The window before them fills the store at no cost.

    With a policy that uses events, a signal computes the value near-line if there is no valid one.

    Args:
        log: The requests and signals.
        windows: The log's windows.
        prices: The task's prices.
        policy: Chooses the keys to compute ahead.
        evaluated: The windows to evaluate.
        precision: Share of signals that a request follows (0 to 1), for a log that has only those signals. Each of them
            then also pays for the signals that are not in the log.
        progress: Called with the windows done and their total.
    """
    found = Outcome(policy.name, np.zeros(log.keys))
    valid_until = np.full(log.keys, -np.inf)
    seen = windows.known < evaluated.start if not log.population else np.zeros(log.keys, dtype=np.bool_)
    store = _Store(valid_until, seen.copy(), windows.width)
    if evaluated.start > 0:
        _play(log, windows, store, evaluated.start - 1, uses_events=False)
    for done, window in enumerate(_usable(windows, evaluated)):
        picked = policy.picks(window, valid_until)
        valid_until[picked] = windows.begin(window + 1)
        store.seen[picked] = True
        _charge(found, _play(log, windows, store, window, uses_events=policy.uses_events), picked, prices, precision)
        _close(found, window, float(found.cost.sum()) - sum(found.by_window), windows)
        if progress:
            progress(done + 1, len(evaluated))
    return found


def clairvoyant(log: RequestLog, lazy: Outcome, prices: Prices) -> float:
    """Compute a cost that no policy can undercut, over the windows that a lazy replay evaluated.

    One computation serves at most the requests of one window's length. Computing at the first uncovered request needs
    the fewest computations (the greedy cover of points by intervals). Each computation costs at least the price of the
    cheapest way to compute, and each request at least one serve.

    Args:
        log: The requests.
        lazy: The replayed lazy strategy.
        prices: The task's prices.

    Returns:
        US dollars a day.
    """
    cheapest = min(prices.ahead, prices.miss)
    if prices.near_line is not None:
        cheapest = min(cheapest, prices.near_line + prices.write)
    cheapest = min(cheapest, prices.request - prices.stored)  # a computation that is not even stored
    return (lazy.computed * cheapest + lazy.requests * prices.stored) / lazy.days if len(log.key) else 0.0


def with_session_starts(log: RequestLog, *, coverage: float, idle_s: float = 1800.0, seed: int = 0) -> RequestLog:
    """Copy a log and add a signal before a share of the sessions, as an assumption of what an event lane could see.

    A session starts with a request after ``idle_s`` seconds without one, and its signal comes just before it. Signals
    without a request are not added; account for them with ``precision``.

    Args:
        log: The requests.
        coverage: Share of sessions with a signal (0 to 1).
        idle_s: Seconds without a request after which a new session starts.
        seed: Seed of the random choice of sessions.
    """
    order = np.lexsort((log.time, log.key))
    key, time = log.key[order], log.time[order]
    starts = np.ones(len(order), dtype=np.bool_)
    starts[1:] = (key[1:] != key[:-1]) | (time[1:] - time[:-1] > idle_s)
    chosen = order[starts]
    chosen = np.sort(chosen[np.random.default_rng(seed).random(len(chosen)) < coverage])
    place = np.searchsorted(np.arange(len(log.key)), chosen)
    return RequestLog(
        np.insert(log.key, place, log.key[chosen]),
        np.insert(log.time, place, log.time[chosen]),
        np.insert(log.signal, place, np.ones(len(chosen), dtype=np.bool_)),
        log.keys, log.names, log.population, log.left_out, log.notes, log.doubts,
    )  # fmt: skip


@dataclass(slots=True)
class _Store:
    valid_until: Floats
    seen: Flags
    width: float


@dataclass(slots=True)
class _Played:
    """One window: request keys, which were hits, ages of the hits, and which keys were computed in which way."""

    keys: Codes
    fresh: Flags
    old: Flags
    age: Times
    computed: Codes
    near_line: Codes


def _usable(windows: Windows, evaluated: range) -> list[int]:
    return [window for window in evaluated if windows.usable[window]]


def _play(log: RequestLog, windows: Windows, store: _Store, window: int, *, uses_events: bool) -> _Played:
    rows = slice(windows.bounds[window], windows.bounds[window + 1])
    keys, times, signals = log.key[rows], log.time[rows], log.signal[rows]
    if not uses_events and signals.any():
        keys, times, signals = keys[~signals], times[~signals], signals[~signals]
    late = np.flatnonzero(times >= store.valid_until[keys])
    _, first = np.unique(keys[late], return_index=True)
    computing = late[first]
    fresh = np.ones(len(keys), dtype=np.bool_)
    fresh[computing] = False
    computed_at = store.valid_until[keys] - store.width
    had = store.seen[keys]
    store.valid_until[keys[computing]] = times[computing] + store.width
    store.seen[keys] = True
    computed_at[late] = store.valid_until[keys[late]] - store.width
    asked = ~signals
    lazily, by_event = computing[asked[computing]], computing[~asked[computing]]
    return _Played(
        keys[asked], fresh[asked], (had | fresh)[asked], (times - computed_at)[asked], keys[lazily], keys[by_event]
    )


def _charge(found: Outcome, played: _Played, picked: Codes, prices: Prices, precision: float) -> None:
    changed = prices.changes_a_day / DAY
    near = prices.near_line if prices.near_line is not None else prices.batch
    stale = -np.expm1(-changed * played.age[played.fresh])
    np.add.at(found.cost, played.keys, prices.stored)
    np.add.at(found.cost, played.keys[played.fresh], stale * prices.stale_serve)
    found.cost[played.computed] += prices.miss
    found.cost[played.near_line] += (near + prices.write) / precision
    found.cost[picked] += prices.ahead + (prices.job / len(picked) if len(picked) else 0.0)
    found.requests += len(played.keys)
    found.fresh_hits += int(np.count_nonzero(played.fresh))
    found.key_hits += int(np.count_nonzero(played.old))
    found.stale += float(stale.sum())
    found.computed += len(played.computed)
    found.near_line += len(played.near_line)
    found.ahead += len(picked)
    if len(picked):
        is_picked = np.zeros(len(found.cost), dtype=np.bool_)
        is_picked[picked] = True
        found.read_ahead += int(np.count_nonzero(is_picked[np.unique(played.keys)]))


def _close(found: Outcome, window: int, cost: float, windows: Windows) -> None:
    found.windows.append(window)
    found.by_window.append(cost)
    found.days += windows.width / DAY
