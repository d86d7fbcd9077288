"""Orders of the generated shop: what a shopper bought on one day is one order, which moves on with its age."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from retail_assistant.world.draws import DAY, Floats, Ints

_CANCELLED, _RETURNED = 0.02, 0.03
_PACKED_AFTER_H, _SHIPPED_AFTER_H, _DELIVERED_AFTER_D = 6.0, 20.0, 4.0
_REACHED_H = {
    "packed": _PACKED_AFTER_H,
    "shipped": _SHIPPED_AFTER_H,
    "delivered": _DELIVERED_AFTER_D * 24,
    "returned": _DELIVERED_AFTER_D * 24,
}
"""How many hours after it was placed an order reached its state."""
POINTS_PER_EURO = 2


class OrderRow(NamedTuple):
    """An order.

    ``who`` is the shopper's position in the group; ``lines`` map items to what they cost, in cents. Times are in epoch
    seconds.
    """

    who: int
    placed_at: float
    state: str
    changed_at: float
    tracking: str
    lines: dict[int, int]


def make_orders(
    rng: np.random.Generator, who: Ints, item: Ints, ts: Floats, cents: Ints, *, now: float
) -> Iterator[OrderRow]:
    """Yield the orders of purchases that are ordered by (shopper, time); ``lines`` maps an item to what it cost."""
    if not len(who):
        return
    day = np.floor(ts / DAY)
    begins = np.flatnonzero(np.r_[True, (np.diff(who) != 0) | (np.diff(day) != 0)])
    ends = np.r_[begins[1:], len(who)]
    fate, digits = rng.random(len(begins)), rng.integers(10**7, 10**8, len(begins))
    for first, last, chance, number in zip(begins.tolist(), ends.tolist(), fate.tolist(), digits.tolist(), strict=True):
        placed = float(ts[first])
        state = _state((now - placed) / 3600.0, chance)
        tracking = f"TRK{number}" if state in ("shipped", "delivered", "returned") else ""
        lines = dict(zip(item[first:last].tolist(), cents[first:last].tolist(), strict=True))
        yield OrderRow(int(who[first]), placed, state, placed + _REACHED_H.get(state, 0.0) * 3600.0, tracking, lines)


def _state(hours: float, chance: float) -> str:
    if chance < _CANCELLED:
        return "cancelled"
    if hours < _PACKED_AFTER_H:
        return "placed"
    if hours < _SHIPPED_AFTER_H:
        return "packed"
    if hours < _DELIVERED_AFTER_D * 24:
        return "shipped"
    return "returned" if chance < _CANCELLED + _RETURNED else "delivered"
