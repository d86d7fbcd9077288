"""The live shop for recommendations: stock, prices, and the newest events of a shopper."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from retail_assistant.recs.features import RECENT_PURCHASES, RECENT_VIEWS
from retail_assistant.shop.connections import readers

_AVAILABLE = """
SELECT p.asin FROM json_each(?) j CROSS JOIN products p ON p.asin = j.value CROSS JOIN inventory i ON i.asin = p.asin
WHERE p.listed = 1 AND i.quantity > 0
"""
_OFFERS = """
SELECT p.asin, p.genre, p.format, r.cents
FROM json_each(?) j CROSS JOIN products p ON p.asin = j.value
CROSS JOIN inventory i ON i.asin = p.asin CROSS JOIN prices r ON r.asin = p.asin
WHERE p.listed = 1 AND i.quantity > 0
"""
_OWNED = """
SELECT j.value FROM json_each(?) j WHERE EXISTS (SELECT 1 FROM purchases b WHERE b.shopper = ? AND b.asin = j.value)
"""
_EVENTS = f"""
SELECT asin, ts, 1 FROM (
    SELECT asin, ts FROM purchases WHERE shopper = :shopper ORDER BY ts DESC, id DESC LIMIT {RECENT_PURCHASES}
)
UNION ALL
SELECT asin, ts, 0 FROM (
    SELECT asin, ts FROM views WHERE shopper = :shopper ORDER BY ts DESC, id DESC LIMIT {RECENT_VIEWS}
)
"""  # noqa: S608 - our own numbers


# Plain tuples: a request reads some eighty rows, and naming their fields would cost more than reading them.
Offer = tuple[str, str, str, int]
"""asin, genre, format, and the price in cents of a product that can be bought now."""
Event = tuple[str, float, int]
"""asin, epoch seconds, and 1 for a purchase or 0 for a view."""


class LiveShelf:
    """Reads the shop's file at request time; one read-only connection per thread, each read sees the last commit."""

    def __init__(self, path: str | Path) -> None:
        """Open no file until the first use."""
        self._connections = readers(path)

    def available(self, asins: Sequence[str]) -> set[str]:
        """Return the products among ``asins`` that are listed and in stock."""
        return {asin for (asin,) in self._connections.get().execute(_AVAILABLE, (json.dumps(asins),))}

    def offers(self, asins: Sequence[str]) -> list[Offer]:
        """Return the offers of the products among ``asins`` that are listed and in stock, in no particular order."""
        return self._connections.get().execute(_OFFERS, (json.dumps(asins),)).fetchall()

    def events(self, shopper: str) -> list[Event]:
        """Return a shopper's newest purchases and views; empty for an unknown shopper."""
        return self._connections.get().execute(_EVENTS, {"shopper": shopper}).fetchall()

    def owned(self, shopper: str, asins: Sequence[str]) -> set[str]:
        """Return the products among ``asins`` that a shopper has ever purchased."""
        return {asin for (asin,) in self._connections.get().execute(_OWNED, (json.dumps(asins), shopper))}

    def close(self) -> None:
        """Close every connection; a later read opens a new one."""
        self._connections.close()
