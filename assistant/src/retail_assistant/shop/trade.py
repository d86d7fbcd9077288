"""What a shop sells, in its own words: they stand in its file, and prompts, phrases and pages use them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from retail_assistant.shop.errors import ShopError

MOST_CHARACTERS = 40
_VOWELS = tuple("aeiou")


class Trade(msgspec.Struct, frozen=True):
    """The words of a shop.

    Args:
        item: One thing that it sells, such as "book".
        items: Several of them, such as "books".
        shop: What kind of shop it is, such as "book shop".
        currency: The sign before amounts.
    """

    item: str = "product"
    items: str = "products"
    shop: str = "shop"
    currency: str = "€"

    @property
    def an_item(self) -> str:
        """One thing with its article: "a book", "an item"."""
        return f"{'an' if self.item.startswith(_VOWELS) else 'a'} {self.item}"


def checked(item: str, items: str, shop: str, currency: str) -> Trade:
    """Return the words of a shop as its owner states them; what is empty keeps its default.

    Raises:
        ShopError: A word is too long, or has signs with which replies mark places for live values.
    """
    stated = {"item": item, "items": items or (f"{item}s" if item else ""), "shop": shop, "currency": currency}
    for name, word in stated.items():
        if len(word) > MOST_CHARACTERS or not word.isprintable() or set(word) & set("{}"):
            raise ShopError(f"--{name}: at most {MOST_CHARACTERS} printable characters, without braces", field=name)
    return Trade(**{name: word for name, word in stated.items() if word})


def save(conn: sqlite3.Connection, trade: Trade) -> None:
    """Write the words of a shop into its file."""
    rows = msgspec.structs.asdict(trade).items()
    conn.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(rows))


def read(conn: sqlite3.Connection) -> Trade:
    """Read the words of a shop; what its file does not say has its default."""
    return of_meta(conn.execute("SELECT key, value FROM meta"))


def of_meta(rows: Iterable[tuple[str, str]]) -> Trade:
    """Return the words of a shop by the rows of its file's metadata."""
    return Trade(**{name: value for name, value in rows if name in Trade.__struct_fields__})
