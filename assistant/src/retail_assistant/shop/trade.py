"""What a shop sells, in its own words: they stand in its file, and prompts, phrases and pages use them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from retail_assistant.shop.errors import ShopError

MOST_CHARACTERS = 60
HANDOVER = "shop#support"
"""The name by which a model refers to who helps where it cannot."""
_VOWELS = tuple("aeiou")


class Trade(msgspec.Struct, frozen=True):
    """The words of a shop.

    Args:
        item: One thing that it sells, such as "book".
        items: Several of them, such as "books".
        shop: What kind of shop it is, such as "book shop".
        currency: The sign before amounts.
        name: What it is called on its pages; what kind of shop it is, if this is empty.
        contact: Where people of it answer, such as an e-mail address.
    """

    item: str = "product"
    items: str = "products"
    shop: str = "shop"
    currency: str = "€"
    name: str = ""
    contact: str = ""

    @property
    def support(self) -> str:
        """Who helps where the assistant cannot, with where they are reached."""
        return f"our support team ({self.contact})" if self.contact else "our support team"

    @property
    def handover(self) -> str:
        """The sentence that sends a customer to people."""
        return f"Please ask {self.support} about that."

    @property
    def called(self) -> str:
        """What the shop is called, such as "Garden shop" if it has no name."""
        return self.name or self.shop[:1].upper() + self.shop[1:]

    @property
    def an_item(self) -> str:
        """One thing with its article: "a book", "an item"."""
        return f"{'an' if self.item.startswith(_VOWELS) else 'a'} {self.item}"


def checked(stated: Mapping[str, Any]) -> Trade:
    """Return the words of a shop as its owner states them, by their names; what is empty keeps its default.

    Raises:
        ShopError: A word is too long, or has signs with which replies mark places for live values.
    """
    words = {name: str(stated[name]) for name in Trade.__struct_fields__ if stated.get(name)}
    if "item" in words:
        words.setdefault("items", f"{words['item']}s")
    for name, word in words.items():
        if len(word) > MOST_CHARACTERS or not word.isprintable() or set(word) & set("{}"):
            raise ShopError(f"--{name}: at most {MOST_CHARACTERS} printable characters, without braces", field=name)
    return Trade(**words)


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
