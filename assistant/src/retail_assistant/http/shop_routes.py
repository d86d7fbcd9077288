"""``/shop/...``: the system of record. Each write is one transaction with its outbox row, and returns acknowledged."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec

import parbake as pb
from parbake.http import HttpRequest, JsonResponse, Route, json_response
from retail_assistant.http import replies
from retail_assistant.http.acknowledged import CHANGES, WRITTEN_NEW
from retail_assistant.http.identity import Identity
from retail_assistant.http.replies import Written
from retail_assistant.http.shop_file import ShopFile, read, write
from retail_assistant.http.writes import Copies
from retail_assistant.shop import queries, records
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.policies import Fact, render_policy

if TYPE_CHECKING:
    from parbake.adapters.sqlite import SqliteSource

Conn = sqlite3.Connection
MOST_DIGITS = 19
"""A position is below 2**63."""


class PolicyBody(msgspec.Struct, forbid_unknown_fields=True):
    """The changed members of a policy; ``facts`` are merged, and ``null`` removes one."""

    title: str | None = None
    body: str | None = None
    facts: dict[str, Fact | None] | None = None


class PolicyArguments(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of a policy's ``PUT``: whether to add a policy that does not exist yet."""

    create: bool = False


class ProductBody(msgspec.Struct, forbid_unknown_fields=True):
    """The changed members of a product; ``cents`` alone is a price change and raises no tag."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    series: str | msgspec.UnsetType = msgspec.UNSET
    volume: int | msgspec.UnsetType = msgspec.UNSET
    author: str | msgspec.UnsetType = msgspec.UNSET
    genre: str | msgspec.UnsetType = msgspec.UNSET
    format: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    listed: bool | msgspec.UnsetType = msgspec.UNSET
    cents: int | None = None
    quantity: int | None = None


class PromotionBody(msgspec.Struct, forbid_unknown_fields=True):
    """The changed members of a promotion; times in epoch seconds."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    category: str | msgspec.UnsetType = msgspec.UNSET
    segment: str | msgspec.UnsetType = msgspec.UNSET
    percent: int | msgspec.UnsetType = msgspec.UNSET
    starts_at: float | msgspec.UnsetType = msgspec.UNSET
    ends_at: float | msgspec.UnsetType = msgspec.UNSET


class PriceBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new price."""

    cents: int


class InventoryBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new stock level."""

    quantity: int


class CartBody(msgspec.Struct, forbid_unknown_fields=True):
    """A whole cart: quantities by product."""

    lines: dict[str, Copies]


class ActionBody(msgspec.Struct, forbid_unknown_fields=True):
    """A purchase or a view."""

    shopper: str
    asin: str


class ReviewBody(msgspec.Struct, forbid_unknown_fields=True):
    """A review, ``rating`` 1 to 5."""

    shopper: str
    asin: str
    rating: Annotated[int, msgspec.Meta(ge=1, le=5)]
    body: str


class PolicyRoutes:
    """What the shop states: its policies."""

    def __init__(self, file: ShopFile) -> None:
        """``file`` is the shop's."""
        self._file = file

    def routes(self) -> list[Route]:
        """The routes: everybody may read, and only operators may write."""
        return [
            read("/shop/policies", self.list_policies),
            read("/shop/policies/{id}", self.get_policy),
            write("PUT", "/shop/policies/{id}", self.put_policy),
            write("DELETE", "/shop/policies/{id}", self.delete_policy),
        ]

    async def list_policies(self, _: HttpRequest) -> JsonResponse[replies.PolicyList]:
        """All policies."""
        return json_response(replies.PolicyList(await self._file.read(queries.list_policies)))

    async def get_policy(self, request: HttpRequest) -> JsonResponse[replies.PolicyInFull]:
        """One policy, with its prose as customers read it."""
        policy = await self._file.read(lambda c: queries.get_policy(c, request.parameters["id"]))
        return json_response(replies.PolicyInFull(**msgspec.structs.asdict(policy), sections=render_policy(policy)))

    async def put_policy(
        self, request: HttpRequest, *, body: PolicyBody, arguments: PolicyArguments
    ) -> JsonResponse[Written]:
        """Change a policy, or add one with ``?create=true``; returns once the change is acknowledged."""
        name, now = request.parameters["id"], self._file.now()

        def put(conn: Conn) -> int:
            return records.put_policy(
                conn, name, title=body.title, body=body.body, facts=body.facts, create=arguments.create, now=now
            )

        return await self._file.change(request, f"policy/{name}", lambda c: queries.get_policy(c, name), put)

    async def delete_policy(self, request: HttpRequest) -> JsonResponse[Written]:
        """Remove a policy."""
        name = request.parameters["id"]
        return await self._file.change(
            request, f"policy/{name}", lambda c: queries.get_policy(c, name), lambda c: records.delete_policy(c, name)
        )


