"""What it is worth to hold a prefix, per token: for minutes, for minutes with warm-ups, or for an hour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from parbake_llm.caching.pricing import HOUR_TTL, MINUTES_TTL, CachePrices
from parbake_llm.caching.reuse import Survival

RETURNS = 2
"""How many returns are looked ahead once the last curve holds."""


class Worth(NamedTuple):
    """Expected savings per token, in prices of an uncached token, if the prefix is held from now on.

    Attributes:
        minutes: Held for minutes; warmed as long as that pays.
        hour: Held for an hour.
        none: Not held until its next request, where it may be written again.
    """

    minutes: float
    hour: float
    none: float


NOTHING = Worth(0.0, 0.0, 0.0)


def worth(curves: Sequence[Survival], prices: CachePrices, *, warms: bool = True) -> Worth:
    """Compute the worth of a prefix.

    Args:
        curves: When it is expected to be asked for again: now, after one more sighting, and so on. The last curve is
            taken to hold from then on.
        prices: The prices.
        warms: Whether warm-ups are possible.
    """
    found = NOTHING
    for curve in reversed([*curves, *[curves[-1]] * RETURNS]):
        found = _before(curve, found, prices, warms=warms)
    return found


def held_on(curve: Survival, age: float, following: Worth, prices: CachePrices, *, warms: bool = True) -> float:
    """What it is worth to hold a prefix for minutes from an age on, per token.

    Args:
        curve: When it is expected to be asked for again.
        age: The seconds since it was asked for last.
        following: Its worth after its next request.
        prices: The prices.
        warms: Whether it may be warmed later.
    """
    steps = max(0, int((HOUR_TTL - age) / MINUTES_TTL)) if warms else 0
    alive = curve.each_five_minutes(age, steps + 2)
    gain, rewritten = prices.saving + following.minutes, written(following, prices)
    end = min(alive[-1], curve.beyond(HOUR_TTL))
    found = -math.inf
    for begin, until in zip(alive[-2::-1], alive[:0:-1], strict=True):
        later = rewritten * max(0.0, 1 - end / until)
        chance = 1 - until / begin
        found = chance * gain + (1 - chance) * max(later, found - prices.read)
    return found


def rewritten_later(curve: Survival, age: float, following: Worth, prices: CachePrices) -> float:
    """The worth of a prefix that is held no longer from an age on: it can be written at its next request.

    Args:
        curve: When it is expected to be asked for again.
        age: The seconds since it was asked for last.
        following: Its worth after its next request.
        prices: The prices.
    """
    return curve.within(age, HOUR_TTL - age) * written(following, prices) if age < HOUR_TTL else 0.0


def written(following: Worth, prices: CachePrices) -> float:
    """The worth, at a request, of a prefix that is not held: it is written then, or later, or never."""
    minutes = following.minutes - prices.extra(hour=False)
    return max(following.none, minutes, following.hour - prices.extra(hour=True))


def _before(curve: Survival, following: Worth, prices: CachePrices, *, warms: bool) -> Worth:
    chance = curve.within(0.0, HOUR_TTL)
    return Worth(
        held_on(curve, 0.0, following, prices, warms=warms),
        chance * (prices.saving + following.hour) if prices.write_hour is not None else 0.0,
        chance * written(following, prices),
    )
