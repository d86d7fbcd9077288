"""Writes to the shop, each in one transaction. A rejected write raises a :class:`ShopError` and changes nothing.

A write of a policy, a product, a promotion, a purchase or a review adds a row to the outbox, and returns that row's
position. Prices, stock, carts and views are live: writing them adds no row, so there is no position to return.
``now`` is in epoch seconds, money in cents.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import TypedDict, Unpack

import msgspec

from retail_assistant.shop import checks, index
from retail_assistant.shop.captured import last_change
from retail_assistant.shop.errors import BadValue, NotBought, OutOfStock, UnknownProduct
from retail_assistant.shop.policies import Fact, Policy, check_body, check_facts, placeholders
from retail_assistant.shop.prices import charges
from retail_assistant.shop.queries import Product, Promotion, get_policy, get_product, get_promotion, no_product
from retail_assistant.shop.schema import SEGMENTS, transaction

LONGEST_TITLE = 200
LONGEST_TEXT, LONGEST_OWN_REVIEW = 20_000, 2_000
LARGEST_QUANTITY = 1_000_000
LARGEST_CENTS = 100_000_000
MOST_COPIES = 99
"""How many copies of a product a cart can hold, whichever way they come into it."""


class ProductFields(TypedDict, total=False):
    """The fields of a product that can be set; a new one needs title, author, genre and cents."""

    title: str
    series: str
    volume: int
    author: str
    genre: str
    format: str
    description: str
    listed: bool


class PromotionFields(TypedDict, total=False):
    """The fields of a promotion that can be set; a new one needs title, percent, starts_at and ends_at."""

    title: str
    category: str
    segment: str
    percent: int
    starts_at: float
    ends_at: float


def put_policy(
    conn: sqlite3.Connection,
    policy_id: str,
    *,
    title: str | None = None,
    body: str | None = None,
    facts: Mapping[str, Fact | None] | None = None,
    create: bool = False,
    now: float,
) -> int:
    """Change a policy's title, body or facts, or ``create`` one of a title and a body; return the position.

    ``facts`` are merged into the stored ones; ``None`` removes one. A body with a placeholder without a fact is
    rejected.
    """
    checks.identifier(policy_id, "id")
    with transaction(conn):
        known = conn.execute("SELECT 1 FROM policies WHERE id = ?", (policy_id,)).fetchone() is not None
        is_new = create and not known and title is not None and body is not None
        old = Policy(policy_id, title or "", body or "", {}, now) if is_new else get_policy(conn, policy_id)
        policy = _merge_policy(old, title, body, facts or {}, now)
        conn.execute(
            "INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?, ?)",
            (policy_id, policy.title, policy.body, json.dumps(policy.facts), policy.updated_at),
        )
        index.replace(conn, "policy", policy_id, index.policy_documents(policy))
        return last_change(conn)


def delete_policy(conn: sqlite3.Connection, policy_id: str) -> int:
    """Remove a policy, its text and its facts; return the position."""
    with transaction(conn):
        get_policy(conn, policy_id)
        conn.execute("DELETE FROM policies WHERE id = ?", (policy_id,))
        index.replace(conn, "policy", policy_id, [])
        return last_change(conn)


def _merge_policy(
    old: Policy, title: str | None, body: str | None, facts: Mapping[str, Fact | None], now: float
) -> Policy:
    merged = {**old.facts, **check_facts({k: v for k, v in facts.items() if v is not None})}
    for name, value in facts.items():
        if value is None:
            merged.pop(name, None)
        elif name in old.facts and _kind(value) is not _kind(old.facts[name]):
            raise BadValue(f"facts.{name}: was {old.facts[name]!r}; send the same kind of value", field=f"facts.{name}")
    new = Policy(
        old.id,
        checks.text(old.title if title is None else title, "title", longest=LONGEST_TITLE),
        checks.text(old.body if body is None else body, "body", longest=LONGEST_TEXT),
        merged,
        checks.moment(now, "now"),
    )
    check_body(new.title, new.body, new.facts)
    for name in merged.keys() - old.facts.keys() - placeholders(new.body):
        known = ", ".join(sorted(old.facts)) or "none"
        raise BadValue(
            f"facts.{name}: the policy's body has no {{{name}}}; its facts are {known}", field=f"facts.{name}"
        )
    return new


def _kind(fact: Fact) -> type:
    return float if isinstance(fact, int | float) and not isinstance(fact, bool) else type(fact)


def put_product(
    conn: sqlite3.Connection,
    asin: str,
    *,
    now: float,
    cents: int | None = None,
    quantity: int | None = None,
    **fields: Unpack[ProductFields],
) -> int:
    """Change a product's given fields, or add a new one (then ``cents`` is required, ``quantity`` 0 if absent)."""
    checks.identifier(asin, "asin")
    with transaction(conn):
        old = conn.execute("SELECT listed FROM products WHERE asin = ?", (asin,)).fetchone()
        product = _check_product(_merge_product(conn, asin, fields, is_new=old is None, now=now))
        _store_product(conn, product)
        if old is None and cents is None:
            raise BadValue("cents: a new product needs a price", field="cents")
        if cents is not None:
            _store_price(conn, asin, cents, now)
        if old is None or quantity is not None:
            _store_quantity(conn, asin, quantity or 0)
        return last_change(conn)


