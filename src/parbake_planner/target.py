"""A promised share of hits instead of a price of waiting: the value of a second at which the promise is kept.

The value of a second moves the threshold per key, and with it hits and cost together. It is found by replaying the
windows just before those by which strategies are judged. The judged windows then show whether the promise holds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from parbake.errors import BadInput
from parbake_planner.per_key import PerKey
from parbake_planner.replay import Outcome, replay

_WORTH: tuple[float, ...] = (0.0, *np.geomspace(1e-4, 1.0, 127).tolist())
"""Values of one second of waiting to try, in US dollars; each is 1.08 times the previous one."""
CONFIDENCE = NormalDist().inv_cdf(0.95)


def check_share(hits: float | None) -> None:
    """Raise :class:`BadInput` if ``hits`` is not a share of requests."""
    if hits is not None and not 0 < hits < 1:
        raise BadInput(f"hits={hits} must be a share of requests, above 0 and below 1", field="hits")


def kept(outcome: Outcome, hits: float) -> bool:
    """Whether at least this share of requests found a fresh result."""
    return outcome.share(outcome.fresh_hits) >= hits


def worth_of_a_second(policy: PerKey, judged: range, hits: float) -> float:
    """Find the least value of a second at which the strategy per key kept the promise in the windows before ``judged``.

    Args:
        policy: The strategy per key, with all other prices.
        judged: The windows that strategies are judged by; they are not used.
        hits: The promised share of requests with a fresh result (0 to 1).

    Returns:
        The value in US dollars; the greatest value tried if none is enough.
    """
    past = policy.past
    before = range(max(judged.start // 2, judged.start - len(judged), 1), judged.start)
    trial = PerKey(past, policy.prices, policy.predictor, (before.start,))

    def keeps(second: float) -> bool:
        raised = replace(policy.prices, second=policy.prices.second + second)
        found = replay(past.log, past.windows, policy.prices, trial.sharing(raised), before)
        return bool(found.requests) and _surely(found) >= hits

    low, high = 0, len(_WORTH) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(_WORTH[middle]) else (middle + 1, high)
    return _WORTH[low]


def _surely(found: Outcome) -> float:
    """The lower confidence bound of the share of fresh hits."""
    share = found.share(found.fresh_hits)
    return share - CONFIDENCE * math.sqrt(share * (1 - share) / found.requests)
