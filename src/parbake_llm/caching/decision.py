"""The decision about a prompt cache: replay every policy, and adopt one only if it surely pays.

A rule replaces what is done without a plan, and the plan replaces the best rule, only if the one-sided 95 % bound of
the cost ratio is below 1 by a little, in at least eight groups of requests. Policies are judged by the newest part of
the trace, so that the plan has had something to learn from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parbake_llm.caching.asked import PromptTrace
from parbake_llm.caching.clairvoyant import Clairvoyant
from parbake_llm.caching.marking import Planned
from parbake_llm.caching.policies_of_caching import (
    AlwaysMark,
    Automatic,
    ByVolatility,
    CachingPolicy,
    LastBlock,
)
from parbake_llm.caching.pricing import CachePrices
from parbake_llm.caching.replayed import Replayed, replay
from parbake_llm.caching.strategy_names import CLAIRVOYANT, NONE, PLANNED, SIMPLE
from parbake_planner.intervals import Floats, Resampler
from parbake_planner.plan import LEAST_GAIN, Gate

EVALUATED = 0.5
"""The newest part of the requests, on which policies are judged, as a share."""
FEWEST_GROUPS = 8
"""With fewer groups of requests, nothing can be said with confidence."""
Progress = Callable[[str, int, int], None]
"""Called with the name of the policy, the number of policies that are done, and their total."""


@dataclass(frozen=True, slots=True)
class Used:
    """What a policy did with the judged requests.

    Attributes:
        name: The policy.
        usd: What their input cost, with warm-ups.
        saving: The share of the cost without caching that was saved; negative if it cost more.
        of_clairvoyant: The saving as a share of the clairvoyant's; not a number if that saves nothing.
        read: The share of input tokens that were read from the cache.
        written: The share of input tokens that were written to it.
        wasted: The share of written tokens that nobody read.
        warm_ups: The number of warm-up requests.
    """

    name: str
    usd: float
    saving: float
    of_clairvoyant: float
    read: float
    written: float
    wasted: float
    warm_ups: int


@dataclass(slots=True)
class PromptPlan:
    """The result of planning a prompt cache.

    Attributes:
        prices: The prices of cached tokens.
        used: What each policy did, by name.
        bound_usd: The cost that no policy undercuts, over the whole trace and counted on the judged requests.
        base: What is done without a plan: no caching, or breakpoints by volatility.
        best_simple: The cheapest rule that needs no prediction and is surely cheaper than that, or that itself.
        adopted: The policy to follow.
        gates: How the cheapest rule compares with what is done without a plan, and the plan with the best rule.
        groups: How many groups of requests were resampled.
        requests: The number of requests.
        judged: The number of judged requests.
        without_repeat: How many requests share nothing with an earlier one.
        span_s: The length of the trace, in seconds.
        notes: Remarks on the trace, for people.
    """

    prices: CachePrices
    used: dict[str, Used]
    bound_usd: float
    base: str
    best_simple: str
    adopted: str
    gates: list[Gate]
    groups: int
    requests: int
    judged: int
    without_repeat: int
    span_s: float
    notes: tuple[str, ...]

    @property
    def is_blind(self) -> bool:
        """Whether there were too few groups of requests to say anything with confidence."""
        return self.groups < FEWEST_GROUPS


def policies(prices: CachePrices) -> list[CachingPolicy]:
    """Every policy that knows only the past, each of which has seen nothing yet.

    Args:
        prices: The prices; without one for an hour, nothing is marked for an hour.
    """
    hour = [AlwaysMark(hour=True)] if prices.write_hour is not None else []
    rules = [CachingPolicy(), LastBlock(), AlwaysMark(), *hour, AlwaysMark(warm=True), Automatic()]
    return [*rules, Planned(prices)]


def make_prompt_plan(
    trace: PromptTrace,
    prices: CachePrices,
    *,
    shared: Sequence[int] | None = None,
    evaluated: float = EVALUATED,
    progress: Progress | None = None,
) -> PromptPlan:
    """Replay a trace under every policy, and choose one.

    Args:
        trace: The trace.
        prices: The prices.
        shared: For each request, how many of its blocks everybody shares. If that is known, plans are compared with
            breakpoints by volatility, which servers set without a plan, and otherwise with no caching.
        evaluated: The newest part of the requests, on which policies are judged (0 to 1).
        progress: Called with the name of the policy, the number of policies that are done, and their total.
    """
    made, clairvoyant = dict[str, Replayed](), Clairvoyant(trace, prices)
    usual = [] if shared is None else [ByVolatility(shared, hour=prices.write_hour is not None)]
    todo = [*policies(prices), *usual, clairvoyant]
    for at, policy in enumerate(todo):
        if progress:
            progress(policy.name, at, len(todo))
        made[policy.name] = replay(trace, policy, prices)
    if progress:
        progress(CLAIRVOYANT, len(todo), len(todo))
    judged = _judged_requests(trace, evaluated)
    comparison = _Comparison(trace, judged)
    base = usual[0].name if usual else NONE
    best, gates = _best_simple(made, comparison, base)
    planned = comparison.gate(made[PLANNED], made[best])
    return PromptPlan(
        prices=prices, used=_used(made, judged, prices), base=base, best_simple=best,
        bound_usd=float(clairvoyant.bound()[judged].sum()) * prices.token_usd,
        adopted=PLANNED if planned.adopted else best, gates=[*gates, planned], groups=comparison.groups,
        requests=len(trace.requests), judged=int(judged.sum()), without_repeat=trace.without_repeat(),
        span_s=trace.span_s, notes=trace.notes,
    )  # fmt: skip


def _judged_requests(trace: PromptTrace, evaluated: float = EVALUATED) -> NDArray[np.bool_]:
    """Which requests are judged: the newest part of them, and at least the last."""
    count = len(trace.requests)
    return np.arange(count) >= min(count - 1, int(count * (1 - evaluated)))


class _Comparison:
    """Compares two policies on the judged requests, for groups of requests that are resampled in pairs."""

    def __init__(self, trace: PromptTrace, judged: NDArray[np.bool_]) -> None:
        _, found = np.unique(trace.groups()[judged], return_inverse=True)
        self._judged, self._group = judged, found
        self.groups = int(found.max()) + 1
        self._resampler = Resampler(self.groups)

    def gate(self, candidate: Replayed, against: Replayed) -> Gate:
        one, other = self._sums(candidate.cost), self._sums(against.cost)
        ratio = self._resampler.ratio(one, other)
        is_sure = self.groups >= FEWEST_GROUPS and other.sum() > 0 and max(ratio.value, ratio.upper) < 1.0 - LEAST_GAIN
        return Gate(candidate.name, against.name, ratio, bool(is_sure))

    def _sums(self, cost: Floats) -> Floats:
        return np.asarray(np.bincount(self._group, cost[self._judged], minlength=self.groups), dtype=np.float64)


def _best_simple(made: dict[str, Replayed], comparison: _Comparison, base: str) -> tuple[str, list[Gate]]:
    """The cheapest rule that is surely cheaper than the base, or the base; and how the cheapest rule compares."""
    gates = [comparison.gate(made[name], made[base]) for name in SIMPLE if name in made and name != base]
    cheapest = min(gates, key=lambda gate: gate.ratio.value)
    sure = min((gate for gate in gates if gate.adopted), key=lambda gate: gate.ratio.value, default=None)
    return (sure.candidate, [sure]) if sure else (base, [cheapest])


def _used(made: dict[str, Replayed], judged: NDArray[np.bool_], prices: CachePrices) -> dict[str, Used]:
    none, best = (float(made[name].cost[judged].sum()) for name in (NONE, CLAIRVOYANT))
    return {name: _use(one, judged, prices, none=none, best=best) for name, one in made.items()}


def _use(one: Replayed, judged: NDArray[np.bool_], prices: CachePrices, *, none: float, best: float) -> Used:
    cost, read, written, wasted, warm_ups = (
        float(values[judged].sum()) for values in (one.cost, one.read, one.written, one.wasted, one.warm_ups)
    )
    return Used(
        name=one.name, usd=cost * prices.token_usd, saving=_share(none - cost, none),
        of_clairvoyant=(none - cost) / (none - best) if none > best else float("nan"),
        read=_share(read, none), written=_share(written, none), wasted=_share(wasted, written), warm_ups=int(warm_ups),
    )  # fmt: skip


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