def _merge_product(conn: sqlite3.Connection, asin: str, fields: ProductFields, *, is_new: bool, now: float) -> Product:
    if not is_new:
        return msgspec.structs.replace(get_product(conn, asin), **fields)
    if "title" not in fields:
        raise BadValue("title: a new product needs it", field="title")
    return Product(
        asin,
        title=fields["title"],
        series=fields.get("series", ""),
        volume=fields.get("volume", 0),
        author=fields.get("author", ""),
        genre=fields.get("genre", ""),
        format=fields.get("format", ""),
        description=fields.get("description", ""),
        listed=fields.get("listed", True),
        created_at=checks.moment(now, "now"),
    )


def _check_product(product: Product) -> Product:
    for name in ("title", "series", "author", "genre", "format"):
        checks.text(getattr(product, name), name, longest=LONGEST_TITLE, shortest=int(name == "title"))
    checks.integer(product.volume, "volume", least=0, most=10_000)
    checks.text(product.description, "description", longest=LONGEST_TEXT, shortest=0)
    for field in ("title", "series", "author", "genre", "format", "description"):
        checks.plain(getattr(product, field), field)
    if not isinstance(product.listed, bool):
        raise BadValue("listed: send true or false", field="listed")
    return product


def _store_product(conn: sqlite3.Connection, p: Product) -> None:
    conn.execute(
        "INSERT INTO products VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (asin) DO UPDATE SET"
        " title = excluded.title, series = excluded.series, volume = excluded.volume, author = excluded.author,"
        " genre = excluded.genre, format = excluded.format, description = excluded.description,"
        " listed = excluded.listed",
        (p.asin, p.title, p.series, p.volume, p.author, p.genre, p.format, p.description, p.listed, p.created_at),
    )
    document = index.product_document(p.asin, p.title, p.author, p.genre, p.description)
    index.replace(conn, "product", p.asin, [document] if p.listed else [])


def delist(conn: sqlite3.Connection, asin: str) -> int:
    """Take a product off sale; its rows stay, so that past purchases keep their meaning."""
    with transaction(conn):
        product = msgspec.structs.replace(get_product(conn, asin), listed=False)
        _store_product(conn, product)
        return last_change(conn)


def put_promotion(
    conn: sqlite3.Connection,
    promotion_id: str,
    **fields: Unpack[PromotionFields],
) -> int:
    """Change a promotion's given fields, or add a new one (category ``*`` and segment ``all`` unless given)."""
    checks.identifier(promotion_id, "id")
    with transaction(conn):
        known = conn.execute("SELECT 1 FROM promotions WHERE id = ?", (promotion_id,)).fetchone() is not None
        p = _merge_promotion(get_promotion(conn, promotion_id) if known else None, promotion_id, fields)
        _check_promotion(conn, p)
        conn.execute(
            "INSERT OR REPLACE INTO promotions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (p.id, p.title, p.category, p.segment, p.percent, p.starts_at, p.ends_at),
        )
        return last_change(conn)


def _merge_promotion(old: Promotion | None, promotion_id: str, fields: PromotionFields) -> Promotion:
    if old is not None:
        return msgspec.structs.replace(old, **fields)
    missing = next((n for n in ("title", "percent", "starts_at", "ends_at") if n not in fields), None)
    if missing:
        raise BadValue(f"{missing}: a new promotion needs it", field=missing)
    return Promotion(
        promotion_id,
        title=fields.get("title", ""),
        category=fields.get("category", "*"),
        segment=fields.get("segment", "all"),
        percent=fields.get("percent", 0),
        starts_at=fields.get("starts_at", 0.0),
        ends_at=fields.get("ends_at", 0.0),
    )


