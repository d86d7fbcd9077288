"""What each tool is asked with. A model that calls tools gets the JSON schemas of these types."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from retail_assistant.shop.records import MOST_COPIES
from retail_assistant.understand.ask import Ask, Kind, Reading, Subject
from retail_assistant.understand.wishes import Sort, Wishes

_SURE = 9.0
"""How strongly a tool's call asks for what it names: nothing else is meant."""
Name = Annotated[str, Meta(max_length=200)]
Names = Annotated[list[Name], Meta(max_length=10)]
Format = Annotated[str, Meta(max_length=40)]
Cents = Annotated[int, Meta(ge=0, le=1_000_000)]
Volume = Annotated[int, Meta(ge=1, le=999)]


class ProductName(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A product: its asin if you know it, otherwise its title or series, with volume and format if it has them."""

    asin: Annotated[str, Meta(max_length=40)] = ""
    title: Name = ""
    volume: Volume | None = None
    format: Format | None = None

    def subject(self) -> Subject:
        """The product as a question names it."""
        return Subject(self.title, "message", self.asin, self.volume, self.format)


class FindProducts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Find products on sale that keep every wish; with ``like``, products like that one."""

    genres: Names = []
    no_genres: Names = []
    formats: Names = []
    no_formats: Names = []
    authors: Names = []
    no_authors: Names = []
    series: Names = []
    no_series: Names = []
    themes: Annotated[
        Names, Meta(description="what it is about, for or like, in words of any kind; the nearest are found")
    ] = []
    no_themes: Names = []
    volume: Volume | None = None
    single: Annotated[bool, Meta(description="only what is complete in one volume")] = False
    least_cents: Cents | None = None
    most_cents: Cents | None = None
    sort: Annotated[Sort, Meta(description="a leading minus sorts downwards; empty: what fits the shopper best")] = ""
    count: Annotated[int, Meta(ge=1, le=10)] | None = None
    like: ProductName | None = None

    def ask(self) -> Ask:
        """The question that the call stands for."""
        wishes = msgspec.convert(self, Wishes, from_attributes=True)
        found = _ask("list", "like" if self.like else "find", (self.like,) if self.like else ())
        return msgspec.structs.replace(found, wishes=wishes, like=self.like is not None)


class ProductFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Look up one fact of a product: live price and stock, or what its page states."""

    product: ProductName
    fact: Literal["price", "stock", "author", "plot", "length", "next", "formats", "genre", "order", "reviews"]

    def ask(self) -> Ask:
        """The question that the call stands for."""
        kinds: dict[str, Kind] = {"price": "offer", "stock": "offer", "reviews": "reviews"}
        return _ask(kinds.get(self.fact, "facts"), self.fact, (self.product,))


class Compare(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Compare two or three products; one alone is compared with its other editions."""

    products: Annotated[list[ProductName], Meta(min_length=1, max_length=3)]
    by: Literal["price", "reviews", "length"] = "price"

    def ask(self) -> Ask:
        """The question that the call stands for."""
        words = {"price": "which is cheaper", "reviews": "which has better reviews", "length": "which is longer"}
        return msgspec.structs.replace(_ask("compare", self.by, tuple(self.products)), text=words[self.by])


class PolicySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Quote the section of the shop's policies that answers a question, or learn that none does."""

    question: Annotated[str, Meta(min_length=1, max_length=500)]

    def ask(self) -> Ask:
        """The question that the call stands for."""
        return msgspec.structs.replace(_ask("policy", ""), text=self.question, said=self.question)


class Promotions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """List the promotions that run now for the shopper: on a product, in a genre, or all."""

    product: ProductName | None = None
    genre: Name = ""

    def ask(self) -> Ask:
        """The question that the call stands for."""
        found = _ask("promotion", "", (self.product,) if self.product else ())
        return msgspec.structs.replace(found, wishes=Wishes(genres=frozenset({self.genre} - {""})))


class Cart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Look at the shopper's cart: its lines, its total, and what is missing to free delivery."""

    def ask(self) -> Ask:
        """The question that the call stands for."""
        return _ask("cart", "")


class Orders(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Look at the shopper's orders: one by its number, otherwise the newest that fits; or all of them."""

    number: Annotated[str, Meta(max_length=40)] = ""
    about: Literal["what", "where", "arrive", "all"] = "what"

    def ask(self) -> Ask:
        """The question that the call stands for."""
        text = f"order number {self.number}" if self.number else "all my orders" if self.about == "all" else "my order"
        return msgspec.structs.replace(_ask("orders", "what" if self.about == "all" else self.about), text=text)


class Points(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Look up the shopper's loyalty points."""

    def ask(self) -> Ask:
        """The question that the call stands for."""
        return _ask("points", "")


class ProposeAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask the shopper whether to change the cart or an order. Nothing is done before the shopper says yes.

    Adding, removing and changing the number of copies need a ``product``, cancelling and returning an order's number.
    """

    action: Literal["add", "remove", "quantity", "cancel", "return"]
    product: ProductName | None = None
    copies: Annotated[int, Meta(ge=1, le=MOST_COPIES)] = 1
    order: Annotated[str, Meta(max_length=40)] = ""

    def ask(self) -> Ask:
        """The question that the call stands for."""
        found = _ask("action", self.action, (self.product,) if self.product else ())
        text = f"order number {self.order}" if self.order else ""
        return msgspec.structs.replace(found, text=text, copies=self.copies)


def _ask(kind: Kind, slot: str, products: tuple[ProductName, ...] = ()) -> Ask:
    subjects = tuple(product.subject() for product in products)
    return Ask(text="", readings=(Reading(kind, slot, _SURE),), subjects=subjects)
