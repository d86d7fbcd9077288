"""``/shop/...`` for shoppers: a product's page, the cart with its total, and the orders."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Annotated

import msgspec

import parbake as pb
from parbake.http import HttpRequest, JsonResponse, Route, json_response
from retail_assistant.http.identity import Identity
from retail_assistant.http.items import Items, order_reply
from retail_assistant.http.replies import (
    CartSummary,
    Delivery,
    Held,
    Item,
    OrderList,
    ProductPage,
    ReviewsInShort,
    SendingChoice,
    SummaryLine,
)
from retail_assistant.http.writes import Copies
from retail_assistant.knowledge.knowledge_tasks import review_summaries
from retail_assistant.live import LiveShop
from retail_assistant.shop import bills, finding, orders, prices, queries, records
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.errors import OutOfStock
from retail_assistant.shop.finding import Conditions, Offer
from retail_assistant.shop.prices import Charge
from retail_assistant.shop.voices import ANONYMOUS

Conn = sqlite3.Connection
MOST_LINES, MOST_DIGITS = 100, 3
"""Of a cart that a browser keeps: its products, and the digits of a number of copies."""


class Seen(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of a product's page: the shopper whose promotions are shown."""

    user: str = ANONYMOUS


class LineBody(msgspec.Struct, forbid_unknown_fields=True):
    """Copies of a product to add to a cart."""

    asin: str
    quantity: Annotated[Copies, msgspec.Meta(ge=1)] = 1


class QuantityBody(msgspec.Struct, forbid_unknown_fields=True):
    """How many copies a cart should hold; 0 takes the product out."""

    quantity: Copies