def _check_promotion(conn: sqlite3.Connection, p: Promotion) -> None:
    checks.text(p.title, "title", longest=LONGEST_TITLE)
    checks.choice(p.segment, "segment", SEGMENTS)
    checks.integer(p.percent, "percent", least=1, most=90)
    if checks.moment(p.starts_at, "starts_at") >= checks.moment(p.ends_at, "ends_at"):
        raise BadValue("ends_at: send a time after starts_at", field="ends_at")
    if p.category == "*":
        return
    if conn.execute("SELECT 1 FROM products WHERE genre = ? LIMIT 1", (p.category,)).fetchone() is None:
        raise BadValue("category: send '*' or the genre of a product", field="category")


def delete_promotion(conn: sqlite3.Connection, promotion_id: str) -> int:
    """Remove a promotion."""
    with transaction(conn):
        get_promotion(conn, promotion_id)
        conn.execute("DELETE FROM promotions WHERE id = ?", (promotion_id,))
        return last_change(conn)


def set_live(
    conn: sqlite3.Connection, asin: str, *, cents: int | None = None, quantity: int | None = None, now: float
) -> None:
    """Set the price of a product, its stock, or both."""
    with transaction(conn):
        get_product(conn, asin)
        if cents is not None:
            _store_price(conn, asin, cents, now)
        if quantity is not None:
            _store_quantity(conn, asin, quantity)


def set_price(conn: sqlite3.Connection, asin: str, cents: int, *, now: float) -> None:
    """Set the price of a product."""
    set_live(conn, asin, cents=cents, now=now)


def _store_price(conn: sqlite3.Connection, asin: str, cents: int, now: float) -> None:
    checks.integer(cents, "cents", least=0, most=LARGEST_CENTS)
    conn.execute("INSERT OR REPLACE INTO prices VALUES (?, ?, ?)", (asin, cents, checks.moment(now, "now")))


def set_inventory(conn: sqlite3.Connection, asin: str, quantity: int) -> None:
    """Set the stock of a product."""
    with transaction(conn):
        get_product(conn, asin)
        _store_quantity(conn, asin, quantity)


def _store_quantity(conn: sqlite3.Connection, asin: str, quantity: int) -> None:
    checks.integer(quantity, "quantity", least=0, most=LARGEST_QUANTITY)
    conn.execute("INSERT OR REPLACE INTO inventory VALUES (?, ?)", (asin, quantity))


def _check_copies(held: int) -> None:
    if isinstance(held, bool) or not isinstance(held, int) or not 0 <= held <= MOST_COPIES:
        raise BadValue(f"quantity: a cart can hold 0 to {MOST_COPIES} copies of a product", field="quantity")


def set_cart(conn: sqlite3.Connection, shopper: str, lines: Mapping[str, int], *, now: float) -> None:
    """Replace a shopper's cart by ``{asin: quantity}``; a quantity of 0 leaves the product out."""
    with transaction(conn):
        ensure_shopper(conn, shopper, now)
        for asin, quantity in lines.items():
            _listed(conn, asin)
            _check_copies(quantity)
        conn.execute("DELETE FROM carts WHERE shopper = ?", (shopper,))
        kept = [(shopper, asin, quantity) for asin, quantity in lines.items() if quantity]
        conn.executemany("INSERT INTO carts VALUES (?, ?, ?)", kept)


def change_cart(
    conn: sqlite3.Connection, shopper: str, asin: str, *, add: int | None = None, to: int | None = None, now: float
) -> int:
    """Add copies of a product to a cart, or set how many it holds; return how many it holds now."""
    with transaction(conn):
        ensure_shopper(conn, shopper, now)
        row = conn.execute("SELECT quantity FROM carts WHERE shopper = ? AND asin = ?", (shopper, asin)).fetchone()
        held = (row[0] if row else 0) + add if add is not None else to or 0
        _check_copies(held)
        if held:
            _listed(conn, asin)
            conn.execute("INSERT OR REPLACE INTO carts VALUES (?, ?, ?)", (shopper, asin, held))
        else:
            conn.execute("DELETE FROM carts WHERE shopper = ? AND asin = ?", (shopper, asin))
        return held


def add_purchase(conn: sqlite3.Connection, *, shopper: str, asin: str, now: float, cents: int | None = None) -> int:
    """Sell one copy and remove it from the stock and the cart; ``cents`` is by default what the shopper pays now."""
    with transaction(conn):
        _listed(conn, asin)
        ensure_shopper(conn, shopper, now)
        paid = _present_cents(conn, shopper, asin, now) if cents is None else checks.integer(cents, "cents", least=0)
        sell(conn, shopper, asin, copies=1, cents=paid, now=now)
        conn.execute("DELETE FROM carts WHERE shopper = ? AND asin = ?", (shopper, asin))
        return last_change(conn)


