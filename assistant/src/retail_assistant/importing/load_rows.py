"""Validates rows and writes them to a new shop file, which is built under another name and renamed when complete."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

import parbake as pb
from retail_assistant.importing import read
from retail_assistant.importing.import_rows import (
    TABLES,
    OrderLineRow,
    OrderRow,
    PolicyRow,
    ProductRow,
    PromotionRow,
    PurchaseRow,
    QueryRow,
    ReviewRow,
    ShopperRow,
    ViewRow,
    epoch,
)
from retail_assistant.shop import checks, index, trade
from retail_assistant.shop.captured import capture
from retail_assistant.shop.errors import ShopError
from retail_assistant.shop.policies import Policy, check_body, check_facts
from retail_assistant.shop.schema import ORDER_STATES, SEGMENTS, connect, create, transaction
from retail_assistant.shop.trade import Trade

MAX_EXAMPLES = 20
_NAME = re.compile(r"[^\s{}\x00-\x1f\x7f]{1,64}")
Rows = Mapping[str, Iterable[read.Row]]


@dataclass
class Refused:
    """One rejected row, with the reason."""

    table: str
    row: int
    reason: str


@dataclass
class Report:
    """The result of an import. ``off`` maps tasks that lack their inputs to the reason."""

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[Refused] = field(default_factory=list)
    off: dict[str, str] = field(default_factory=dict)

    def refuse(self, table: str, row: int, reason: str) -> None:
        """Count a rejected row, and keep the first few for the report."""
        self.refused[table] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(Refused(table, row, reason))

    def lines(self) -> list[str]:
        """The report as lines of text."""
        tables = [t for t in TABLES if self.accepted[t] or self.refused[t]]
        counts = [
            f"{t}: {self.accepted[t]:,} rows" + (f", {self.refused[t]:,} refused" if self.refused[t] else "")
            for t in tables
        ]
        reasons = [f"  {e.table} row {e.row}: {e.reason}" for e in self.examples]
        switched_off = [f"off: {task}, because {why}" for task, why in self.off.items()]
        return counts + reasons + switched_off


def tables_of(folder: Path) -> Rows:
    """The rows of every table file in a folder."""
    if not folder.is_dir():
        raise pb.BadInput(f"{folder} is not a folder", field="from")
    found = {table: read.find(folder, table) for table in TABLES}
    if found["products"] is None:
        raise pb.BadInput(f"{folder} holds no products file (.csv, .json, .jsonl or .parquet)", field="products")
    return {table: read.rows(path) for table, path in found.items() if path is not None}


_PLAIN = Trade()


def load(tables: Rows, target: Path, *, words: Trade = _PLAIN) -> Report:
    """Write the accepted rows to a new shop file, with the shop's own ``words``.

    Raises :class:`parbake.BadInput` if the file exists already, or if no product is accepted.
    """
    if target.exists():
        raise pb.BadInput(f"{target} exists; move it away, or name another RETAIL_HOME", field="RETAIL_HOME")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = target.with_suffix(".building")
    aside.unlink(missing_ok=True)
    aside.touch(mode=0o600)  # it has orders and addresses
    conn = connect(aside)
    try:
        create(conn)
        with transaction(conn):
            report = _Loader(conn).load(tables)
            _check_products(report)
            meta = {"now": repr(time.time()), "off": json.dumps(report.off)}
            conn.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(meta.items()))
            trade.save(conn, words)
        capture(conn)
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except BaseException:
        conn.close()
        aside.unlink(missing_ok=True)
        raise
    conn.close()
    aside.rename(target)
    return report


def _check_products(report: Report) -> None:
    if not report.accepted["products"]:
        raise pb.BadInput("no product was accepted:\n" + "\n".join(report.lines()), field="products")


class _Loader:
    """Writes rows table by table; each writer raises ``ValueError`` or ``ShopError`` for a row it refuses."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._now = time.time()
        self._asins: set[str] = set()
        self._shoppers: set[str] = set()
        self._orders: set[str] = set()
        self.timed: Counter[str] = Counter()
        self.report = Report()

    def load(self, tables: Rows) -> Report:
        writers: dict[str, Callable[[Any], None]] = {
            "products": self.product,
            "policies": self.policy,
            "shoppers": self.shopper,
            "orders": self.order,
            "order_lines": self.order_line,
            "purchases": self.purchase,
            "views": self.view,
            "reviews": self.review,
            "promotions": self.promotion,
            "queries": self.query,
        }
        for table, kind in TABLES.items():
            for number, row in enumerate(tables.get(table, ()), 1):
                self._one(table, number, row, kind, writers[table])
        self.report.off = switched_off(self.report.accepted, self.timed)
        return self.report

    def _one(self, table: str, number: int, row: read.Row, kind: type, write: Callable[[Any], None]) -> None:
        try:
            write(msgspec.convert(_decoded(row), kind, strict=False))
        except msgspec.ValidationError as error:
            self.report.refuse(table, number, str(error))
        except (ValueError, ShopError, sqlite3.IntegrityError) as error:
            self.report.refuse(table, number, str(error))
        else:
            self.report.accepted[table] += 1

    def product(self, row: ProductRow) -> None:
        for name in ("title", "series", "author", "genre", "description"):
            checks.plain(getattr(row, name), name)
        _check_name(row.asin, "asin")
        if not row.title.strip():
            raise ValueError("title must not be empty")
        if row.asin in self._asins:
            raise ValueError(f"asin {row.asin!r} comes twice")
        cents = _cents(row.price)
        checks.integer(row.quantity, "quantity", least=0)
        checks.integer(row.volume, "volume", least=0)
        self._conn.execute(
            "INSERT INTO products VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.asin,
                row.title,
                row.series,
                row.volume,
                row.author,
                row.genre,
                row.format,
                row.description,
                row.listed,
                self._now,
            ),
        )
        self._conn.execute("INSERT INTO prices VALUES (?, ?, ?)", (row.asin, cents, self._now))
        self._conn.execute("INSERT INTO inventory VALUES (?, ?)", (row.asin, row.quantity))
        document = index.product_document(row.asin, row.title, row.author, row.genre, row.description)
        index.replace(self._conn, "product", row.asin, [document])
        self._asins.add(row.asin)

    def policy(self, row: PolicyRow) -> None:
        checks.identifier(row.id, "id")
        facts = check_facts(row.facts)
        check_body(row.title, row.body, facts)
        values = (row.id, row.title, row.body, json.dumps(facts), self._now)
        self._conn.execute("INSERT INTO policies VALUES (?, ?, ?, ?, ?)", values)
        documents = index.policy_documents(Policy(row.id, row.title, row.body, facts, self._now))
        index.replace(self._conn, "policy", row.id, documents)

    def shopper(self, row: ShopperRow) -> None:
        if row.segment not in SEGMENTS:
            raise ValueError(f"segment {row.segment!r} is not one of {', '.join(SEGMENTS)}")
        _check_name(row.id, "shopper")
        self._conn.execute(
            "INSERT INTO shoppers (id, segment, created_at, points) VALUES (?, ?, ?, ?)",
            (row.id, row.segment, self._now, checks.integer(row.points, "points", least=0)),
        )
        self._shoppers.add(row.id)

    def order(self, row: OrderRow) -> None:
        number = row.number.lstrip("#")
        checks.identifier(number, "number")
        checks.choice(row.state, "state", ORDER_STATES)
        if row.shopper not in self._shoppers:
            self.shopper(ShopperRow(row.shopper))
        placed = epoch(row.placed_at) or 0.0
        changed = placed if row.state == "placed" else 0.0  # a file does not say when an order reached a later state
        values = (number, row.shopper, placed, row.state, row.tracking, row.address, changed)
        self._conn.execute(
            "INSERT INTO orders (number, shopper, placed_at, state, tracking, address, changed_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        self._orders.add(number)

    def order_line(self, row: OrderLineRow) -> None:
        number = row.number.lstrip("#")
        if number not in self._orders:
            raise ValueError(f"number {row.number!r} does not belong to an accepted order")
        if row.asin not in self._asins:
            raise ValueError(f"asin {row.asin!r} does not belong to an accepted product")
        checks.integer(row.quantity, "quantity", least=1, most=checks.MOST_COPIES)
        # Several lines of one product are one line with so many copies.
        self._conn.execute(
            "INSERT INTO order_lines VALUES (?, ?, ?, ?)"
            " ON CONFLICT (number, asin) DO UPDATE SET quantity = quantity + excluded.quantity",
            (number, row.asin, row.quantity, _cents(row.price)),
        )

    def purchase(self, row: PurchaseRow) -> None:
        cents = 0 if row.price is None else _cents(row.price)
        ts = self._seen(row.shopper, row.asin, row.ts, "purchases")
        self._conn.execute(
            "INSERT INTO purchases (shopper, asin, ts, cents) VALUES (?, ?, ?, ?)", (row.shopper, row.asin, ts, cents)
        )

    def view(self, row: ViewRow) -> None:
        ts = self._seen(row.shopper, row.asin, row.ts, "views")
        self._conn.execute("INSERT INTO views (shopper, asin, ts) VALUES (?, ?, ?)", (row.shopper, row.asin, ts))

    def review(self, row: ReviewRow) -> None:
        if not 1 <= row.rating <= 5:  # noqa: PLR2004  # one to five stars
            raise ValueError(f"rating {row.rating} is not 1 to 5")
        ts = self._seen(row.shopper, row.asin, row.ts, "reviews")
        self._conn.execute(
            "INSERT INTO reviews (asin, shopper, rating, body, ts) VALUES (?, ?, ?, ?, ?)",
            (row.asin, row.shopper, row.rating, row.body, ts),
        )

    def promotion(self, row: PromotionRow) -> None:
        checks.identifier(row.id, "id")
        checks.choice(row.segment, "segment", SEGMENTS)
        times = (epoch(row.starts_at), epoch(row.ends_at))
        values = (row.id, row.title, row.category, row.segment, row.percent, *times)
        self._conn.execute("INSERT INTO promotions VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def query(self, row: QueryRow) -> None:
        if not row.text.strip():
            raise ValueError("text must not be empty")
        self._conn.execute(
            "INSERT INTO queries (shopper, ts, text, question, intent) VALUES (?, ?, ?, ?, ?)",
            (row.shopper, epoch(row.ts) or 0.0, row.text, row.question, row.intent),
        )

    def _seen(self, shopper: str, asin: str, ts: str | float | None, table: str) -> float:
        """Check an interaction's product and shopper, register the shopper, and return the time (0 if it has none)."""
        if asin not in self._asins:
            raise ValueError(f"asin {asin!r} does not belong to an accepted product")
        when = epoch(ts)
        if shopper not in self._shoppers:
            self.shopper(ShopperRow(shopper))
        self.timed[table] += when is not None
        return when or 0.0


def _check_name(name: str, what: str) -> None:
    """Raise :class:`ValueError` unless a name fits into a tag and a slot."""
    if not _NAME.fullmatch(name) or name == "*":
        raise ValueError(f"{what} {name[:40]!r} must have 1 to 64 characters, without white space and braces")


def _cents(price: float) -> int:
    if not 0 <= price < 1e7:  # noqa: PLR2004  # ten million is not a price
        raise ValueError(f"price {price} must not be negative, nor 10,000,000 or more")
    return round(price * 100)


def switched_off(accepted: Mapping[str, int], timed: Mapping[str, int]) -> dict[str, str]:
    """The tasks that lack their inputs, each with the reason in words."""
    off: dict[str, str] = {}
    if not accepted.get("purchases") and not accepted.get("views"):
        off |= dict.fromkeys(
            ("factors", "preferences", "candidates", "reranker", "trending"), "there are no purchases or views"
        )
    elif not timed.get("purchases"):
        off |= dict.fromkeys(("reranker", "trending"), "purchases have no timestamps")
    if not accepted.get("reviews"):
        off["review_summaries"] = "there are no reviews"
    if not accepted.get("queries"):
        off["intent_head"] = "there is no query log"
    return off


def _decoded(row: read.Row) -> read.Row:
    """Decode facts, which a CSV cell holds as JSON."""
    facts = row.get("facts")
    if not isinstance(facts, str):
        return row
    try:
        return {**row, "facts": read.parsed(facts, "facts")}
    except pb.BadInput as error:
        raise ValueError(str(error)) from error
