"""``/shop/suggestions`` and ``/shop/trending``: what may please a shopper, on the first page and beside a product."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

import parbake as pb
from parbake.http import HttpRequest, JsonResponse, Route, json_response
from retail_assistant.answers.why import why
from retail_assistant.http.identity import Identity
from retail_assistant.http.items import Items
from retail_assistant.http.replies import Suggestions
from retail_assistant.live import LiveShop, fill_slots
from retail_assistant.recs.als import Candidate
from retail_assistant.recs.recs_tasks import MOST_SHOWN, recommendations, trending
from retail_assistant.recs.trends import ALL
from retail_assistant.shop import queries
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.finding import Offer, one_a_line
from retail_assistant.shop.voices import ANONYMOUS

COUNT = 5
Found = pb.Served[list[Candidate]]


class Looking(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of the suggestions: the shopper who looks."""

    user: str = ANONYMOUS


class SuggestionRoutes:
    """Suggests products."""

    def __init__(self, app: pb.App, shop: LiveShop, connections: PerThread, identity: Identity) -> None:
        """Recommend with ``app`` to shoppers whom ``identity`` knows; read prices and stock from ``shop``."""
        self._app, self._shop, self._connections, self._identity = app, shop, connections, identity
        self._items = Items(app, shop)

    def routes(self) -> list[Route]:
        """The routes, for everybody."""
        return [
            Route("GET", "/shop/suggestions", self.suggest),
            Route("GET", "/shop/trending", self.trend),
            Route("GET", "/shop/products/{asin}/suggestions", self.suggest_beside),
        ]

    async def suggest(self, request: HttpRequest, *, arguments: Looking) -> JsonResponse[Suggestions]:
        """The recommendations for a shopper, with live price and stock, and how they were made."""
        return await self._recommended(self._identity.asking(request, arguments.user), None)

    async def suggest_beside(self, request: HttpRequest, *, arguments: Looking) -> JsonResponse[Suggestions]:
        """The recommendations for a shopper on a product's page, with live price and stock, and how they were made.

        They are read apart from the page itself, which thus neither waits for them nor fails with them. The page shows
        the volumes of its own series, so each suggestion is of another one.
        """
        asin = request.parameters["asin"]
        return await self._recommended(self._identity.asking(request, arguments.user), asin)

    async def trend(self, request: HttpRequest, *, arguments: Looking) -> JsonResponse[Suggestions]:
        """What sells most in the whole shop, with live price and stock and the shopper's promotions."""
        user, served = self._identity.asking(request, arguments.user), await self._app.serve(trending, ALL)
        return await self._reply(served, await self._shown(served), user, {})

    async def _recommended(self, user: str, asin: str | None) -> JsonResponse[Suggestions]:
        page = self._shop.product(asin) if asin else None
        if asin and page is None:
            raise queries.no_product(asin)
        served = await self._app.serve(recommendations, user, shopper=user, page=asin, count=MOST_SHOWN)
        shown = await self._shown(served, beside=page.line if page else "")
        return await self._reply(served, shown, user, await why(self._app, self._shop, shown, shopper=user, page=asin))

    async def _shown(self, served: Found, *, beside: str = "") -> list[Offer]:
        """The first of some products, each of another line, and of another one than the page's."""
        offers = await self._connections.read(lambda _: self._shop.offers(one.asin for one in served.value or ()))
        return one_a_line(o for o in offers if o.product.line != beside)[:COUNT]

    async def _reply(
        self, served: Found, shown: Sequence[Offer], user: str, reasons: dict[str, str]
    ) -> JsonResponse[Suggestions]:
        segment = await self._connections.read(lambda _: self._shop.shoppers.segment(user))
        return json_response(
            Suggestions(
                why={one: fill_slots(words, self._shop) for one, words in reasons.items()},
                products=await self._items.of(shown, segment),
                lane=served.over or served.lane,
                verdict=served.verdict,
                age_s=served.age_s,
                reason=served.reason,
            )
        )
