"""``/shop/notices``: shoppers are told of answers that told them what is not true any more."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence

import msgspec

import parbake as pb
from parbake.http import HttpRequest, JsonResponse, Route, json_response
from retail_assistant.http.identity import Identity
from retail_assistant.live import LiveShop
from retail_assistant.shop import notices, queries
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.errors import NotFound
from retail_assistant.shop.notices import Notice
from retail_assistant.shop.voices import is_named


class RecalledBody(msgspec.Struct):
    """What ``parbake recall --webhook`` posts for an answer, as far as it is used."""

    answer_id: str
    tag: str
    at: float
    recipient: str = ""


class Noted(msgspec.Struct):
    """Whether a shopper will be told; not if nobody is known to have got the answer, or if it was noted before."""

    is_new: bool


class ShownNotice(msgspec.Struct):
    """A notice as a shopper reads it: the tag, what it is about, and what holds now, as far as the shop states it."""

    tag: str
    told_at: float
    about: str
    now: str


class NoticeList(msgspec.Struct):
    """What a shopper has not been told of yet."""

    notices: Sequence[ShownNotice]


class NoticeRoutes:
    """Handlers over one shop file."""

    def __init__(self, app: pb.App, shop: LiveShop, connections: PerThread, identity: Identity) -> None:
        """Note with ``connections``, say what ``shop`` states now, to the shoppers whom ``identity`` knows."""
        self._clock, self._shop, self._connections, self._identity = app.settings.clock, shop, connections, identity

    def routes(self) -> list[Route]:
        """The routes: only operators may note, and shoppers read their own."""
        return [
            Route("POST", "/shop/notices", self.note, "operate"),
            Route("GET", "/shop/notices/{user}", self.list),
            Route("DELETE", "/shop/notices/{user}/{family}", self.see),
            Route("DELETE", "/shop/notices/{user}/{family}/{key}", self.see),
        ]

    async def note(self, _: HttpRequest, *, body: RecalledBody) -> JsonResponse[Noted]:
        """Note an answer that was recalled, so that the shopper who got it is told; the same one is noted once."""
        if not is_named(body.recipient):
            return json_response(Noted(is_new=False))
        now, notice = self._clock.now(), Notice(body.answer_id, body.tag, body.at)
        made = await self._connections.write(lambda c: notices.note(c, body.recipient, notice, now=now))
        return json_response(Noted(is_new=made))

    async def list(self, request: HttpRequest) -> JsonResponse[NoticeList]:
        """What the shopper was told, is not true any more, and has not been said yet."""
        shopper = self._identity.shopper(request, request.parameters["user"])
        shown = await self._connections.read(lambda c: [self._shown(c, one) for one in notices.unseen(c, shopper)])
        return json_response(NoticeList(shown))

    async def see(self, request: HttpRequest) -> JsonResponse[Noted]:
        """The shopper has read what was said about a tag, or about a family that was recalled as a whole."""
        shopper = self._identity.acting(request, request.parameters["user"])
        tag = "/".join(request.parameters[name] for name in ("family", "key") if name in request.parameters)
        now = self._clock.now()
        return json_response(Noted(await self._connections.write(lambda c: notices.see(c, shopper, tag, now=now))))

    def _shown(self, conn: sqlite3.Connection, notice: Notice) -> ShownNotice:
        family, _, key = notice.tag.partition("/")
        if family == "policy":
            with contextlib.suppress(NotFound):
                policy = queries.get_policy(conn, key)
                return ShownNotice(notice.tag, notice.told_at, policy.title, policy.text)
        product = self._shop.product(key) if family in ("product", "price", "review") else None
        return ShownNotice(notice.tag, notice.told_at, product.title if product else "", "")