class ProductRoutes:
    """What the shop sells, at which price: products, stock and promotions."""

    def __init__(self, file: ShopFile) -> None:
        """``file`` is the shop's."""
        self._file = file

    def routes(self) -> list[Route]:
        """The routes: everybody may read, and only operators may write."""
        return [
            read("/shop/products/{asin}", self.get_product),
            read("/shop/inventory/{asin}", self.get_inventory),
            read("/shop/promotions", self.list_promotions),
            write("PUT", "/shop/products/{asin}", self.put_product),
            write("DELETE", "/shop/products/{asin}", self.delist),
            write("PUT", "/shop/prices/{asin}", self.put_price),
            write("PUT", "/shop/inventory/{asin}", self.put_inventory),
            write("PUT", "/shop/promotions/{id}", self.put_promotion),
            write("DELETE", "/shop/promotions/{id}", self.delete_promotion),
        ]

    async def get_product(self, request: HttpRequest) -> JsonResponse[replies.LiveProduct]:
        """One product with its live price and stock."""
        asin = request.parameters["asin"]

        def found(conn: Conn) -> replies.LiveProduct:
            product = msgspec.structs.asdict(queries.get_product(conn, asin))
            cents, quantity = queries.get_price(conn, asin).cents, queries.get_stock(conn, asin).quantity
            return replies.LiveProduct(**product, cents=cents, quantity=quantity)

        return json_response(await self._file.read(found))

    async def put_product(self, request: HttpRequest, *, body: ProductBody) -> JsonResponse[Written]:
        """Add or change a product; a body of prices or stock only raises no tag."""
        asin, now = request.parameters["asin"], self._file.now()
        fields = _given(body, leave_out=("cents", "quantity"))

        def put(conn: Conn) -> int | None:
            if fields:
                return records.put_product(conn, asin, now=now, cents=body.cents, quantity=body.quantity, **fields)
            records.set_live(conn, asin, cents=body.cents, quantity=body.quantity, now=now)
            return None

        return await self._file.write(request, put)

    async def delist(self, request: HttpRequest) -> JsonResponse[Written]:
        """Take a product off sale."""
        asin = request.parameters["asin"]
        return await self._file.change(
            request, f"product/{asin}", lambda c: queries.get_product(c, asin), lambda c: records.delist(c, asin)
        )

    async def put_price(self, request: HttpRequest, *, body: PriceBody) -> JsonResponse[Written]:
        """Set a price: live, so it raises no tag."""
        asin, now = request.parameters["asin"], self._file.now()
        return await self._file.write(request, lambda c: records.set_price(c, asin, body.cents, now=now))

    async def get_inventory(self, request: HttpRequest) -> JsonResponse[queries.Stock]:
        """The number of copies in stock now."""
        return json_response(await self._file.read(lambda c: queries.get_stock(c, request.parameters["asin"])))

    async def put_inventory(self, request: HttpRequest, *, body: InventoryBody) -> JsonResponse[Written]:
        """Set stock: live, so it raises no tag."""
        asin = request.parameters["asin"]
        return await self._file.write(request, lambda c: records.set_inventory(c, asin, body.quantity))

    async def list_promotions(self, _: HttpRequest) -> JsonResponse[replies.PromotionList]:
        """The promotions that are running now."""
        now = self._file.now()
        running = await self._file.read(lambda c: queries.list_promotions(c, at=now))
        return json_response(replies.PromotionList(running))

    async def put_promotion(self, request: HttpRequest, *, body: PromotionBody) -> JsonResponse[Written]:
        """Add or change a promotion."""
        fields, name = _given(body), request.parameters["id"]
        return await self._promotion(request, lambda c: records.put_promotion(c, name, **fields))

    async def delete_promotion(self, request: HttpRequest) -> JsonResponse[Written]:
        """Remove a promotion."""
        name = request.parameters["id"]
        return await self._promotion(request, lambda c: records.delete_promotion(c, name))

    async def _promotion(self, request: HttpRequest, write: Callable[[Conn], int]) -> JsonResponse[Written]:
        name = request.parameters["id"]
        return await self._file.change(request, f"promotion/{name}", lambda c: queries.get_promotion(c, name), write)


