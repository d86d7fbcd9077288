"""``/shop/products/{asin}/suggestions``: what may please a shopper who looks at a product."""

from __future__ import annotations

import msgspec

import parbake as pb
from parbake.http import HttpRequest, JsonResponse, Route, json_response
from retail_assistant.answers.why import why
from retail_assistant.http.identity import Identity
from retail_assistant.http.items import Items
from retail_assistant.http.replies import Suggestions
from retail_assistant.live import LiveShop, fill_slots
from retail_assistant.recs.recs_tasks import MOST_SHOWN, recommendations
from retail_assistant.shop import queries
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.finding import one_a_line
from retail_assistant.shop.voices import ANONYMOUS

COUNT = 5


class Looking(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of the suggestions: the shopper who looks at the product."""

    user: str = ANONYMOUS


class SuggestionRoutes:
    """Suggests products beside a product."""

    def __init__(self, app: pb.App, shop: LiveShop, connections: PerThread, identity: Identity) -> None:
        """Recommend with ``app`` to shoppers whom ``identity`` knows; read prices and stock from ``shop``."""
        self._app, self._shop, self._connections, self._identity = app, shop, connections, identity
        self._items = Items(app, shop)

    def routes(self) -> list[Route]:
        """The route, for everybody."""
        return [Route("GET", "/shop/products/{asin}/suggestions", self.suggest)]

    async def suggest(self, request: HttpRequest, *, arguments: Looking) -> JsonResponse[Suggestions]:
        """The recommendations for a shopper on a product's page, with live price and stock, and how they were made.

        They are read apart from the page itself, which thus neither waits for them nor fails with them. The page shows
        the volumes of its own series, so each suggestion is of another one.
        """
        asin, user = request.parameters["asin"], self._identity.asking(request, arguments.user)
        page = self._shop.product(asin)
        if page is None:
            raise queries.no_product(asin)
        served = await self._app.serve(recommendations, user, shopper=user, page=asin, count=MOST_SHOWN)
        chosen = [one.asin for one in served.value or ()]
        offers, segment = await self._connections.read(
            lambda _: (self._shop.offers(chosen), self._shop.shoppers.segment(user))
        )
        shown = one_a_line(o for o in offers if o.product.line != page.line)[:COUNT]
        said = await why(self._app, self._shop, shown, shopper=user, page=asin)
        return json_response(
            Suggestions(
                why={one: fill_slots(words, self._shop) for one, words in said.items()},
                products=await self._items.of(shown, segment),
                lane=served.over or served.lane,
                verdict=served.verdict,
                age_s=served.age_s,
                reason=served.reason,
            )
        )
