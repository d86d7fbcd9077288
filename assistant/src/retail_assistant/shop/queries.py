"""Reads by id; each raises the matching :class:`NotFound` if there is no such row. Money is integer cents."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from retail_assistant.shop.errors import UnknownPolicy, UnknownProduct, UnknownPromotion
from retail_assistant.shop.policies import Policy

_PRODUCT = "SELECT asin, title, series, volume, author, genre, format, description, listed, created_at FROM products"
_PROMOTION = "SELECT id, title, category, segment, percent, starts_at, ends_at FROM promotions"


class Product(msgspec.Struct, frozen=True):
    """A product's facts, without the live ones (price, stock); ``created_at`` in epoch seconds."""

    asin: str
    title: str
    series: str
    volume: int
    author: str
    genre: str
    format: str
    description: str
    listed: bool
    created_at: float

    @property
    def line(self) -> str:
        """The name of its series, or its own title."""
        return self.series or self.title


class Promotion(msgspec.Struct, frozen=True):
    """A discount of ``percent`` on a genre (``*``: all), for a segment, from ``starts_at`` until before ``ends_at``."""

    id: str
    title: str
    category: str
    segment: str
    percent: int
    starts_at: float
    ends_at: float


class Price(msgspec.Struct, frozen=True):
    """The present price of a product in cents, and since when (epoch seconds)."""

    asin: str
    cents: int
    changed_at: float


class Stock(msgspec.Struct, frozen=True):
    """The number of copies in stock."""

    asin: str
    quantity: int


class CartLine(msgspec.Struct, frozen=True):
    """One product in a cart."""

    asin: str
    quantity: int


class Cart(msgspec.Struct, frozen=True):
    """A shopper's cart, ordered by asin; empty for an unknown shopper."""

    shopper: str
    lines: tuple[CartLine, ...]


def get_policy(conn: sqlite3.Connection, policy_id: str) -> Policy:
    """Return one policy, its facts decoded."""
    row = conn.execute("SELECT id, title, body, facts, updated_at FROM policies WHERE id = ?", (policy_id,)).fetchone()
    if row is None:
        raise UnknownPolicy(f"no policy is called {policy_id!r}; GET /shop/policies lists them", field="id")
    return _policy(row)


def list_policies(conn: sqlite3.Connection) -> list[Policy]:
    """Return every policy, ordered by id."""
    return [_policy(r) for r in conn.execute("SELECT id, title, body, facts, updated_at FROM policies ORDER BY id")]


def stating(conn: sqlite3.Connection, fact: str) -> Policy | None:
    """Return the first policy that states a fact, by id; ``None`` if none does."""
    return next((policy for policy in list_policies(conn) if fact in policy.facts), None)


def get_product(conn: sqlite3.Connection, asin: str) -> Product:
    """Return one product, delisted ones included."""
    row = conn.execute(f"{_PRODUCT} WHERE asin = ?", (asin,)).fetchone()
    if row is None:
        raise no_product(asin)
    return _product(row)


def get_products(conn: sqlite3.Connection, asins: Iterable[str]) -> list[Product]:
    """Return some products, delisted ones included and unknown ones left out, ordered by asin."""
    where = "WHERE asin IN (SELECT value FROM json_each(?)) ORDER BY asin"
    return [_product(row) for row in conn.execute(f"{_PRODUCT} {where}", (json.dumps(list(asins)),))]


def list_products(conn: sqlite3.Connection, *, delisted: bool = False) -> list[Product]:
    """Return the products on sale, ordered by asin; with ``delisted`` also those that are not sold any more."""
    where = "" if delisted else " WHERE listed = 1"
    return [_product(r) for r in conn.execute(f"{_PRODUCT}{where} ORDER BY asin")]


def get_promotion(conn: sqlite3.Connection, promotion_id: str) -> Promotion:
    """Return one promotion, even if it is not running now."""
    row = conn.execute(f"{_PROMOTION} WHERE id = ?", (promotion_id,)).fetchone()
    if row is None:
        raise UnknownPromotion(f"no promotion is called {promotion_id!r}", field="id")
    return Promotion(*row)