class ShopperRoutes:
    """What shoppers do: carts, purchases, views and reviews."""

    def __init__(self, file: ShopFile, identity: Identity) -> None:
        """``file`` is the shop's; ``identity`` says who may do what."""
        self._file, self._identity = file, identity

    def routes(self) -> list[Route]:
        """The routes: each shopper has the own things, and only operators sell without a checkout."""
        return [
            read("/shop/carts/{user}", self.get_cart),
            write("PUT", "/shop/carts/{user}", self.put_cart, access="anybody"),
            write("POST", "/shop/purchases", self.purchase, WRITTEN_NEW),
            write("POST", "/shop/views", self.view, WRITTEN_NEW, "anybody"),
            write("POST", "/shop/reviews", self.review, WRITTEN_NEW, "anybody"),
        ]

    async def get_cart(self, request: HttpRequest) -> JsonResponse[queries.Cart]:
        """A shopper's cart."""
        user = self._identity.shopper(request)
        return json_response(await self._file.read(lambda c: queries.get_cart(c, user)))

    async def put_cart(self, request: HttpRequest, *, body: CartBody) -> JsonResponse[Written]:
        """Replace a shopper's cart: live, so it raises no tag."""
        user, now = self._identity.acting(request), self._file.now()
        sender = self._identity.sender(request, user)
        return await self._file.write(request, lambda c: records.set_cart(c, user, body.lines, now=now), shopper=sender)

    async def purchase(self, request: HttpRequest, *, body: ActionBody) -> JsonResponse[Written]:
        """Buy one copy at what the shopper pays now, the best running promotion taken off."""
        now = self._file.now()
        return await self._file.write(
            request, lambda c: records.add_purchase(c, shopper=body.shopper, asin=body.asin, now=now), 201
        )

    async def view(self, request: HttpRequest, *, body: ActionBody) -> JsonResponse[Written]:
        """Record that a shopper looked at a product's page; raises no tag."""
        shopper, now = self._identity.acting(request, body.shopper), self._file.now()
        return await self._file.write(
            request,
            lambda c: records.add_view(c, shopper=shopper, asin=body.asin, now=now),
            201,
            self._identity.sender(request, shopper),
        )

    async def review(self, request: HttpRequest, *, body: ReviewBody) -> JsonResponse[Written]:
        """Add a review; a shopper who has no key reviews what was bought, once."""
        shopper, now = self._identity.acting(request, body.shopper), self._file.now()

        def put(conn: Conn) -> int:
            return records.add_review(
                conn,
                shopper=shopper,
                asin=body.asin,
                rating=body.rating,
                body=body.body,
                now=now,
                is_own=not self._identity.acts(request),
            )

        return await self._file.write(request, put, 201, self._identity.sender(request, shopper))


class ChangeRoutes:
    """Whether a change that was committed is acknowledged."""

    def __init__(self, file: ShopFile) -> None:
        """``file`` is the shop's."""
        self._file = file

    def routes(self) -> list[Route]:
        """The route, which everybody may read."""
        return [read(CHANGES, self.change)]

    async def change(self, request: HttpRequest) -> JsonResponse[replies.ChangeState]:
        """Whether a committed change is acknowledged. From then on no value from before the change is served."""
        text = request.parameters["position"]
        if not (text.isascii() and text.isdigit() and len(text) < MOST_DIGITS):
            raise pb.BadInput(f"{text[:40]!r} is not a position", field="position")
        source = cast("SqliteSource", self._file.app.settings.sources[0])
        if int(text) > (await asyncio.to_thread(source.extent)).last:
            raise pb.errors.UnknownResource(f"no change has the position {text}", field="position")
        applied = (await self._file.app.ops.applied())[source.name]
        return json_response(replies.ChangeState(int(text), int(text) <= applied))


def shop_routes(app: pb.App, connections: PerThread, identity: Identity) -> list[Route]:
    """The routes of the system of record; ``connections`` write to its file, ``identity`` says who asks."""
    file = ShopFile(app, connections)
    rooms = (PolicyRoutes(file), ProductRoutes(file), ShopperRoutes(file, identity), ChangeRoutes(file))
    return [route for room in rooms for route in room.routes()]


def _given(body: msgspec.Struct, leave_out: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """The members that the body contains, without ``leave_out``."""
    values = {f: getattr(body, f) for f in body.__struct_fields__ if f not in leave_out}
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}
