"""The live side of the shop: values that exist only at request time and are never precomputed.

Reads go straight to the system of record, on a read-only connection per thread. Prices, stock, carts and orders come
from here; so do the current policy texts that a reply is checked against before it leaves.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

import parbake_semantic.guard
from retail_assistant.shop import bills, complaints, finding, index, orders, prices, queries, trade
from retail_assistant.shop.connections import PerThread, readers
from retail_assistant.shop.errors import ShopError
from retail_assistant.shop.finding import Conditions, Offer
from retail_assistant.shop.orders import Order
from retail_assistant.shop.policies import Policy
from retail_assistant.shop.prices import Charge, reduced_cents
from retail_assistant.shop.queries import Product
from retail_assistant.shop.trade import Trade
from retail_assistant.shop.voices import is_named


class LiveShoppers:
    """What a shopper has at this moment: a cart, orders, points, and what was bought before."""

    def __init__(self, connections: PerThread) -> None:
        """``connections`` read the shop's file."""
        self._connections = connections

    def cart(self, shopper: str) -> dict[str, int]:
        """Quantities by product in a shopper's cart."""
        return {line.asin: line.quantity for line in queries.get_cart(self._connections.get(), shopper).lines}

    def segment(self, shopper: str) -> str:
        """A shopper's segment."""
        return queries.get_segment(self._connections.get(), shopper)

    def charges(self, shopper: str, asins: Iterable[str], *, now: float) -> dict[str, Charge]:
        """What a shopper pays for a copy of each of some products, with promotions."""
        return prices.charges(self._connections.get(), shopper, asins, now=now)

    def orders(self, shopper: str) -> list[Order]:
        """All orders of a shopper, the newest first."""
        return orders.list_orders(self._connections.get(), shopper, limit=None)

    def points(self, shopper: str) -> int:
        """A shopper's loyalty points."""
        return orders.get_points(self._connections.get(), shopper)

    def bought(self, shopper: str) -> frozenset[str]:
        """Every product that a shopper has ever purchased."""
        return queries.list_owned(self._connections.get(), shopper)

    def begun(self, shopper: str) -> frozenset[str]:
        """The lines of which a shopper has bought a product."""
        return queries.list_begun(self._connections.get(), shopper)

    def has_complained(self, shopper: str, answer: str) -> bool:
        """Whether a shopper has an open complaint about an answer of the bank."""
        return is_named(shopper) and complaints.has_complained(self._connections.get(), shopper, answer)


class LiveRules:
    """What the shop's policies state at this moment."""

    def __init__(self, connections: PerThread) -> None:
        """``connections`` read the shop's file."""
        self._connections = connections

    def policy(self, policy_id: str) -> Policy | None:
        """The present version of a policy; ``None`` if it does not exist."""
        try:
            return queries.get_policy(self._connections.get(), policy_id)
        except ShopError:
            return None

    def policies(self) -> list[Policy]:
        """The present version of every policy, by id."""
        return queries.list_policies(self._connections.get())

    def stating(self, fact: str) -> Policy | None:
        """The first policy that states a fact; ``None`` if none does."""
        return queries.stating(self._connections.get(), fact)

    def policy_text(self, policy_id: str) -> str:
        """The whole present text of a policy; empty if it does not exist."""
        policy = self.policy(policy_id)
        return policy.text if policy else ""

    def return_window(self) -> float | None:
        """The days within which a delivered order can be returned; ``None`` if no policy states them."""
        return orders.return_window(self._connections.get())

    def delivery(self) -> bills.Terms:
        """What delivery costs, and from when on it is free."""
        return bills.delivery_terms(self._connections.get())

    def earned(self, cents: int) -> int:
        """The points that books for so many cents earn."""
        return orders.earned(self._connections.get(), cents)


class LiveWords:
    """Which products have which words at this moment."""

    def __init__(self, connections: PerThread) -> None:
        """``connections`` read the shop's file."""
        self._connections = connections

    def any_of(self, words: Iterable[str], *, limit: int, among: Iterable[str] | None = None) -> list[str]:
        """The products that have any of some words, best first; ``among`` are the only ones that may be found."""
        return index.best(self._connections.get(), words, limit=limit, among=among)

    def one(self, word: str, *, in_title: bool = False) -> set[str]:
        """The products that have a word in their title or text, or only in their title."""
        return index.having(self._connections.get(), word, in_title=in_title)


