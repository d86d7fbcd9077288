"""``POST /shop/carts/{user}/checkout``: a cart becomes an order, at the total that its shopper has seen."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any

import msgspec

import parbake as pb
from parbake.http import HttpRequest, JsonResponse, Route
from retail_assistant.http.acknowledged import WRITTEN, WRITTEN_NEW, acknowledged
from retail_assistant.http.identity import Identity
from retail_assistant.http.replies import CheckedOut, Written
from retail_assistant.http.writes import ONCE, commit
from retail_assistant.shop import orders
from retail_assistant.shop.bills import Sending
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.errors import TotalChanged

Conn = sqlite3.Connection


class CheckoutBody(msgspec.Struct, forbid_unknown_fields=True):
    """``total_cents`` is what the shopper has agreed to: what the cart's summary states for that ``sending``."""

    total_cents: Annotated[int, msgspec.Meta(ge=0)]
    sending: Sending = "standard"
    address: str = ""


class OrderBody(msgspec.Struct, forbid_unknown_fields=True):
    """What a shopper changes of an order: its ``address``, or what is wanted for what comes back."""

    address: str | None = None
    in_return: str | None = None


class CheckoutRoutes:
    """Orders what carts hold."""

    def __init__(self, app: pb.App, connections: PerThread, identity: Identity) -> None:
        """``connections`` write to the shop file; ``identity`` says whose cart may be ordered."""
        self._app, self._connections, self._identity = app, connections, identity

    def routes(self) -> list[Route]:
        """The routes, for the shopper whose cart and orders they are."""
        path = "/shop/carts/{user}/checkout"
        return [
            Route("POST", path, self.check_out, statuses=WRITTEN_NEW, headers=ONCE),
            Route("PUT", "/shop/orders/{user}/{number}", self.change, statuses=WRITTEN, headers=ONCE),
        ]

    async def check_out(self, request: HttpRequest, *, body: CheckoutBody) -> JsonResponse[CheckedOut]:
        """Order everything in a shopper's cart at the total of its summary, and return the order's ``number``.

        Nothing is paid here. A cart that is empty (409), that holds something sold out (409) or not sold any more
        (404), or whose total is not ``total_cents`` (409, with both totals) is refused, and nothing is written.
        """
        user, now = self._identity.acting(request), self._app.settings.clock.now()

        def write(conn: Conn) -> int:
            return orders.check_out(
                conn, user, total_cents=body.total_cents, now=now, sending=body.sending, address=body.address
            )

        position = await commit(
            self._connections, request, write, now=now, shopper=self._identity.sender(request, user)
        )
        if position is None:
            raise AssertionError("a checkout has an outbox row")
        return await acknowledged(self._app, position, CheckedOut, 201, number=orders.number_at(position))

    async def change(self, request: HttpRequest, *, body: OrderBody) -> JsonResponse[Written]:
        """Change the address of an order that is not packed (409 otherwise), or what is wanted for what comes back."""
        user, number = self._identity.acting(request), request.parameters["number"]
        now = self._app.settings.clock.now()

        def write(conn: Conn) -> int:
            if body.in_return is not None:
                return orders.want_in_return(conn, user, number, body.in_return)
            return orders.change_address(conn, user, number, body.address or "", now=now)

        position = await commit(
            self._connections, request, write, now=now, shopper=self._identity.sender(request, user)
        )
        return await acknowledged(self._app, position, Written, 200)


def changed_total(error: pb.ParbakeError) -> dict[str, Any]:
    """Both totals, for the problem document of a cart that costs something else by now; otherwise nothing."""
    if not isinstance(error, TotalChanged):
        return {}
    return {"sent_cents": error.sent_cents, "total_cents": error.total_cents}
