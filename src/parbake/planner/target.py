"""A promised share of hits in place of a price of waiting: what a second must be worth for the promise to be kept.

The value of a second moves the threshold per key, and with it hits and cost together. It is found by a replay of the
windows just before those that strategies are judged by, so that the judged ones say whether the promise holds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from parbake.errors import BadInput
from parbake.planner.per_key import PerKey
from parbake.planner.replay import Outcome, replay

WORTH: tuple[float, ...] = (0.0, *np.geomspace(1e-4, 1.0, 127).tolist())
"""Dollars for a second of waiting less, each 1.08 times the one before."""
CONFIDENCE = NormalDist().inv_cdf(0.95)


def check_share(hits: float | None) -> None:
    """Raise :class:`BadInput` for what is no share of requests."""
    if hits is not None and not 0 < hits < 1:
        raise BadInput(f"hits={hits}: a share of requests, above 0 and below 1", field="hits")


def kept(outcome: Outcome, hits: float) -> bool:
    """Whether at least this share of requests found what was fresh."""
    return outcome.share(outcome.fresh_hits) >= hits


def worth_of_a_second(policy: PerKey, judged: range, hits: float) -> float:
    """The least value of a second, in dollars, at which the strategy per key surely kept the promise before ``judged``.

    The greatest that is tried where none is enough. ``policy`` states the prices otherwise.
    """
    past = policy.past
    before = range(max(judged.start // 2, judged.start - len(judged), 1), judged.start)
    trial = PerKey(past, policy.prices, policy.predictor, (before.start,))

    def keeps(second: float) -> bool:
        raised = replace(policy.prices, second=policy.prices.second + second)
        found = replay(past.log, past.windows, policy.prices, trial.sharing(raised), before)
        return bool(found.requests) and _surely(found) >= hits

    low, high = 0, len(WORTH) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(WORTH[middle]) else (middle + 1, high)
    return WORTH[low]


def _surely(found: Outcome) -> float:
    """The share of hits, less what it may be off by chance."""
    share = found.share(found.fresh_hits)
    return share - CONFIDENCE * math.sqrt(share * (1 - share) / found.requests)
