"""When computing ahead pays: a task's prices, the break-even volume, the threshold per key and the flip price."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import msgspec

from parbake.errors import BadInput
from parbake_planner.prices import Book, Processing, Rate, Tokens, call_cost, checked, decoded

DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What one unit of a task's work costs in US dollars, and what waiting and wrong answers cost.

    Attributes:
        on_demand: Computing one result at request time.
        serve: Reading one stored result.
        batch: Computing one result ahead, in a batch run.
        write: Storing one result for one freshness window.
        near_line: Computing one result when an event arrives; ``None`` if the task has no event lane.
        job: The fixed cost of one batch run.
        second: The value of one second of a user's waiting time.
        quality: How much less an answer computed at request time is worth than a stored one; negative if it is worth
            more.
        stale_serve: The cost of serving a value whose inputs have changed since it was computed.
        changes_a_day: How many times a day the inputs change.
        on_demand_s: Latency of a computation at request time, in seconds.
        serve_s: Latency of serving a stored value, in seconds.
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
        """Reject values that cannot be prices."""
        for part in fields(self):
            value = getattr(self, part.name)
            signed = part.name == "quality"
            if value is not None and not (math.isfinite(value) and (value >= 0 or signed)):
                raise BadInput(
                    f"{part.name}={value}: a price must be a finite number and not negative", field=part.name
                )
        if self.request <= self.stored:
            raise BadInput(
                f"on_demand={self.on_demand}: with the wait it must exceed serve={self.serve}",
                field="on_demand",
            )

    @property
    def request(self) -> float:
        """Cost of a request that is computed, including the wait."""
        return self.on_demand + self.second * self.on_demand_s + self.quality

    @property
    def stored(self) -> float:
        """Cost of a request that is served from the store, including the wait."""
        return self.serve + self.second * self.serve_s

    @property
    def ahead(self) -> float:
        """Cost of one artifact computed in batch and stored for one window."""
        return self.batch + self.write

    @property
    def miss(self) -> float:
        """Extra cost of a request that misses, compared with one that is served. Its result is stored."""
        return self.request - self.stored + self.write

    def stale_share(self, window_s: float) -> float:
        """Expected share of stale serves if ages are spread evenly over a window: ``1 - (1 - e^-DW)/(DW)``."""
        changed = self.changes_a_day / DAY * window_s
        return 1 + math.expm1(-changed) / changed if changed > 0 else 0.0

    def theta(self, *, stale_serves: float = 0.0) -> float:
        """The lowest request probability at which computing ahead pays.

        ``(batch + write + E[stale serves] x stale_serve) / (on_demand - serve + write + latency + quality)``: the cost
        of one unit divided by what it saves if it is needed. This is the critical ratio of the newsvendor problem
        (Arrow, Harris & Marschak 1951).
        """
        return (self.ahead + stale_serves * self.stale_serve) / self.miss


STORY = Prices(on_demand=0.012, serve=0.0001, batch=2_400 / 20e6, write=200 / 20e6, near_line=10 * 2_400 / 20e6)
"""The example from the design: 20 million artifacts a day for $2,400, stored for $200, against $0.012 a request.
The example has no price for an event lane; ten times the batch price is assumed."""


def break_even_volume(*, batch: float, storage: float, on_demand: float, serve: float) -> float:
    """Compute the requests per day above which computing everything ahead is cheaper than computing on request.

    Args:
        batch: Cost of the batch runs, in US dollars a day.
        storage: Cost of storing the results, in US dollars a day.
        on_demand: Cost of computing one request, in US dollars.
        serve: Cost of serving one stored result, in US dollars.

    Returns:
        ``(batch + storage) / (on_demand - serve)``, or infinity if serving costs as much as computing.
    """
    return (batch + storage) / (on_demand - serve) if on_demand > serve else math.inf


def flip_factor(prices: Prices, *, fixed: float, computed: float, served: float, requests: float) -> float:
    """Compute how many times cheaper request-time computing must become before real-time is the cheapest strategy.

    The strategy costs as much as real-time at ``on_demand = (fixed + served x serve) / (requests - computed)``, if
    nothing else changes.

    Args:
        prices: The task's prices.
        fixed: What the strategy costs besides requests, in US dollars.
        computed: Number of requests that the strategy computes on request.
        served: Number of requests that it serves from the store.
        requests: Number of all requests.

    Returns:
        The factor. Below 1, real-time is already cheaper. Infinite if the strategy costs nothing except its
        computations.
    """
    replaced = requests - computed
    if replaced <= 0:
        return 1.0
    extras = prices.request - prices.on_demand
    even = (fixed + served * prices.stored) / replaced - extras
    return prices.on_demand / even if even > 0 else math.inf


class CallUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one call to a model uses; the price comes from a price book.

    Cached tokens are stated in ``tokens``, or follow from ``prefix_tokens``: the share of calls that find the prefix in
    the provider's cache read it, and the others write it. With a share of 0 nothing is cached, and the prefix costs as
    much as other input; so it does with a model whose rate has no ``cache_read``.

    Attributes:
        provider: The provider's name in the book.
        model: The model's name in the book.
        tokens: The tokens of one call.
        context: The price tier.
        ahead: How the calls of a batch run are bought.
        prefix_tokens: How many of ``tokens.input`` are a prefix that calls share.
        cached_share: The share of calls at request time that find the prefix in the cache (0 to 1).
        ahead_cached_share: The same for the calls of a batch run.
        ttl: How long the provider is asked to hold the prefix.
    """

    provider: str
    model: str
    tokens: Tokens
    context: str = "standard"
    ahead: Literal["batch", "flex"] = "batch"
    prefix_tokens: int = 0
    cached_share: float = 0.0
    ahead_cached_share: float = 0.0
    ttl: Literal["5m", "30m", "1h"] = "5m"


class PriceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task's prices as a file states them: directly, or as ``usage`` and a ``book``."""

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


def _checked_usage(usage: CallUsage) -> CallUsage:
    """Return the usage if its prefix is possible; raises :class:`BadInput` that names the invalid field."""
    tokens = usage.tokens
    if not 0 <= usage.prefix_tokens <= tokens.input:
        raise BadInput(
            f"prefix_tokens={usage.prefix_tokens}: the prefix is a part of the input={tokens.input}",
            field="prefix_tokens",
        )
    for name in ("cached_share", "ahead_cached_share"):
        share = getattr(usage, name)
        if not 0 <= share <= 1:
            raise BadInput(f"{name}={share} must be a share, from 0 to 1", field=name)
        if share and not usage.prefix_tokens:
            raise BadInput(f"{name}={share} needs prefix_tokens, the tokens that are cached", field="prefix_tokens")
    if usage.prefix_tokens and (tokens.cache_read or tokens.cache_write or tokens.cache_write_hour):
        raise BadInput(
            "prefix_tokens: the tokens state cached ones already; state the one or the other", field="prefix_tokens"
        )
    return usage


def expected_cost(rate: Rate, usage: CallUsage, *, cached_share: float, processing: Processing = "standard") -> float:
    """Compute the mean price of a call, in US dollars, of which a share finds its prefix in the provider's cache.

    ``share x (prefix read + rest) + (1 - share) x (prefix written + rest)``.

    Args:
        rate: The model's prices. Without ``cache_read``, the prefix is priced as ordinary input.
        usage: The tokens of the call, and how many of them are the prefix.
        cached_share: The share of calls that read the prefix (0 to 1); the others write it. With 0, nothing is cached.
        processing: How the tokens are bought.

    Raises:
        BadInput: The model is not offered with that processing or with writes for that time.
    """
    tokens, prefix = usage.tokens, usage.prefix_tokens
    if not (prefix and cached_share) or rate.cache_read is None:
        return call_cost(rate, tokens, processing=processing)
    written = "cache_write_hour" if usage.ttl == "1h" else "cache_write"
    found = 0.0
    for kind, share in (("cache_read", cached_share), (written, 1 - cached_share)):
        if share > 0:
            sent = msgspec.structs.replace(tokens, **{"input": tokens.input - prefix, kind: prefix})
            found += share * call_cost(rate, sent, processing=processing)
    return found


def read_prices(path: Path, *, today: dt.date, measured: float | None = None) -> Prices:
    """Read a task's prices from a file.

    Args:
        path: The file.
        today: The current date.
        measured: What one computation costs according to a log, in US dollars, if the file does not say it.

    Raises:
        BadInput: The file cannot be read, is dated in the future, or lacks a price.
    """
    stated = decoded(path, PriceFile)
    if stated.as_of > today:
        raise BadInput(f"--prices {path}: as_of={stated.as_of} is in the future (today is {today})", field="as_of")
    on_demand, batch = stated.on_demand, stated.batch
    if stated.usage is not None and stated.book is not None:
        usage = _checked_usage(stated.usage)
        rate = checked(stated.book, today=today).rate(
            usage.provider, usage.model, on=stated.as_of, context=usage.context
        )
        if on_demand is None:
            on_demand = expected_cost(rate, usage, cached_share=usage.cached_share)
        if batch is None:
            batch = expected_cost(rate, usage, cached_share=usage.ahead_cached_share, processing=usage.ahead)
    on_demand = measured if on_demand is None else on_demand
    for name, value in (("on_demand", on_demand), ("batch", batch)):
        if value is None:
            raise BadInput(
                f"--prices {path}: {name} is missing; give it, or give usage and book to derive it from", field=name
            )
    given = {part.name: getattr(stated, part.name) for part in fields(Prices) if hasattr(stated, part.name)}
    return Prices(**{**given, "on_demand": on_demand, "batch": batch})