def list_promotions(conn: sqlite3.Connection, *, at: float | None = None) -> list[Promotion]:
    """Return every promotion, or those that run at a time (epoch seconds), ordered by start."""
    if at is None:
        return [Promotion(*r) for r in conn.execute(f"{_PROMOTION} ORDER BY starts_at, id")]
    rows = conn.execute(f"{_PROMOTION} WHERE starts_at <= ? AND ends_at > ? ORDER BY starts_at, id", (at, at))
    return [Promotion(*r) for r in rows]


def best_first(promotions: Iterable[Promotion], category: str, segment: str) -> list[Promotion]:
    """Return the promotions that apply to a genre and a segment, the highest first, and equal ones by id.

    The category ``*`` means any, for the audience as for a promotion.
    """

    def concerns(one: Promotion) -> bool:
        return (category == "*" or one.category in ("*", category)) and one.segment in ("all", segment)

    return sorted(filter(concerns, promotions), key=lambda one: (-one.percent, one.id))


def get_price(conn: sqlite3.Connection, asin: str) -> Price:
    """Return the present price of a product."""
    row = conn.execute("SELECT asin, cents, changed_at FROM prices WHERE asin = ?", (asin,)).fetchone()
    if row is None:
        raise no_product(asin)
    return Price(*row)


def get_stock(conn: sqlite3.Connection, asin: str) -> Stock:
    """Return how many copies of a product are left."""
    row = conn.execute("SELECT asin, quantity FROM inventory WHERE asin = ?", (asin,)).fetchone()
    if row is None:
        raise no_product(asin)
    return Stock(*row)


def get_cart(conn: sqlite3.Connection, shopper: str) -> Cart:
    """Return a shopper's cart."""
    rows = conn.execute("SELECT asin, quantity FROM carts WHERE shopper = ? ORDER BY asin", (shopper,))
    return Cart(shopper, tuple(CartLine(*r) for r in rows))


def get_segment(conn: sqlite3.Connection, shopper: str) -> str:
    """Return a shopper's segment, ``new`` for one who is not known yet."""
    row = conn.execute("SELECT segment FROM shoppers WHERE id = ?", (shopper,)).fetchone()
    return "new" if row is None else str(row[0])


def list_owned(conn: sqlite3.Connection, shopper: str) -> frozenset[str]:
    """Return the asins that a shopper has bought."""
    return frozenset(r[0] for r in conn.execute("SELECT asin FROM purchases WHERE shopper = ?", (shopper,)))


def list_begun(conn: sqlite3.Connection, shopper: str) -> frozenset[str]:
    """Return the lines (see :attr:`Product.line`) of which a shopper has bought a product."""
    rows = conn.execute(
        "SELECT DISTINCT CASE WHEN series = '' THEN title ELSE series END"
        " FROM purchases JOIN products USING (asin) WHERE shopper = ?",
        (shopper,),
    )
    return frozenset(line for (line,) in rows)


def get_meta(conn: sqlite3.Connection) -> dict[str, str]:
    """Return the facts about the shop file itself: seed, now, sizes, schema version, ``has_*`` flags."""
    return dict(conn.execute("SELECT key, value FROM meta"))


def no_product(asin: str) -> UnknownProduct:
    """Return the error for an asin that is not in the catalog."""
    return UnknownProduct(
        f"no product has the asin {asin!r}; check it, or add it with PUT /shop/products", field="asin"
    )


@lru_cache(1_024)  # every reply reads its policies, whose rows are nearly always unchanged
def _policy(row: tuple[str, str, str, str, float]) -> Policy:
    return Policy(row[0], row[1], row[2], json.loads(row[3]), row[4])


def _product(row: tuple[str, str, str, int, str, str, str, str, int, float]) -> Product:
    return Product(*row[:8], bool(row[8]), row[9])
