"""What a call costs: a dated book of provider prices with overrides, and a task's prices as a file states them.

The multipliers for batch, flex and cached tokens differ by model and date. They are therefore in the book, not in the
code.
"""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from parbake.errors import BadInput

T = TypeVar("T")
MILLION = 1_000_000
Processing = Literal["standard", "batch", "flex"]
_MULTIPLIERS = ("batch", "flex", "cache_read", "cache_write", "cache_write_hour")
_AMOUNTS = ("input", "output", *_MULTIPLIERS)


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model's prices from a date on: US dollars per million tokens, and multipliers (``None`` if not offered).

    ``batch`` and ``flex`` multiply every token's price. The ``cache_`` multipliers apply to the price of an input
    token. ``context`` names the price tier, such as ``long``.
    """

    provider: str
    model: str
    since: dt.date
    input: float
    output: float
    context: str = "standard"
    batch: float | None = None
    flex: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_hour: float | None = None

    @property
    def name(self) -> tuple[str, str, str]:
        """What identifies the price, apart from its date."""
        return self.provider, self.model, self.context


class Tokens(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tokens of one call. ``input`` counts those that are neither read from a cache nor written to one.

    ``cache_write`` lives for minutes, ``cache_write_hour`` for an hour.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_hour: int = 0


class Book(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All prices known on a date, and their source."""

    as_of: dt.date
    rates: tuple[Rate, ...] = ()
    source: str = ""

    def rate(self, provider: str, model: str, *, on: dt.date, context: str = "standard") -> Rate:
        """Find the price in force on a date. A long prompt never gets the standard context's price.

        Args:
            provider: The provider's name.
            model: The model's name.
            on: The date.
            context: The price tier.

        Raises:
            BadInput: The book has no price for the model, the context, or a date that early.
        """
        of_model = [r for r in self.rates if (r.provider, r.model) == (provider, model)]
        if not of_model:
            raise BadInput(f"no price for {provider} {model}", field="model")
        of_context = [r for r in of_model if r.context == context]
        if not of_context:
            known = ", ".join(sorted({r.context for r in of_model}))
            raise BadInput(
                f"{provider} {model} has no price for context {context!r}, only for {known}", field="context"
            )
        in_force = [r for r in of_context if r.since <= on]
        if not in_force:
            first = min(r.since for r in of_context)
            raise BadInput(f"{provider} {model} has no price on {on}: the first is of {first}", field="since")
        return max(in_force, key=lambda r: r.since)


def checked(book: Book, *, today: dt.date) -> Book:
    """Return the book if it is valid.

    Raises:
        BadInput: The book is dated in the future; or a price is negative, not finite, dated after the book or given
            twice; or a batch or flex price is not below the standard one.
    """
    if book.as_of > today:
        raise BadInput(f"as_of={book.as_of}: the price book is dated in the future (today is {today})", field="as_of")
    seen = set()
    for rate in book.rates:
        where = f"{rate.provider} {rate.model} ({rate.context}, {rate.since})"
        if rate.since > book.as_of:
            raise BadInput(f"{where}: must not be later than the book's as_of={book.as_of}", field="since")
        if (*rate.name, rate.since) in seen:
            raise BadInput(f"{where}: given twice; remove one of the two", field="rates")
        seen.add((*rate.name, rate.since))
        for name in _AMOUNTS:
            value = getattr(rate, name)
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise BadInput(f"{where}: {name}={value} must not be negative", field=name)
        for name in ("batch", "flex"):
            value = getattr(rate, name)
            if value is not None and value >= 1:
                raise BadInput(f"{where}: {name}={value} is not below the standard price", field=name)
    return book


def call_cost(rate: Rate, tokens: Tokens, *, processing: Processing = "standard") -> float:
    """Compute the price of one call, in US dollars.

    Args:
        rate: The model's prices.
        tokens: The tokens of the call.
        processing: How the tokens are bought: ``standard``, ``batch`` or ``flex``.

    Raises:
        BadInput: The model is not offered with that processing or caching.
    """
    counts = {
        "cache_read": tokens.cache_read,
        "cache_write": tokens.cache_write,
        "cache_write_hour": tokens.cache_write_hour,
    }
    cached = sum(_multiplier(rate, name) * count for name, count in counts.items() if count)
    standard = rate.input * (tokens.input + cached) + rate.output * tokens.output
    return standard / MILLION * (1.0 if processing == "standard" else _multiplier(rate, processing))


def decoded(path: Path, kind: type[T], *, option: str = "prices") -> T:
    """Read a JSON file into a struct; raises :class:`BadInput` that says what is wrong with it.

    Args:
        path: The file.
        kind: The type.
        option: The option that names the file.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise BadInput(f"--{option} {path}: {error.strerror or error}", field=option) from error
    except msgspec.DecodeError as error:
        raise BadInput(f"--{option} {path}: {error}", field=option) from error


def _multiplier(rate: Rate, name: str) -> float:
    value: float | None = getattr(rate, name)
    if value is None:
        raise BadInput(
            f"{rate.provider} {rate.model} ({rate.context}) has no {name} price; add the multiplier to the price book",
            field=name,
        )
    return value
