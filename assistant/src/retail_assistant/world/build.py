"""Builds a shop file: generated in parts of 5,000 shoppers, written aside, renamed when complete."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from retail_assistant.shop import index, schema, trade
from retail_assistant.shop.bills import Line, bill, delivery_terms
from retail_assistant.shop.captured import capture
from retail_assistant.shop.errors import BadValue
from retail_assistant.shop.policies import Policy, check_body
from retail_assistant.world import draws
from retail_assistant.world.activity import Events, Frame, joined, make_frame, make_purchases, make_views, paid_cents
from retail_assistant.world.catalog import Catalog, make_catalog
from retail_assistant.world.messages import make_messages
from retail_assistant.world.offers import make_promotions
from retail_assistant.world.ordering import POINTS_PER_EURO, OrderRow, make_orders
from retail_assistant.world.reviewing import make_reviews
from retail_assistant.world.shoppers import SEGMENT_NAMES, Group, make_group, make_market
from retail_assistant.world.texts.texts_read import policies
from retail_assistant.world.wandering import Groups, make_groups, make_looks, make_wandering

BOOKS = trade.Trade("book", "books", "book shop", name="Inkwell Books", contact="help@inkwell.example")
"""What the generated shop sells, in its own words."""
Progress = Callable[[str, int, int], None]
"""Called with the name of a stage, the amount done, and the total."""

PART = 5_000


def generate(
    path: str | Path,
    *,
    seed: int = 7,
    now: float,
    products: int = 2_000,
    shoppers: int = 10_000,
    days: int = 90,
    messages: int = 20_000,
    progress: Progress | None = None,
) -> None:
    """Write a shop file, and replace an existing one. The same arguments give the same rows.

    ``now`` (epoch seconds) is the end of the generated ``days``. The outbox begins with one event
    for each captured family. Raises
    :class:`BadValue` for a size that is not positive.
    """
    sizes = {"products": products, "shoppers": shoppers, "days": days, "messages": messages}
    for name, value in sizes.items():
        if value < (0 if name == "messages" else 1):
            raise BadValue(f"{name}: send a positive number", field=name)
    now = float(np.floor(now))
    target = Path(path)
    aside = target.with_name(target.name + ".building")
    _remove(aside)
    conn = sqlite3.connect(aside, isolation_level=None)
    with contextlib.closing(conn):
        _prepare(conn)
        _fill(conn, seed, now, sizes, progress or _silent)
        _finish(conn, {"seed": seed, "now": now, **sizes}, progress or _silent)
        capture(conn)
    _publish(aside, target)


def _silent(stage: str, done: int, total: int) -> None:
    """Ignore the progress."""


def _prepare(conn: sqlite3.Connection) -> None:
    conn.execute("PRAGMA journal_mode=OFF")
    conn.execute("PRAGMA synchronous=OFF")
    conn.execute("PRAGMA cache_size=-131072")
    conn.executescript(schema.TABLES)


def _fill(conn: sqlite3.Connection, seed: int, now: float, sizes: dict[str, int], progress: Progress) -> None:
    days, shoppers = sizes["days"], sizes["shoppers"]
    conn.execute("BEGIN")
    catalog = make_catalog(seed, products=sizes["products"], now=now, days=days)
    _insert_catalog(conn, catalog)
    _insert_policies(conn, now - days * draws.DAY)
    offers = make_promotions(seed, catalog.genres, now=now)
    conn.executemany("INSERT INTO promotions VALUES (?, ?, ?, ?, ?, ?, ?)", offers)
    market = make_market(seed, catalog, now=now, days=days)
    frame, groups = make_frame(catalog, market, now=now, days=days), make_groups(catalog)
    kept: list[Events] = []
    for part, first in enumerate(range(0, shoppers, PART)):
        progress("shoppers", first, shoppers)
        size = min(PART, shoppers - first)
        group = make_group(seed, part, market, first=first, size=size, now=now, days=days)
        bought = _insert_group(conn, seed, part, (frame, groups), group)
        kept.append(_some(draws.stream(seed, "asked", part), bought, sizes["messages"] * size // shoppers + 1, first))
    progress("shoppers", shoppers, shoppers)
    made = make_messages(
        seed, catalog, messages=sizes["messages"], shoppers=shoppers, now=now, days=days, bought=joined(kept)
    )
    conn.executemany(
        "INSERT INTO queries (shopper, ts, text, question, intent) VALUES (?, ?, ?, ?, ?)",
        ((shopper_id(shopper), *rest) for shopper, *rest in made.rows),
    )
    looks = make_looks(draws.stream(seed, "looks"), frame, groups, made.led)
    _insert_views(conn, looks, [item.asin for item in catalog.items])
    conn.execute("COMMIT")
    progress("messages", sizes["messages"], sizes["messages"])


def _some(rng: np.random.Generator, bought: Events, most: int, first: int) -> Events:
    """Up to ``most`` of a group's purchases, numbered from the shop's ``first`` shopper on."""
    chosen = bought.take(rng.permutation(len(bought.who))[:most])
    return Events(chosen.who + first, chosen.item, chosen.ts, chosen.fit)


def shopper_id(number: int) -> str:
    """Return the id of the shopper at a position: ``u00001`` for 0."""
    return f"u{number + 1:05d}"


def _insert_catalog(conn: sqlite3.Connection, catalog: Catalog) -> None:
    for row in catalog.rows():
        conn.execute("INSERT INTO products VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        if row[8]:
            index.add(conn, index.product_document(row[0], row[1], row[4], row[5], row[7]))
    asins = [item.asin for item in catalog.items]
    conn.executemany(
        "INSERT INTO prices VALUES (?, ?, ?)",
        zip(asins, catalog.cents.tolist(), catalog.changed_at.tolist(), strict=True),
    )
    conn.executemany("INSERT INTO inventory VALUES (?, ?)", zip(asins, catalog.quantity.tolist(), strict=True))


def _insert_policies(conn: sqlite3.Connection, updated_at: float) -> None:
    for text in policies():
        check_body(text.title, text.body, text.facts)
        facts = json.dumps(text.facts)
        conn.execute("INSERT INTO policies VALUES (?, ?, ?, ?, ?)", (text.id, text.title, text.body, facts, updated_at))
        for document in index.policy_documents(Policy(text.id, text.title, text.body, text.facts, updated_at)):
            index.add(conn, document)


def _insert_group(
    conn: sqlite3.Connection, seed: int, part: int, shop: tuple[Frame, dict[str, Groups]], group: Group
) -> Events:
    """Write a group's shoppers and all that they did; return their purchases."""
    frame, groups = shop
    rng = draws.stream(seed, "activity", part)
    ids = [shopper_id(group.first + i) for i in range(len(group))]
    asins = [item.asin for item in frame.catalog.items]
    conn.executemany(
        "INSERT INTO shoppers (id, segment, created_at) VALUES (?, ?, ?)",
        zip(ids, [SEGMENT_NAMES[s] for s in group.segments], group.created_at.tolist(), strict=True),
    )
    bought = make_purchases(rng, frame, group)
    cents = paid_cents(frame.catalog, bought.item, bought.ts)
    who, what = [ids[i] for i in bought.who], [asins[i] for i in bought.item]
    conn.executemany(
        "INSERT INTO purchases (shopper, asin, ts, cents) VALUES (?, ?, ?, ?)",
        zip(who, what, bought.ts.tolist(), cents.tolist(), strict=True),
    )
    orders = make_orders(draws.stream(seed, "orders", part), bought.who, bought.item, bought.ts, cents, now=frame.end)
    _insert_orders(conn, orders, ids, asins)
    seen = make_views(rng, frame, group, bought)
    wandered = make_wandering(draws.stream(seed, "wandering", part), frame, groups, seen, bought)
    for views in (seen, wandered):
        _insert_views(conn, views, asins, first=group.first)
    conn.executemany(
        "INSERT INTO reviews (asin, shopper, rating, body, ts) VALUES (?, ?, ?, ?, ?)",
        ((asin, ids[i], rating, body, ts) for asin, i, rating, body, ts in make_reviews(rng, frame, bought)),
    )
    owned = set(zip(who, what, strict=True))
    carts = {
        (ids[seen.who[i]], asins[seen.item[i]])
        for i in np.flatnonzero((seen.ts > frame.end - 5 * draws.DAY) & draws.chances(rng, len(seen.ts), 0.05))
    }
    conn.executemany("INSERT INTO carts VALUES (?, ?, 1)", sorted(carts - owned))
    return bought


