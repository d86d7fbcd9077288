"""What a cart or an order costs: its books at what the shopper pays for them, and their delivery as a policy lists it.

The cart, the button that orders it, the order and the chat's replies all take their amounts from here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import msgspec

from retail_assistant.shop.finding import Offer
from retail_assistant.shop.prices import Charge
from retail_assistant.shop.queries import stating

FREE_OVER, FEE = "free_over_eur", "standard_fee_eur"
"""The facts of policies that state over which price of all books delivery is free, and what it costs else."""
Sending = Literal["standard", "express", "europe", "world"]
SENDINGS: tuple[Sending, ...] = get_args(Sending)
"""The ways to send a parcel that policies may price."""
_FEES: Mapping[Sending, str] = {"express": "express_fee_eur", "europe": "eu_fee_eur", "world": "world_fee_eur"}
"""The facts that state what the ways other than standard delivery cost."""
EXPRESS_FREE = "express_free_for"
"""The fact that names the segment of shoppers who pay nothing for express."""
DIGITAL = frozenset({"digital"})
"""The formats that come without a parcel: their delivery costs nothing, and they cannot be sent back."""


class Line(msgspec.Struct, frozen=True):
    """One product of a cart or an order; ``cents`` is what one copy costs."""

    asin: str
    title: str
    quantity: int
    cents: int
    format: str = ""

    @property
    def can_return(self) -> bool:
        """Whether it is of a format that can be sent back."""
        return self.format not in DIGITAL


class Terms(msgspec.Struct, frozen=True):
    """What standard delivery costs, and over which price of all books it is free; ``None`` if no policy states it.

    ``others`` has what the other ways to send a parcel cost, as far as policies state it.
    """

    fee: int | None = None
    free_over: int | None = None
    others: Mapping[Sending, int] = {}

    @property
    def offered(self) -> tuple[Sending, ...]:
        """The ways to send a parcel; standard delivery is always one."""
        return tuple(name for name in SENDINGS if name == "standard" or name in self.others)


class Bill(msgspec.Struct, frozen=True):
    """What some books cost together, and their delivery; in cents.

    ``is_sent`` says whether a parcel comes, and ``missing`` what the books lack to free delivery: 0 if nothing, and
    ``None`` if no parcel comes or no policy makes its delivery free.
    """

    books: int
    delivery: int = 0
    is_sent: bool = False
    missing: int | None = None

    @property
    def total(self) -> int:
        """What is charged."""
        return self.books + self.delivery


def bill(lines: Sequence[Line], terms: Terms, sending: Sending = "standard") -> Bill:
    """The bill of some lines by terms of delivery; digital editions alone need none."""
    books = sum(line.quantity * line.cents for line in lines)
    if all(line.format in DIGITAL for line in lines):
        return Bill(books)
    if sending != "standard":
        return Bill(books, terms.others[sending], is_sent=True)
    missing = None
    if terms.free_over is not None:
        missing = max(0, terms.free_over + 1 - books)
    return Bill(books, 0 if missing == 0 else terms.fee or 0, is_sent=True, missing=missing)


def lines_of(offers: Iterable[Offer], quantities: Mapping[str, int], charged: Mapping[str, Charge]) -> list[Line]:
    """The lines of a cart.

    Args:
        offers: The products in it that are on sale.
        quantities: How many copies it holds, by asin.
        charged: What the shopper pays for a copy, by asin.
    """
    return [Line(o.asin, o.product.title, quantities[o.asin], charged[o.asin].cents, o.product.format) for o in offers]


def delivery_terms(conn: sqlite3.Connection, segment: str = "") -> Terms:
    """The terms of delivery that the policies list now, for shoppers of a segment."""
    others: dict[Sending, int] = {
        name: cents for name, fact in _FEES.items() if (cents := _cents(conn, fact)) is not None
    }
    free = stating(conn, EXPRESS_FREE)
    if "express" in others and free and segment and free.facts.get(EXPRESS_FREE) == segment:
        others["express"] = 0
    return Terms(_cents(conn, FEE), _cents(conn, FREE_OVER), others)


def _cents(conn: sqlite3.Connection, fact: str) -> int | None:
    policy = stating(conn, fact)
    euros = policy.number(fact) if policy else None
    return None if euros is None else round(euros * 100)