class LiveShop:
    """Live reads of one shop file: what is sold, and by its parts what a shopper has and what the rules are.

    It is safe to share between threads.
    """

    def __init__(self, path: str | Path) -> None:
        """Open no file until the first read."""
        self._connections = readers(path)
        self.shoppers, self.rules = LiveShoppers(self._connections), LiveRules(self._connections)
        self.words = LiveWords(self._connections)
        self._slots: dict[str, Callable[[str], str | None]] = {
            "price": self.price,
            "title": self._title,
            "ordered": lambda asin: queries.get_product(self.conn, asin).title,
            "stock": self._availability,
            "copies": lambda asin: str(self.stock(asin)),
            "reduced": self._reduced,
            "percent": self._percent,
            "policy": self._fact,
            "cents": lambda cents: self.money(int(cents)),
            "number": lambda number: number,
            "address": unquote,  # the slot holds the address itself: a slot that a model writes must look up none
            "day": lambda moment: day(float(moment)),
            "span": lambda span: span.replace("_", " "),
            "goods": lambda form: getattr(self.trade, form, None),
        }

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
        return f"{self.trade.currency}{cents / 100:.2f}"

    def stock(self, asin: str) -> int:
        """The number of copies in stock."""
        return queries.get_stock(self.conn, asin).quantity

    def title(self, asin: str) -> str:
        """The title of a listed product in lower case; empty if it is not sold."""
        product = self.product(asin)
        return product.title.lower() if product else ""

    def product(self, asin: str) -> Product | None:
        """A listed product; ``None`` if it is not sold."""
        try:
            found = queries.get_product(self.conn, asin)
        except ShopError:
            return None
        return found if found.listed else None

    def ever_sold(self, asins: Iterable[str]) -> list[Product]:
        """Some products, also those that are not sold any more."""
        return queries.get_products(self.conn, asins)

    def find(self, wanted: Conditions) -> list[Offer]:
        """The products on sale that keep every condition, by line and volume."""
        return finding.find(self.conn, wanted)

    def has_any(self, wanted: Conditions) -> bool:
        """Whether any product on sale keeps every condition."""
        return bool(finding.find(self.conn, wanted, limit=1))

    def offers(self, asins: Iterable[str]) -> list[Offer]:
        """The products on sale among some, in their order, sold out or not."""
        wanted = list(dict.fromkeys(asins))
        if not wanted:
            return []
        found = {offer.asin: offer for offer in self.find(Conditions(asins=wanted, in_stock=False))}
        return [found[asin] for asin in wanted if asin in found]

    def with_words(self, words: Iterable[str]) -> set[str]:
        """The products whose title or text has every one of some words."""
        return finding.with_words(self.conn, words)

    def ratings(self, asins: Iterable[str]) -> dict[str, float]:
        """The average rating of those of some products that have reviews."""
        rows = self.conn.execute(
            "SELECT asin, avg(rating) FROM reviews WHERE asin IN (SELECT value FROM json_each(?)) GROUP BY asin",
            (json.dumps(list(asins)),),
        )
        return dict(rows.fetchall())

    def formats(self) -> list[str]:
        """The formats in which anything is sold."""
        return self._distinct("format")

    def genres(self) -> list[str]:
        """The genres of which anything is sold."""
        return self._distinct("genre")

    def _distinct(self, column: str) -> list[str]:
        said = f"SELECT DISTINCT {column} FROM products WHERE listed = 1 AND {column} <> '' ORDER BY 1"  # noqa: S608 - both columns are named in this file
        return [str(name) for (name,) in self.conn.execute(said)]

    @cached_property
    def trade(self) -> Trade:
        """What the shop sells, in its own words; they do not change while a process runs."""
        return trade.read(self.conn)

    def fill(self, kind: str, name: str) -> str | None:
        """The present value of a typed slot; ``None`` if it names something that does not exist."""
        lookup = self._slots.get(kind)
        if lookup is None:
            return None
        try:
            return lookup(name)
        except (ShopError, ValueError):
            return None

    def _title(self, asin: str) -> str | None:
        product = self.product(asin)
        return product.title if product else None

    def _availability(self, asin: str) -> str:
        return "in stock" if self.stock(asin) else "out of stock"

    def _reduced(self, name: str) -> str:
        """The price of ``asin|percent`` after so many percent are taken off."""
        asin, _, percent = name.rpartition("|")
        return self.money(reduced_cents(self.cents(asin), int(percent)))

    def _percent(self, promotion: str) -> str:
        return f"{queries.get_promotion(self.conn, promotion).percent} %"

    def _fact(self, name: str) -> str | None:
        policy_id, _, fact = name.rpartition(".")
        policy = self.rules.policy(policy_id)
        return policy.fact(fact) if policy else None


def day(moment: float) -> str:
    """A day as replies show it, such as "24 November" (UTC)."""
    when = dt.datetime.fromtimestamp(moment, dt.UTC)
    return f"{when.day} {when:%B}"


def fill_slots(text: str, shop: LiveShop) -> str:
    """Fill a text's slots from the live shop; raises :class:`parbake_semantic.guard.UnfilledSlot`."""
    return parbake_semantic.guard.fill(text, shop.fill)