def _insert_views(conn: sqlite3.Connection, views: Events, asins: Sequence[str], *, first: int = 0) -> None:
    """Write views; their shoppers are numbered from ``first`` on."""
    who = (shopper_id(first + n) for n in views.who.tolist())
    conn.executemany(
        "INSERT INTO views (shopper, asin, ts) VALUES (?, ?, ?)",
        zip(who, (asins[n] for n in views.item.tolist()), views.ts.tolist(), strict=True),
    )


def _insert_orders(
    conn: sqlite3.Connection, orders: Iterable[OrderRow], ids: Sequence[str], asins: Sequence[str]
) -> None:
    """Number the orders on from the ones that are there, and credit the points of those that were kept."""
    formats, terms = dict(conn.execute("SELECT asin, format FROM products")), delivery_terms(conn)
    (there,) = conn.execute("SELECT count(*) FROM orders").fetchone()
    points: Counter[str] = Counter()
    for number, order in enumerate(orders, 10_001 + there):
        name, shopper = f"A{number}", ids[order.who]
        is_kept = order.state not in ("cancelled", "returned")
        lines = [Line(asins[item], "", 1, cents, formats[asins[item]]) for item, cents in order.lines.items()]
        due = bill(lines, terms)
        earned = POINTS_PER_EURO * (due.books // 100) if is_kept else 0
        points[shopper] += earned
        conn.execute(
            "INSERT INTO orders (number, shopper, placed_at, state, tracking, delivery, points, changed_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (name, shopper, order.placed_at, order.state, order.tracking, due.delivery, earned, order.changed_at),
        )
        conn.executemany(
            "INSERT INTO order_lines VALUES (?, ?, 1, ?)",
            [(name, line.asin, line.cents) for line in lines],
        )
    conn.executemany("UPDATE shoppers SET points = ? WHERE id = ?", [(n, shopper) for shopper, n in points.items()])


def _finish(conn: sqlite3.Connection, facts: dict[str, float], progress: Progress) -> None:
    statements = [s for s in schema.INDEXES.split(";") if s.strip()]
    for done, statement in enumerate(statements):
        progress("indexes", done, len(statements))
        conn.execute(statement)
    meta = {name: f"{value:.0f}" for name, value in facts.items()}
    meta |= {"schema_version": schema.SCHEMA_VERSION, "source": "generated"}
    meta |= {f"has_{name}": "1" for name in ("timestamps", "purchases", "views", "reviews", "queries", "promotions")}
    conn.executemany("INSERT INTO meta VALUES (?, ?)", sorted(meta.items()))
    trade.save(conn, BOOKS)
    conn.execute("INSERT INTO search_index (search_index) VALUES ('optimize')")
    conn.execute("ANALYZE")
    conn.execute("PRAGMA journal_mode=WAL")
    progress("indexes", len(statements), len(statements))


def _publish(aside: Path, target: Path) -> None:
    with aside.open("rb") as handle:
        os.fsync(handle.fileno())
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    aside.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
