"""What caching a token costs and saves, as multiples of the price of an uncached input token."""

from __future__ import annotations

import math
from dataclasses import dataclass

from parbake.errors import BadInput
from parbake_llm.ports.prompts import Ttl
from parbake_planner.prices import MILLION, Rate

MINUTES_TTL, HOUR_TTL = 300.0, 3600.0
"""How long an entry lives after its last read, in seconds."""
PLANNED_TTLS: frozenset[Ttl] = frozenset({"5m", "1h"})
"""The times to live that plans are made for."""
MOST_MARKS = 4
"""The breakpoints of one request."""
LOOKBACK = 20
"""Positions that the provider looks at from a breakpoint on backwards, with the breakpoint's own."""
_MINIMUM = 1024
"""The least number of tokens of a cached prefix. It differs by model, so it can be stated."""


@dataclass(frozen=True, slots=True)
class CachePrices:
    """Prices of cached tokens, relative to an uncached one.

    Attributes:
        read: Reading a token.
        write: Writing a token for minutes.
        write_hour: Writing a token for an hour; ``None`` if the provider does not offer that.
        token_usd: The price of an uncached input token, in US dollars.
        warm_up: The output of a warm-up request, in uncached input tokens: one token.
        minimum: The least number of tokens of a cached prefix.
    """

    read: float
    write: float
    write_hour: float | None = None
    token_usd: float = 1.0
    warm_up: float = 0.0
    minimum: int = _MINIMUM

    @property
    def saving(self) -> float:
        """What reading a token saves against sending it uncached."""
        return 1.0 - self.read

    def extra(self, *, hour: bool) -> float:
        """What writing a token costs more than sending it uncached; infinite if it is not offered."""
        if not hour:
            return self.write - 1.0
        return math.inf if self.write_hour is None else self.write_hour - 1.0

    def break_even(self, *, hour: bool) -> float:
        """The expected number of reads per write above which writing pays; at most one read is a probability."""
        return self.extra(hour=hour) / self.saving if self.saving > 0 else math.inf


def ttl_s(*, hour: bool) -> float:
    """The time to live of an entry, in seconds."""
    return HOUR_TTL if hour else MINUTES_TTL


def cache_prices(rate: Rate, *, minimum: int = _MINIMUM) -> CachePrices:
    """Read the prices of cached tokens from a dated rate.

    Args:
        rate: The model's prices.
        minimum: The least number of tokens of a prefix that the model caches.

    Raises:
        BadInput: The rate has no price for cached reads or writes, or input is free.
    """
    for name in ("cache_read", "cache_write"):
        if getattr(rate, name) is None:
            raise BadInput(
                f"{rate.provider} {rate.model} ({rate.context}, {rate.since}) has no {name} price, so its prompt cache "
                "cannot be planned; add the multiplier to the price book",
                field=name,
            )
    if rate.input <= 0:
        raise BadInput(f"{rate.provider} {rate.model}: input is free, so there is nothing to save", field="input")
    assert rate.cache_read is not None  # noqa: S101 - checked above
    assert rate.cache_write is not None  # noqa: S101 - checked above
    return CachePrices(
        read=rate.cache_read, write=rate.cache_write, write_hour=rate.cache_write_hour,
        token_usd=rate.input / MILLION, warm_up=rate.output / rate.input, minimum=minimum,
    )  # fmt: skip
