"""Finds products by stated conditions, all of which each result keeps."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from retail_assistant.shop.queries import Product

_WORD = re.compile(r"\w+")


class Offer(msgspec.Struct, frozen=True):
    """A product on sale with its present price (cents) and stock."""

    product: Product
    cents: int
    quantity: int

    @property
    def asin(self) -> str:
        """The product's asin."""
        return self.product.asin


class Conditions(msgspec.Struct, frozen=True):
    """What every result must keep. An empty collection and ``None`` ask nothing; prices are in cents, ends included."""

    genres: Collection[str] = ()
    no_genres: Collection[str] = ()
    formats: Collection[str] = ()
    no_formats: Collection[str] = ()
    authors: Collection[str] = ()
    no_authors: Collection[str] = ()
    titles: Collection[str] = ()
    no_titles: Collection[str] = ()
    volume: int | None = None
    single: bool = False
    most_cents: int | None = None
    least_cents: int | None = None
    asins: Collection[str] | None = None
    no_asins: Collection[str] = ()
    in_stock: bool = True


_SELECT = (
    "SELECT p.asin, p.title, p.series, p.volume, p.author, p.genre, p.format, p.description, p.listed, p.created_at,"
    " r.cents, i.quantity FROM products p JOIN prices r USING (asin) JOIN inventory i USING (asin) WHERE p.listed = 1"
)
_MANY = "(SELECT value FROM json_each(?))"
_LINE = "CASE WHEN p.series = '' THEN p.title ELSE p.series END"
_LAST_VOLUME = "(SELECT max(volume) FROM products q WHERE q.listed = 1 AND q.series = p.series)"
_LISTS: Sequence[tuple[str, str]] = (
    ("genres", f"p.genre IN {_MANY}"),
    ("no_genres", f"p.genre NOT IN {_MANY}"),
    ("formats", f"p.format IN {_MANY}"),
    ("no_formats", f"p.format NOT IN {_MANY}"),
    ("authors", f"p.author IN {_MANY}"),
    ("no_authors", f"p.author NOT IN {_MANY}"),
    ("titles", f"{_LINE} IN {_MANY}"),
    ("no_titles", f"{_LINE} NOT IN {_MANY}"),
    ("no_asins", f"p.asin NOT IN {_MANY}"),
)
_VALUES: Sequence[tuple[str, str]] = (
    ("volume", "p.volume = ?"),
    ("most_cents", "r.cents <= ?"),
    ("least_cents", "r.cents >= ?"),
)


def find(conn: sqlite3.Connection, wanted: Conditions, *, limit: int | None = None) -> list[Offer]:
    """Return the products on sale that keep every condition, by line and volume; all, or the first ``limit``."""
    where, values = "", list[Any]()
    for name, clause in _LISTS:
        if given := getattr(wanted, name):
            where += f" AND {clause}"
            values.append(json.dumps(sorted(given)))
    for name, clause in _VALUES:
        if (given := getattr(wanted, name)) is not None:
            where += f" AND {clause}"
            values.append(given)
    if wanted.asins is not None:
        where += f" AND p.asin IN {_MANY}"
        values.append(json.dumps(sorted(wanted.asins)))
    if wanted.in_stock:
        where += " AND i.quantity > 0"
    if wanted.single:
        where += f" AND (p.series = '' OR {_LAST_VOLUME} <= 1)"
    rows = conn.execute(
        f"{_SELECT}{where} ORDER BY {_LINE}, p.volume, p.format, p.asin LIMIT ?",
        (*values, -1 if limit is None else limit),
    )
    return [_offer(row) for row in rows]


def one_a_line(offers: Iterable[Offer]) -> list[Offer]:
    """Return the first product of each line (see :attr:`Product.line`), in their order."""
    first: dict[str, Offer] = {}
    for offer in offers:
        first.setdefault(offer.product.line, offer)
    return list(first.values())


def with_words(conn: sqlite3.Connection, words: Iterable[str]) -> set[str]:
    """Return the products whose title or text has every one of some words, in any of their forms.

    Of "dragons or pirates" it has one.
    """
    match = " AND ".join(filter(None, map(_term, words)))
    if not match:
        return set()
    rows = conn.execute("SELECT doc FROM search_index WHERE search_index MATCH ? AND kind = 'product'", (match,))
    return {row[0] for row in rows}


def _term(word: str) -> str:
    """A word or a phrase, or a choice of several, as the full-text index is asked for it; empty without any letter."""
    if " or " not in word:
        phrase = " ".join(_WORD.findall(word))
        return f'"{phrase}"' if phrase else ""
    choices = (" AND ".join(filter(None, map(_term, choice.split()))) for choice in word.split(" or "))
    joined = " OR ".join(f"({choice})" for choice in choices if choice)
    return f"({joined})" if joined else ""


def _offer(row: tuple[Any, ...]) -> Offer:
    asin, title, series, volume, author, genre, form, description, listed, created_at, cents, quantity = row
    product = Product(asin, title, series, volume, author, genre, form, description, bool(listed), created_at)
    return Offer(product, cents, quantity)