class Basket(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of a cart that its browser keeps: ``line`` is a product with its copies, such as ``B1:2``."""

    line: list[str] = []

    def held(self) -> dict[str, int]:
        """The copies of each product.

        Raises:
            parbake.BadInput: A line is none, or there are too many.
        """
        if len(self.line) > MOST_LINES:
            raise pb.BadInput(f"line: at most {MOST_LINES}", field="line")
        found = {}
        for text in self.line:
            asin, _, copies = text.rpartition(":")
            if not asin or not copies.isdecimal() or not 0 < int(copies[:MOST_DIGITS]) <= records.MOST_COPIES:
                raise pb.BadInput(f"line: {text[:40]!r} is not a product with 1 to 99 copies, as in B1:2", field="line")
            found[asin] = int(copies[:MOST_DIGITS])
        return found


class StorefrontRoutes:
    """Handlers over one shop file, for shoppers."""

    def __init__(self, app: pb.App, shop: LiveShop, connections: PerThread, identity: Identity) -> None:
        """Show a shop.

        Args:
            app: What is computed ahead.
            shop: What is live.
            connections: Write carts.
            identity: Says whose cart and orders may be seen.
        """
        self._app, self._shop, self._connections, self._identity = app, shop, connections, identity
        self._items = Items(app, shop)

    def routes(self) -> list[Route]:
        """The routes: everybody may browse; carts and orders are for the shoppers to whom they belong."""
        return [
            Route("GET", "/shop/products/{asin}/page", self.product_page),
            Route("GET", "/shop/orders/{user}", self.list_orders),
            Route("GET", "/shop/carts/{user}/summary", self.cart_summary),
            Route("GET", "/shop/basket", self.basket),
            Route("POST", "/shop/carts/{user}/lines", self.add_line),
            Route("PUT", "/shop/carts/{user}/lines/{asin}", self.set_line),
        ]

    async def product_page(self, request: HttpRequest, *, arguments: Seen) -> JsonResponse[ProductPage]:
        """A product with its editions, the volumes of its series, its best promotion and its reviews in short."""
        asin, user = request.parameters["asin"], self._identity.asking(request, arguments.user)
        offer, line, segment = await self._connections.read(
            lambda conn: (*_with_line(conn, asin), queries.get_segment(conn, user))
        )
        items = {item.asin: item for item in await self._items.of(line, segment)}
        volume, form = offer.product.volume, offer.product.format
        by_volume: dict[int, str] = {}
        for other in line:  # of each volume the edition in this format, or else the first one
            if other.product.volume not in by_volume or other.product.format == form:
                by_volume[other.product.volume] = other.asin
        return json_response(
            ProductPage(
                product=items[asin],
                description=offer.product.description,
                editions=[item for item in items.values() if item.volume == volume],
                volumes=[items[other] for other in by_volume.values()],
                reviews=await self._reviews(asin),
            )
        )

    async def list_orders(self, request: HttpRequest) -> JsonResponse[OrderList]:
        """A shopper's orders with their states and lines, the newest first, and the loyalty points."""
        user, now = self._identity.shopper(request), self._app.settings.clock.now()
        found, points, days = await self._connections.read(
            lambda conn: (orders.list_orders(conn, user), orders.get_points(conn, user), orders.return_window(conn))
        )
        told = [order_reply(order, self._shop, window_days=days, now=now) for order in found]
        return json_response(OrderList(told, points))

    async def cart_summary(self, request: HttpRequest) -> JsonResponse[CartSummary]:
        """A shopper's cart with its total and what is missing to free delivery, as the assistant counts them.

        ``each`` of a line is what the shopper pays for one copy: its price, less the best promotion that runs now.
        ``books`` is made of these. The total has delivery besides, and it is what a checkout charges.
        ``gone`` lists what is in the cart and not sold any more: it is not in the total, and hinders a checkout.
        """
        return json_response(await self._summary(self._identity.shopper(request)))

    async def basket(self, request: HttpRequest, *, arguments: Basket) -> JsonResponse[CartSummary]:
        """What a browser's own cart costs, for somebody who is not signed in; nothing is kept."""
        user, held = self._identity.asking(request, ANONYMOUS), arguments.held()
        return json_response(await self._summary(user, held))

    async def add_line(self, request: HttpRequest, *, body: LineBody) -> JsonResponse[CartSummary]:
        """Add copies of a product to the shopper's own cart, and return the cart.

        It keeps the chat's rules: at most 99 copies of a product, and nothing that is out of stock.
        """
        user, now = self._identity.acting(request), self._app.settings.clock.now()

        def write(conn: Conn) -> None:
            if queries.get_product(conn, body.asin).listed and not queries.get_stock(conn, body.asin).quantity:
                raise OutOfStock("this product is out of stock, so it cannot be added to a cart", field="asin")
            records.change_cart(conn, user, body.asin, add=body.quantity, now=now)

        await self._connections.write(write)
        return json_response(await self._summary(user))

    async def set_line(self, request: HttpRequest, *, body: QuantityBody) -> JsonResponse[CartSummary]:
        """Set how many copies of a product the shopper's own cart holds, and return the cart."""
        user = self._identity.acting(request)
        asin, now = request.parameters["asin"], self._app.settings.clock.now()
        await self._connections.write(lambda conn: records.change_cart(conn, user, asin, to=body.quantity, now=now))
        return json_response(await self._summary(user))

    async def _summary(self, user: str, kept: Mapping[str, int] | None = None) -> CartSummary:
        """The summary of a shopper's cart, or of what a browser has ``kept``."""
        now = self._app.settings.clock.now()
        held, offers, charges, terms, address = await self._connections.read(lambda conn: _cart(conn, user, now, kept))
        items = self._items.charged(offers, charges)
        lines = [self._line(item, charges[item.asin], held[item.asin].quantity) for item in items]
        on_sale = {o.asin for o in offers}
        billed = bills.lines_of(offers, {asin: held[asin].quantity for asin in on_sale}, charges)
        due = bills.bill(billed, terms)
        return CartSummary(
            shopper=user,
            lines=lines,
            gone=[line for asin, line in held.items() if asin not in on_sale],
            copies=sum(line.quantity for line in lines),
            books_cents=due.books,
            books=self._shop.money(due.books),
            delivery=self._delivery(due, terms),
            cents=due.total,
            total=self._shop.money(due.total),
            sendings=self._sendings(billed, terms) if due.is_sent else [],
            address=address,
        )

    def _sendings(self, lines: list[bills.Line], terms: bills.Terms) -> list[SendingChoice]:
        """The ways to send a cart's parcel."""
        found = []
        for name in terms.offered:
            due = bills.bill(lines, terms, name)
            prices = self._shop.money(due.delivery), self._shop.money(due.total)
            found.append(SendingChoice(name, due.delivery, prices[0], due.total, prices[1]))
        return found

    def _line(self, item: Item, charge: Charge, quantity: int) -> SummaryLine:
        cents = charge.cents * quantity
        each, price = self._shop.money(charge.cents), self._shop.money(cents)
        return SummaryLine(item, quantity, each, cents, price)

    def _delivery(self, due: bills.Bill, terms: bills.Terms) -> Delivery | None:
        """What the delivery of a cart costs, and what is missing to a free one; ``None`` if no policy states either."""
        if terms.fee is None and terms.free_over is None:
            return None
        free_over = None if due.missing is None else terms.free_over
        is_stated = not due.is_sent or due.missing == 0 or terms.fee is not None
        return Delivery(
            is_needed=due.is_sent,
            cents=due.delivery,
            price=self._shop.money(due.delivery) if is_stated else None,
            free_over_cents=free_over,
            free_over=None if free_over is None else self._shop.money(free_over),
            missing_cents=due.missing,
            missing=None if due.missing is None else self._shop.money(due.missing),
        )

    async def _reviews(self, asin: str) -> ReviewsInShort | None:
        """The summary of a product's reviews with its lane and age; ``None`` if there are none."""
        try:
            served = await self._app.serve(review_summaries, asin)
        except pb.NotMaterialized:
            return None
        if served.value is None:
            return None
        return ReviewsInShort(**msgspec.structs.asdict(served.value), lane=served.lane, verdict=served.verdict)


def _with_line(conn: Conn, asin: str) -> tuple[Offer, list[Offer]]:
    """A product on sale, and every product of its line, by volume; raises :class:`UnknownProduct`."""
    product = queries.get_product(conn, asin)
    line = finding.find(conn, Conditions(titles=[product.line], in_stock=False))
    offer = next((o for o in line if o.asin == asin), None)
    if offer is None:
        raise queries.no_product(asin)
    return offer, line


def _cart(
    conn: Conn, user: str, now: float, kept: Mapping[str, int] | None
) -> tuple[dict[str, Held], list[Offer], dict[str, Charge], bills.Terms, str]:
    """What a cart holds, what of that is on sale and what the shopper pays, the terms of delivery, and the address."""
    if kept is None:
        rows = conn.execute(
            "SELECT asin, title, quantity FROM carts JOIN products USING (asin) WHERE shopper = ? ORDER BY asin",
            (user,),
        )
        held = {row[0]: Held(*row) for row in rows}
    else:
        titles = conn.execute(
            "SELECT asin, title FROM products WHERE asin IN (SELECT value FROM json_each(?))", (json.dumps([*kept]),)
        )
        held = {asin: Held(asin, title, kept[asin]) for asin, title in titles}
    offers = finding.find(conn, Conditions(asins=list(held), in_stock=False)) if held else []
    charged = prices.charges(conn, user, [offer.asin for offer in offers], now=now)
    terms = bills.delivery_terms(conn, queries.get_segment(conn, user))
    return held, offers, charged, terms, orders.last_address(conn, user)