def sell(conn: sqlite3.Connection, shopper: str, asin: str, *, copies: int, cents: int, now: float) -> None:
    """Take copies from the stock and record a purchase of each, in the caller's open transaction.

    Raises:
        OutOfStock: The stock has fewer copies.
    """
    stock = "UPDATE inventory SET quantity = quantity - ? WHERE asin = ? AND quantity >= ?"
    if conn.execute(stock, (copies, asin, copies)).rowcount == 0:
        raise OutOfStock(f"{asin} is out of stock; try another format or come back later", field="asin")
    purchase = "INSERT INTO purchases (shopper, asin, ts, cents) VALUES (?, ?, ?, ?)"
    conn.executemany(purchase, [(shopper, asin, now, cents)] * copies)


def take_back(conn: sqlite3.Connection, shopper: str, asin: str, *, copies: int, sold_at: float) -> None:
    """Put copies into the stock and remove as many purchases of the moment, in the caller's open transaction.

    Without such purchases, as for an imported order, only the stock changes. At 0, a time that nobody knows, there are
    none: what is bought at an unknown time may belong to any order. The shopper's review goes with the last purchase
    that was taken back.
    """
    conn.execute("UPDATE inventory SET quantity = quantity + ? WHERE asin = ?", (copies, asin))
    gone = conn.execute(
        "DELETE FROM purchases WHERE id IN"
        " (SELECT id FROM purchases WHERE shopper = ? AND asin = ? AND ts = ? AND ts > 0 LIMIT ?)",
        (shopper, asin, sold_at, copies),
    )
    if gone.rowcount and not _has_bought(conn, shopper, asin):
        conn.execute("DELETE FROM reviews WHERE shopper = ? AND asin = ? AND ts >= ?", (shopper, asin, sold_at))


def _has_bought(conn: sqlite3.Connection, shopper: str, asin: str) -> bool:
    return bool(conn.execute("SELECT 1 FROM purchases WHERE shopper = ? AND asin = ?", (shopper, asin)).fetchone())


def add_view(conn: sqlite3.Connection, *, shopper: str, asin: str, now: float) -> None:
    """Record that a shopper looked at a product."""
    with transaction(conn):
        _listed(conn, asin)
        ensure_shopper(conn, shopper, now)
        conn.execute("INSERT INTO views (shopper, asin, ts) VALUES (?, ?, ?)", (shopper, asin, now))


def add_review(
    conn: sqlite3.Connection, *, shopper: str, asin: str, rating: int, body: str, now: float, is_own: bool = False
) -> int:
    """Store a review with a rating of 1 to 5.

    Args:
        conn: The shop file.
        shopper: Whose review it is.
        asin: The product.
        rating: The stars.
        body: The text.
        now: Epoch seconds.
        is_own: Whether the shopper sends it. A shopper reviews what was bought, and has one review of each product, of
            which the last counts.

    Raises:
        NotBought: The shopper has not bought the product.
    """
    checks.integer(rating, "rating", least=1, most=5)
    checks.text(body, "body", longest=LONGEST_OWN_REVIEW if is_own else LONGEST_TEXT)
    with transaction(conn):
        get_product(conn, asin)
        ensure_shopper(conn, shopper, now)
        if is_own:
            if not _has_bought(conn, shopper, asin):
                raise NotBought("only what you have bought here can be reviewed", field="asin")
            conn.execute("DELETE FROM reviews WHERE shopper = ? AND asin = ?", (shopper, asin))
        conn.execute(
            "INSERT INTO reviews (asin, shopper, rating, body, ts) VALUES (?, ?, ?, ?, ?)",
            (asin, shopper, rating, body, now),
        )
        return last_change(conn)


def ensure_shopper(conn: sqlite3.Connection, shopper: str, now: float) -> None:
    """Add a shopper who is not known yet."""
    checks.identifier(shopper, "shopper")
    when = checks.moment(now, "now")
    conn.execute("INSERT OR IGNORE INTO shoppers (id, segment, created_at) VALUES (?, 'new', ?)", (shopper, when))


def _listed(conn: sqlite3.Connection, asin: str) -> None:
    row = conn.execute("SELECT listed FROM products WHERE asin = ?", (asin,)).fetchone()
    if row is None:
        raise no_product(asin)
    if not row[0]:
        raise UnknownProduct(f"the shop has stopped selling {asin}; choose another product", field="asin")


def _present_cents(conn: sqlite3.Connection, shopper: str, asin: str, now: float) -> int:
    charge = charges(conn, shopper, [asin], now=now).get(asin)
    if charge is None:
        raise BadValue(f"{asin} has no price; send cents or set its price first", field="cents")
    return charge.cents
