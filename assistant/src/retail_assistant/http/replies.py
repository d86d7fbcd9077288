"""The bodies of the routes' answers, as the OpenAPI document describes them. Money is in cents, or in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from parbake import Verdict
from parbake.protocol.record import Lane
from retail_assistant.knowledge.review_summary import Summary
from retail_assistant.shop.bills import Line, Sending
from retail_assistant.shop.complaints import OpenComplaints
from retail_assistant.shop.policies import Fact, Policy, Section
from retail_assistant.shop.queries import Product, Promotion


class Written(msgspec.Struct, kw_only=True):
    """A committed write.

    ``acked`` is ``null`` while its tags are not raised, and if it raises none. ``ticket`` and ``ask``, the path that
    tells when they are, are left out where there are none.
    """

    acked: int | None
    position: int | None
    stamp: int | None
    ticket: str | msgspec.UnsetType = msgspec.UNSET
    ask: str | msgspec.UnsetType = msgspec.UNSET


class CheckedOut(msgspec.Struct, kw_only=True):
    """A committed write that made an order, with the order's ``number``."""

    acked: int | None
    position: int | None
    stamp: int | None
    ticket: str | msgspec.UnsetType = msgspec.UNSET
    number: str
    ask: str | msgspec.UnsetType = msgspec.UNSET


class Complained(msgspec.Struct, kw_only=True):
    """A committed complaint, with those whom it keeps the answer from."""

    acked: int | None
    position: int | None
    stamp: int | None
    ticket: str | msgspec.UnsetType = msgspec.UNSET
    applies_to: Literal["everybody", "shopper"]
    ask: str | msgspec.UnsetType = msgspec.UNSET


class ChangeState(msgspec.Struct):
    """Whether a committed change is acknowledged."""

    position: int
    is_acknowledged: bool


class SessionStarted(msgspec.Struct):
    """The sequence number that a shopper's arrival was given, and a session for the shopper's browser.

    There is no session for who has no key, and where a proxy vouches for shoppers.
    """

    stamp: int
    session: str | None


class SignedIn(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Who is signed in, and who vouches for shoppers here.

    ``accounts`` are those for trying the shop out. ``session`` is what a program sends as ``authorization: Bearer``.
    """

    shopper: str | None
    by: Literal["accounts", "key", "header"]
    accounts: list[str] = []
    session: str = ""


class ComplaintList(msgspec.Struct):
    """The answers that owners have to check."""

    complaints: list[OpenComplaints]


class PolicyList(msgspec.Struct):
    """All policies."""

    policies: list[Policy]


class PolicyInFull(msgspec.Struct):
    """A policy as stored, and its ``sections`` as customers read them."""

    id: str
    title: str
    body: str
    facts: Mapping[str, Fact]
    updated_at: float
    sections: list[Section]


class LiveProduct(Product, frozen=True):
    """A product with its live price and stock."""

    cents: int
    quantity: int


class PromotionList(msgspec.Struct):
    """The promotions that are running."""

    promotions: list[Promotion]


class Reduced(msgspec.Struct, frozen=True):
    """The best promotion on a product, and the price with it."""

    id: str
    title: str
    percent: int
    cents: int
    price: str
    ends_at: float


class Item(msgspec.Struct, frozen=True):
    """A product as the page shows it: ``price`` is in the form of the replies, price and stock are live."""

    asin: str
    title: str
    series: str
    volume: int
    author: str
    genre: str
    format: str
    cents: int
    price: str
    quantity: int
    promotion: Reduced | None = None


class ItemPage(msgspec.Struct):
    """A page of a list of products; ``total`` counts them on all ``pages``.

    ``searched`` is the text that was searched for, whose spelling may have been corrected. With ``is_closest`` no
    product has every word of it, and these come nearest.
    """

    products: list[Item]
    total: int
    page: int
    pages: int
    searched: str = ""
    is_closest: bool = False


class Shelf(msgspec.Struct):
    """A genre or a format, and how many products on sale are of it."""

    name: str
    products: int


class Shelves(msgspec.Struct):
    """The genres and formats on sale, and the range of prices."""

    genres: list[Shelf]
    formats: list[Shelf]
    min_cents: int
    max_cents: int


class ReviewsInShort(Summary, frozen=True):
    """The summary of a product's reviews, with the lane and the verdict of its read."""

    lane: Lane
    verdict: Verdict


class ProductPage(msgspec.Struct):
    """A product with its editions, one edition of each volume of its series, and its reviews if there are any."""

    product: Item
    description: str
    editions: list[Item]
    volumes: list[Item]
    reviews: ReviewsInShort | None


class Suggestions(msgspec.Struct):
    """What may please a shopper, and how it was made; ``age_s`` is in seconds.

    ``why`` has the reason for each product that has one, by its asin.
    """

    products: list[Item]
    why: dict[str, str]
    lane: Lane
    verdict: Verdict
    age_s: float
    reason: str


class OrderLine(Line, frozen=True, kw_only=True):
    """A line of an order, with what one copy cost in words."""

    price: str


class OrderReply(msgspec.Struct, kw_only=True):
    """An order with its total, of which ``delivery`` is a part, and what can be done with it.

    Times that nobody knows are 0.
    """

    number: str
    shopper: str
    placed_at: float
    state: str
    tracking: str
    changed_at: float
    lines: list[OrderLine]
    address: str
    delivery_cents: int
    delivery: str
    cents: int
    total: str
    sending: str
    in_return: str
    can_cancel: bool
    can_return: bool


class OrderList(msgspec.Struct):
    """A shopper's orders, the newest first, and the loyalty points."""

    orders: list[OrderReply]
    points: int


class Held(msgspec.Struct, frozen=True):
    """What a cart holds of a product, whether or not it is still sold."""

    asin: str
    title: str
    quantity: int


class SummaryLine(msgspec.Struct):
    """A product in a cart: ``each`` is what one copy costs the shopper, ``cents`` and ``price`` what all cost."""

    product: Item
    quantity: int
    each: str
    cents: int
    price: str


class Delivery(msgspec.Struct):
    """What the delivery of a cart costs, and what its books lack to a free one.

    Digital editions alone need none. What is ``null`` is stated by no policy, or does not matter then.
    """

    is_needed: bool
    cents: int
    price: str | None
    free_over_cents: int | None
    free_over: str | None
    missing_cents: int | None
    missing: str | None


class SendingChoice(msgspec.Struct):
    """A way to send a cart's parcel, with what it costs and what a checkout charges then."""

    name: Sending
    cents: int
    price: str
    total_cents: int
    total: str


class CartSummary(msgspec.Struct):
    """A cart with what its books cost, their delivery, and the total that a checkout charges.

    What is ``gone`` is not sold any more. ``delivery`` is ``null`` if no policy states anything of it. ``sendings`` are
    the ways to send the parcel, if there is one, standard delivery first; ``address`` is where the last order went.
    """

    shopper: str
    lines: list[SummaryLine]
    gone: list[Held]
    copies: int
    books_cents: int
    books: str
    delivery: Delivery | None
    cents: int
    total: str
    sendings: list[SendingChoice] = []
    address: str = ""
