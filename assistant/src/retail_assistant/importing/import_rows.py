"""The rows that an import reads. One file a table: ``products.csv``, ``policies.json``, ``purchases.parquet``, ...

Only ``products`` is required. Money is decimal in the shop's currency; times are ISO 8601 or epoch seconds and may be
absent. Tasks that need them are then switched off, and the report says so.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from retail_assistant.shop.checks import END_OF_TIME
from retail_assistant.shop.policies import Fact


class ProductRow(msgspec.Struct, forbid_unknown_fields=True):
    """``asin``, ``title`` and ``price`` are required; ``genre`` is the category, ``series`` groups variants."""

    asin: str
    title: str
    price: float
    genre: str = ""
    series: str = ""
    volume: int = 0
    author: str = ""
    format: str = ""
    description: str = ""
    quantity: int = 0
    listed: bool = True


class PolicyRow(msgspec.Struct, forbid_unknown_fields=True):
    """``body`` is markdown with ``##`` sections; ``facts`` fill placeholders such as ``{window_days}``."""

    id: str
    title: str
    body: str
    facts: dict[str, Fact] = {}


class ShopperRow(msgspec.Struct, forbid_unknown_fields=True):
    """A shopper. Shoppers of purchases, views and reviews are added without a row of their own."""

    id: str
    segment: str = "regular"
    points: int = 0


class PurchaseRow(msgspec.Struct, forbid_unknown_fields=True):
    """One copy bought."""

    shopper: str
    asin: str
    ts: str | float | None = None
    price: float | None = None


class OrderRow(msgspec.Struct, forbid_unknown_fields=True):
    """An order; ``state`` is placed, packed, shipped, delivered, cancelled, returning or returned."""

    number: str
    shopper: str
    state: str
    placed_at: str | float | None = None
    tracking: str = ""
    address: str = ""


class OrderLineRow(msgspec.Struct, forbid_unknown_fields=True):
    """A product of an order; ``price`` is what one copy cost."""

    number: str
    asin: str
    price: float
    quantity: int = 1


class ViewRow(msgspec.Struct, forbid_unknown_fields=True):
    """One product page seen."""

    shopper: str
    asin: str
    ts: str | float | None = None


class ReviewRow(msgspec.Struct, forbid_unknown_fields=True):
    """``rating`` is 1 to 5."""

    asin: str
    shopper: str
    rating: int
    body: str
    ts: str | float | None = None


class PromotionRow(msgspec.Struct, forbid_unknown_fields=True):
    """``category`` is a genre or ``*``; ``segment`` is all, new, regular or vip."""

    id: str
    title: str
    percent: int
    starts_at: str | float
    ends_at: str | float
    category: str = "*"
    segment: str = "all"


class QueryRow(msgspec.Struct, forbid_unknown_fields=True):
    """One logged message; ``question`` is the tag of its recurring question, ``intent`` the kind of request."""

    text: str
    shopper: str = ""
    ts: str | float | None = None
    question: str | None = None
    intent: str = "faq"


TABLES: dict[str, type[msgspec.Struct]] = {
    "products": ProductRow,
    "policies": PolicyRow,
    "shoppers": ShopperRow,
    "orders": OrderRow,
    "order_lines": OrderLineRow,
    "purchases": PurchaseRow,
    "views": ViewRow,
    "reviews": ReviewRow,
    "promotions": PromotionRow,
    "queries": QueryRow,
}


def epoch(value: str | float | None) -> float | None:
    """Convert a time to epoch seconds; raises ``ValueError`` if it is not ISO 8601. Without a zone it is UTC."""
    if value is None or value == "":
        return None
    try:
        seconds = float(value)
    except ValueError:
        parsed = dt.datetime.fromisoformat(str(value))
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).timestamp()
    if not abs(seconds) < END_OF_TIME:
        raise ValueError(f"{value} is not a time in epoch seconds; milliseconds are divided by 1,000 first")
    return seconds
