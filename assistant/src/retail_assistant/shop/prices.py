"""What a shopper pays for a product now: its price, less the best promotion that runs for the shopper."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

import msgspec

from retail_assistant.shop.queries import Promotion, get_segment

_CHARGES = """SELECT p.asin, r.cents, o.id, o.title, o.category, o.segment, o.percent, o.starts_at, o.ends_at
FROM products p JOIN prices r USING (asin) LEFT JOIN promotions o ON o.id = (
    SELECT id FROM promotions
    WHERE category IN ('*', p.genre) AND segment IN ('all', :segment) AND starts_at <= :now AND :now < ends_at
    ORDER BY percent DESC, id LIMIT 1
)
WHERE p.asin IN (SELECT value FROM json_each(:asins))"""
"""The rule is that of :func:`retail_assistant.knowledge.tasks.promotions_for`; this one reads what holds now."""


class Charge(msgspec.Struct, frozen=True):
    """What a shopper pays for one copy of a product; ``promotion`` is what reduces the price, if anything does."""

    cents: int
    promotion: Promotion | None = None


def charges(conn: sqlite3.Connection, shopper: str, asins: Iterable[str], *, now: float) -> dict[str, Charge]:
    """Return what a shopper pays for a copy of each of some products, without those that have no price."""
    asked = {"segment": get_segment(conn, shopper), "now": now, "asins": json.dumps(list(asins))}
    found = {}
    for asin, cents, *best in conn.execute(_CHARGES, asked):
        promotion = Promotion(*best) if best[0] is not None else None
        found[asin] = Charge(reduced_cents(cents, promotion.percent) if promotion else cents, promotion)
    return found


def reduced_cents(cents: int, percent: int) -> int:
    """A price after so many percent are taken off."""
    return round(cents * (100 - percent) / 100)
