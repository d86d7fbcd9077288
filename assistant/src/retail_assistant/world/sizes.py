"""Predicts the size of a generated shop before it is built."""

from __future__ import annotations

from dataclasses import dataclass

_VIEWS, _PURCHASES, _REVIEW_SHARE = 30.5, 7.0, 0.105
_BYTES = {"views": 87, "purchases": 190, "reviews": 185, "shoppers": 26, "products": 900, "queries": 90}
_FIXED_BYTES = 100_000


@dataclass(frozen=True)
class Size:
    """A prediction: rows by table and bytes on disk; within about a tenth for a thousand shoppers or more."""

    rows: dict[str, int]
    bytes: int


def estimate_size(*, products: int, shoppers: int, days: int, messages: int = 20_000) -> Size:
    """Predict the size of ``generate`` with the same arguments."""
    purchases = round(shoppers * _PURCHASES * days / 90)
    rows = {
        "products": products,
        "shoppers": shoppers,
        "views": round(shoppers * _VIEWS * days / 90),
        "purchases": purchases,
        "reviews": round(purchases * _REVIEW_SHARE),
        "queries": messages,
    }
    return Size(rows, _FIXED_BYTES + sum(count * _BYTES[name] for name, count in rows.items()))
