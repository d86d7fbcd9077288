"""What a shopper pays for a product now: its price, less the best promotion that runs for the shopper."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

import msgspec

from retail_assistant.shop.queries import Promotion, best_first, get_segment, list_promotions

_PRICES = (
    "SELECT asin, genre, cents FROM products JOIN prices USING (asin) WHERE asin IN (SELECT value FROM json_each(?))"
)


class Charge(msgspec.Struct, frozen=True):
    """What a shopper pays for one copy of a product; ``promotion`` is what reduces the price, if anything does."""

    cents: int
    promotion: Promotion | None = None


def charges(conn: sqlite3.Connection, shopper: str, asins: Iterable[str], *, now: float) -> dict[str, Charge]:
    """Return what a shopper pays for a copy of each of some products, without those that have no price."""
    segment, running = get_segment(conn, shopper), list_promotions(conn, at=now)
    rows = conn.execute(_PRICES, (json.dumps(list(asins)),)).fetchall()
    best = {genre: next(iter(best_first(running, genre, segment)), None) for genre in {genre for _, genre, _ in rows}}
    return {asin: _charge(cents, best[genre]) for asin, genre, cents in rows}


def _charge(cents: int, promotion: Promotion | None) -> Charge:
    return Charge(reduced_cents(cents, promotion.percent) if promotion else cents, promotion)


def reduced_cents(cents: int, percent: int) -> int:
    """A price after so many percent are taken off."""
    return round(cents * (100 - percent) / 100)
