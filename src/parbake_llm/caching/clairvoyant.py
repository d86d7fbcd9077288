"""What caching could save at best, if the future were known: a bound, and a policy that comes close to it.

Each block is looked at on its own. It is held, warmed or written at the price of its own tokens, and the best way to do
so over all its requests is found exactly, from the last request backwards. Nobody can do better, because the rest only
adds constraints: breakpoints are few, an entry is read only where a breakpoint stands, and a warm-up reads everything
before the block too. :class:`Clairvoyant` keeps these constraints. Its cost is therefore above the bound, and the best
possible cost lies between the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from parbake_llm.caching.asked import Asked, PromptTrace
from parbake_llm.caching.best_marks import chosen_marks
from parbake_llm.caching.held import HeldPrefixes, Lapsing, Mark
from parbake_llm.caching.policies_of_caching import CachingPolicy
from parbake_llm.caching.pricing import CachePrices, ttl_s
from parbake_llm.caching.strategy_names import CLAIRVOYANT
from parbake_llm.caching.worth import NOTHING, Worth, written
from parbake_planner.intervals import Floats


@dataclass(slots=True)
class _Known:
    """All requests for one block, in order: their positions, times, and the worth of holding the block after each."""

    tokens: int
    positions: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    worths: list[Worth] = field(default_factory=list)
    next: int = 0

    def value(self, prices: CachePrices) -> None:
        """Compute the worths, from the last request backwards."""
        found = [NOTHING]
        for at in range(len(self.times) - 2, -1, -1):
            gap, later = self.times[at + 1] - self.times[at], found[-1]
            none = written(later, prices)
            minutes = prices.saving + later.minutes - prices.read * warm_ups(gap, hour=False)
            hour = prices.saving + later.hour - prices.read * warm_ups(gap, hour=True)
            found.append(Worth(max(none, minutes), max(none, hour), none))
        self.worths = found[::-1]


def warm_ups(gap: float, *, hour: bool) -> int:
    """How many warm-ups keep an entry alive over a gap, in seconds."""
    return max(0, math.ceil(gap / ttl_s(hour=hour)) - 1)


def known(trace: PromptTrace, prices: CachePrices) -> dict[int, _Known]:
    """All requests for each block, without those that are too short to be cached."""
    found: dict[int, _Known] = {}
    for position, request in enumerate(trace.requests):
        if request.tokens < prices.minimum:
            continue
        for at, block in enumerate(request.blocks):
            if block not in found:
                found[block] = _Known(request.until(at + 1) - request.until(at))
            found[block].positions.append(position)
            found[block].times.append(request.at)
    for one in found.values():
        one.value(prices)
    return found


def bound(trace: PromptTrace, prices: CachePrices) -> Floats:
    """The cost of each request that no policy undercuts in sum, in uncached input tokens.

    Args:
        trace: The trace.
        prices: The prices.
    """
    return Clairvoyant(trace, prices).bound()


def _spend(block: _Known, prices: CachePrices, cost: Floats) -> None:
    """Add what the best way to hold one block costs, and subtract what it saves, at each of its requests."""
    held: bool | None = None
    for at, position in enumerate(block.positions):
        worth = block.worths[at]
        if held is not None:
            cost[position] -= block.tokens * prices.saving
        else:
            best = written(worth, prices)
            if best > worth.none:
                held = best > worth.minutes - prices.extra(hour=False)
                cost[position] += block.tokens * prices.extra(hour=held)
        if held is None or at + 1 == len(block.positions):
            continue
        if (worth.hour if held else worth.minutes) > worth.none:
            gap = block.times[at + 1] - block.times[at]
            cost[position] += block.tokens * prices.read * warm_ups(gap, hour=held)
        else:
            held = None


class Clairvoyant(CachingPolicy):
    """Decides as :class:`Planned` does, but with what will happen in place of what is expected."""

    name = CLAIRVOYANT

    def __init__(self, trace: PromptTrace, prices: CachePrices) -> None:
        """Look at the whole trace."""
        self._prices = prices
        self._known = known(trace, prices)
        self._trace = trace

    def bound(self) -> Floats:
        """See :func:`bound`."""
        cost = np.asarray([float(one.tokens) for one in self._trace.requests])
        for block in self._known.values():
            _spend(block, self._prices, cost)
        return cost

    def marks(self, request: Asked, read: int) -> Sequence[Mark]:
        if request.tokens < self._prices.minimum:
            return ()
        worths = [self._now(block) for block in request.blocks]
        return chosen_marks(request, worths, lambda worth: worth, read=read, prices=self._prices)

    def keep(self, lapsing: Lapsing, held: HeldPrefixes) -> int:
        request, gain, least = lapsing.request, 0.0, math.inf
        for depth in range(lapsing.depth, 0, -1):
            block = self._known[request.blocks[depth - 1]]
            if held.until(request.blocks[depth - 1]) > lapsing.at or block.next >= len(block.times):
                break
            least = min(least, block.times[block.next] - lapsing.at)
            later = block.worths[block.next]
            worth = later.hour if lapsing.hour else later.minutes
            gain += block.tokens * (self._prices.saving + worth - written(later, self._prices))
        if not math.isfinite(least):
            return 0
        times = warm_ups(least, hour=lapsing.hour) + 1
        cost = times * (self._prices.read * request.until(lapsing.depth) + self._prices.warm_up)
        return lapsing.depth if gain > cost else 0

    def saw(self, request: Asked) -> None:
        if request.tokens >= self._prices.minimum:
            for block in request.blocks:
                self._known[block].next += 1

    def _now(self, block: int) -> Worth:
        """The worth of holding a block from the current request on."""
        one = self._known[block]
        return one.worths[one.next]
