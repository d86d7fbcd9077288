"""How far the plan's chances are from what happened: the expected calibration error, by tokens."""

from __future__ import annotations

import numpy as np

from parbake_llm.caching.asked import Asked, PromptTrace
from parbake_llm.caching.marking import Planned
from parbake_llm.caching.pricing import MINUTES_TTL, CachePrices
from parbake_llm.caching.replayed import replay

BINS = 10


class _Noting(Planned):
    """Notes the chance that it expects for each block, right after it has seen it."""

    def __init__(self, prices: CachePrices) -> None:
        super().__init__(prices)
        self.noted: list[tuple[float, int, int, float]] = []

    def saw(self, request: Asked) -> None:
        """See :meth:`CachingPolicy.saw`."""
        super().saw(request)
        for at, block in enumerate(request.blocks):
            tokens = request.until(at + 1) - request.until(at)
            self.noted.append((request.at, block, tokens, self.chance(block)))


def calibration_error(trace: PromptTrace, prices: CachePrices) -> float:
    """The mean distance of expected and observed returns within five minutes, in bins of expected chance.

    Only the newest half counts, without the last five minutes, whose outcomes are not known.

    Args:
        trace: The trace.
        prices: The prices.
    """
    policy = _Noting(prices)
    replay(trace, policy, prices)
    upcoming: dict[int, float] = {}
    rows = []
    begin, end = trace.requests[0].at + trace.span_s / 2, trace.requests[-1].at - MINUTES_TTL
    for at, block, tokens, chance in reversed(policy.noted):
        if begin <= at <= end:
            rows.append((chance, float(upcoming.get(block, np.inf) - at <= MINUTES_TTL), tokens))
        upcoming[block] = at
    chance, came, tokens = np.asarray(rows).T
    bins = np.minimum((chance * BINS).astype(int), BINS - 1)
    off = np.abs(np.bincount(bins, (chance - came) * tokens, minlength=BINS))
    return float(off.sum() / tokens.sum())
