"""The live side of the shop: values that exist only at request time and are never precomputed.

Reads go straight to the system of record, on a read-only connection per thread. Prices, stock, carts and orders come
from here; so do the current policy texts that a reply is checked against before it leaves.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

import parbake as pb
from parbake.ports.clock import Clock
from retail_assistant.knowledge.blocks import fact_text
from retail_assistant.shop import complaints, index, queries
from retail_assistant.shop.connections import readers
from retail_assistant.shop.errors import ShopError
from retail_assistant.shop.policies import Policy
from retail_assistant.shop.queries import Product
from retail_assistant.shop.voices import ANONYMOUS


class Order(msgspec.Struct, frozen=True):
    """One purchase of a shopper; ``ts`` in epoch seconds."""

    asin: str
    title: str
    cents: int
    ts: float


class LiveShop:
    """Live reads of one shop file; safe to share between threads."""

    def __init__(self, path: str | Path, *, clock: Clock, currency: str = "€") -> None:
        """Open no file until the first read."""
        self._clock = clock
        self._connections = readers(path)
        self._currency = currency

    @property
    def conn(self) -> sqlite3.Connection:
        """This thread's connection."""
        return self._connections.get()

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def price(self, asin: str) -> str:
        """The present price of a product, in the form that replies show."""
        return self.money(queries.get_price(self.conn, asin).cents)

    def cents(self, asin: str) -> int:
        """The present price of a product, in cents."""
        return queries.get_price(self.conn, asin).cents

    def money(self, cents: int) -> str:
        """Format an amount in cents as replies show it, with the currency."""
        return f"{self._currency}{cents / 100:.2f}"

    def stock(self, asin: str) -> int:
        """The number of copies in stock."""
        return queries.get_stock(self.conn, asin).quantity

    def cart(self, shopper: str) -> dict[str, int]:
        """Quantities by product in a shopper's cart."""
        return {line.asin: line.quantity for line in queries.get_cart(self.conn, shopper).lines}

    def product(self, asin: str) -> Product | None:
        """A listed product; ``None`` if it is not sold."""
        try:
            found = queries.get_product(self.conn, asin)
        except ShopError:
            return None
        return found if found.listed else None

    def policy(self, policy_id: str) -> Policy | None:
        """The present version of a policy; ``None`` if it does not exist."""
        try:
            return queries.get_policy(self.conn, policy_id)
        except ShopError:
            return None

    def policy_ids(self) -> list[str]:
        """All policies."""
        return [row[0] for row in self.conn.execute("SELECT id FROM policies ORDER BY id")]

    def policy_text(self, policy_id: str) -> str:
        """The whole present text of a policy; empty if it does not exist."""
        policy = self.policy(policy_id)
        return policy.text if policy else ""

    def segment(self, shopper: str) -> str:
        """A shopper's segment."""
        return queries.get_segment(self.conn, shopper)

    def editions(self, product: Product) -> list[Product]:
        """The formats in which a volume is sold."""
        return queries.list_editions(self.conn, product.series, product.volume) if product.series else [product]

    def line(self, series: str) -> list[Product]:
        """All listed products of a series."""
        rows = self.conn.execute("SELECT asin FROM products WHERE series = ? AND listed = 1", (series,)).fetchall()
        return [queries.get_product(self.conn, row[0]) for row in rows]

    def orders(self, shopper: str, *, limit: int = 3) -> list[Order]:
        """A shopper's last purchases, newest first."""
        rows = self.conn.execute(
            "SELECT p.asin, p.title, b.cents, b.ts FROM purchases b JOIN products p USING (asin)"
            " WHERE b.shopper = ? ORDER BY b.ts DESC, b.id DESC LIMIT ?",
            (shopper, limit),
        )
        return [Order(*row) for row in rows]

    def bought(self, shopper: str) -> set[str]:
        """Every product that a shopper has ever purchased."""
        return {row[0] for row in self.conn.execute("SELECT asin FROM purchases WHERE shopper = ?", (shopper,))}

    def has_complained(self, shopper: str, answer: str) -> bool:
        """Whether a shopper has an open complaint about an answer of the bank."""
        return shopper != ANONYMOUS and complaints.has_complained(self.conn, shopper, answer)

    def genres(self) -> list[str]:
        """The genres on sale."""
        return [row[0] for row in self.conn.execute("SELECT DISTINCT genre FROM products WHERE listed = 1")]

    def search(self, text: str, kind: index.Kind, *, limit: int) -> list[str]:
        """Ids of the documents that share words with a text, best BM25 first."""
        return [hit.doc for hit in index.search(self.conn, text, kind=kind, limit=limit)]

    def running_promotions(self, shopper: str) -> list[str]:
        """The promotions that are running for a shopper now, as statements that a reply may contain."""
        segment, now = self.segment(shopper), self._clock.now()
        running = [p for p in queries.list_promotions(self.conn, at=now) if p.segment in ("all", segment)]
        return [f"{p.title}: {p.percent} %" for p in running]

    def fill(self, kind: str, name: str) -> str | None:
        """The present value of a typed slot; ``None`` if it names something that does not exist."""
        try:
            if kind == "price":
                return self.price(name)
            if kind == "title":
                product = self.product(name)
                return product.title if product else None
            if kind == "stock":
                return "in stock" if self.stock(name) else "out of stock"
        except ShopError:
            return None
        if kind == "policy":
            policy_id, _, fact = name.rpartition(".")
            policy = self.policy(policy_id)
            return fact_text(policy, fact) if policy else None
        return None


def fill_slots(text: str, shop: LiveShop) -> str:
    """Fill a text's slots from the live shop; raises :class:`parbake.guard.UnfilledSlot`."""
    return pb.guard.fill(text, shop.fill)
