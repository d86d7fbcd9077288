"""When computing ahead pays: a task's prices, the break-even volume, the threshold per key, the price that flips it."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import msgspec

from parbake.errors import BadInput
from parbake.planner.prices import Book, Tokens, call_cost, checked, decoded

DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What one unit of a task's work costs, in US dollars, and what waiting and being wrong cost.

    ``on_demand`` computes at request time, ``batch`` ahead, ``near_line`` on an event; ``serve`` reads what is stored,
    ``write`` stores it for one freshness window. ``job`` is a batch run's fixed cost. ``second`` is what a second of a
    user's wait is worth, ``quality`` what an answer computed at request time is worth less (negative: more) than a
    stored one, ``stale_serve`` what it costs to serve a value whose inputs have changed since, which happens
    ``changes_a_day`` times. ``on_demand_s`` and ``serve_s`` are latencies.
    """

    on_demand: float
    serve: float
    batch: float
    write: float
    near_line: float | None = None
    job: float = 0.0
    second: float = 0.0
    quality: float = 0.0
    stale_serve: float = 0.0
    changes_a_day: float = 0.0
    on_demand_s: float = 0.8
    serve_s: float = 0.005

    def __post_init__(self) -> None:
        """Refuse what cannot be a price."""
        for part in fields(self):
            value = getattr(self, part.name)
            signed = part.name == "quality"
            if value is not None and not (math.isfinite(value) and (value >= 0 or signed)):
                raise BadInput(f"{part.name}={value}: a price must not be negative", field=part.name)
        if self.request <= self.stored:
            raise BadInput(
                f"on_demand={self.on_demand}: computing costs no more than serving ({self.serve}); nothing to plan",
                field="on_demand",
            )

    @property
    def request(self) -> float:
        """A request that computes, the wait included."""
        return self.on_demand + self.second * self.on_demand_s + self.quality

    @property
    def stored(self) -> float:
        """A request that is served from the store, the wait included."""
        return self.serve + self.second * self.serve_s

    @property
    def ahead(self) -> float:
        """One artifact computed in batch and kept for a window."""
        return self.batch + self.write

    @property
    def miss(self) -> float:
        """What a request that finds nothing costs more than one that is served; its result is stored."""
        return self.request - self.stored + self.write

    def stale_share(self, window_s: float) -> float:
        """Expected share of serves that are stale when ages spread evenly over a window: ``1 - (1 - e^-DW)/(DW)``."""
        changed = self.changes_a_day / DAY * window_s
        return 1 + math.expm1(-changed) / changed if changed > 0 else 0.0

    def theta(self, *, stale_serves: float = 0.0) -> float:
        """The least probability of a request that makes computing ahead pay.

        ``(batch + write + E[stale serves] x stale_serve) / (on_demand - serve + write + latency + quality)``: what one
        unit costs over what it spares if needed, the critical ratio of the newsvendor (Arrow, Harris & Marschak 1951).
        """
        return (self.ahead + stale_serves * self.stale_serve) / self.miss


STORY = Prices(on_demand=0.012, serve=0.0001, batch=2_400 / 20e6, write=200 / 20e6, near_line=10 * 2_400 / 20e6)
"""The example of the design: 20 million artifacts a day for $2,400, stored for $200, against $0.012 a request.
It states no price for an event lane; ten times batch is assumed."""
STORY_LOW = replace(STORY, on_demand=0.006)
"""The same at the price that its monthly table implies: real-time wins there."""


def break_even_volume(*, batch: float, storage: float, on_demand: float, serve: float) -> float:
    """Requests a day from which computing everything ahead is cheaper than computing on request.

    ``(batch + storage) / (on_demand - serve)``; ``batch`` and ``storage`` in dollars a day. Infinite when serving costs
    as much as computing.
    """
    return (batch + storage) / (on_demand - serve) if on_demand > serve else math.inf


def flip_factor(prices: Prices, *, fixed: float, computed: float, served: float, requests: float) -> float:
    """How many times cheaper a request-time computation must become before real-time is the cheapest.

    A strategy that computes ``computed`` of its ``requests`` on request, serves ``served`` and pays ``fixed`` besides
    equals real-time at ``on_demand = (fixed + served x serve) / (requests - computed)``, all else unchanged. Below 1:
    real-time is cheaper already. Infinite when the strategy costs nothing but its computations.
    """
    replaced = requests - computed
    if replaced <= 0:
        return 1.0
    extras = prices.request - prices.on_demand
    even = (fixed + served * prices.stored) / replaced - extras
    return prices.on_demand / even if even > 0 else math.inf


class CallUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one call to a model uses, for prices that come from a book."""

    provider: str
    model: str
    tokens: Tokens
    context: str = "standard"
    ahead: Literal["batch", "flex"] = "batch"


class PriceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task's prices as a file states them: outright, or by ``usage`` and a ``book``."""

    as_of: dt.date
    serve: float
    write: float
    on_demand: float | None = None
    batch: float | None = None
    near_line: float | None = None
    job: float = 0.0
    second: float = 0.0
    quality: float = 0.0
    stale_serve: float = 0.0
    changes_a_day: float = 0.0
    on_demand_s: float = 0.8
    serve_s: float = 0.005
    source: str = ""
    usage: CallUsage | None = None
    book: Book | None = None


def read_prices(path: Path, *, today: dt.date) -> Prices:
    """Read a task's prices.

    Raises:
        BadInput: the file cannot be read, is from the future, or lacks a price.
    """
    stated = decoded(path, PriceFile)
    if stated.as_of > today:
        raise BadInput(f"--prices {path}: as_of={stated.as_of} is in the future (today is {today})", field="as_of")
    on_demand, batch = stated.on_demand, stated.batch
    if stated.usage is not None and stated.book is not None:
        usage = stated.usage
        rate = checked(stated.book, today=today).rate(
            usage.provider, usage.model, on=stated.as_of, context=usage.context
        )
        on_demand = call_cost(rate, usage.tokens) if on_demand is None else on_demand
        batch = call_cost(rate, usage.tokens, processing=usage.ahead) if batch is None else batch
    for name, value in (("on_demand", on_demand), ("batch", batch)):
        if value is None:
            raise BadInput(f"--prices {path}: {name} is missing, and no usage and book to derive it from", field=name)
    given = {part.name: getattr(stated, part.name) for part in fields(Prices) if hasattr(stated, part.name)}
    return Prices(**{**given, "on_demand": on_demand, "batch": batch})
