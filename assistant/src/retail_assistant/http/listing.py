"""``/shop/products`` and ``/shop/genres``: the products on sale, to browse and to search.

Results of a search have every word of it. Where no product has, the words are spelled anew, and at last the products
that come nearest are shown.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import msgspec

import parbake as pb
from parbake.http import HttpRequest, JsonResponse, Route, json_response
from retail_assistant.answers.nearest import Nearest, best
from retail_assistant.chat.understanding import Understanding
from retail_assistant.http.identity import Identity
from retail_assistant.http.items import Items
from retail_assistant.http.replies import ItemPage, Shelf, Shelves
from retail_assistant.live import LiveShop
from retail_assistant.recs.recs_tasks import trending
from retail_assistant.recs.trends import ALL
from retail_assistant.shop import finding, index, queries
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.finding import Conditions, Offer
from retail_assistant.shop.voices import ANONYMOUS

Conn = sqlite3.Connection
PAGE_SIZE, MOST_ON_A_PAGE = 24, 60
MOST_FOUND = 500
Sort = Literal["featured", "title", "price", "price_desc", "newest"]
_ORDERS_OF: dict[Sort, Callable[[Offer], Any]] = {
    "title": lambda o: (o.product.line, o.product.volume, o.product.format),
    "price": lambda o: (o.cents, o.product.title, o.asin),
    "price_desc": lambda o: (-o.cents, o.product.title, o.asin),
    "newest": lambda o: (-o.product.created_at, o.asin),
}


class Hits(msgspec.Struct, frozen=True):
    """What a search found.

    Args:
        asins: The products, best first; ``None`` if nothing was searched for.
        text: The text that was searched for.
        is_closest: Whether they only come nearest to it, because no product has every word.
    """

    asins: list[str] | None = None
    text: str = ""
    is_closest: bool = False


class Browse(msgspec.Struct, forbid_unknown_fields=True):
    """The query string of the product list. Empty members ask nothing; prices are in cents, ends included.

    ``genre``, ``format`` and ``asin`` may be repeated. ``user`` is the shopper whose promotions are shown. Without
    ``sort``, the results of a search come best first; all others are ``featured``: what sells most comes first.
    """

    search: Annotated[str, msgspec.Meta(max_length=200)] = ""
    genre: list[str] = []
    format: list[str] = []
    asin: list[str] = []
    min_cents: Annotated[int, msgspec.Meta(ge=0)] | None = None
    max_cents: Annotated[int, msgspec.Meta(ge=0)] | None = None
    in_stock: bool = False
    sort: Sort | None = None
    page: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    size: Annotated[int, msgspec.Meta(ge=1, le=MOST_ON_A_PAGE)] = PAGE_SIZE
    user: str = ANONYMOUS


class ListingRoutes:
    """Handlers over one shop file, for everybody."""

    def __init__(
        self, app: pb.App, shop: LiveShop, connections: PerThread, identity: Identity, understanding: Understanding
    ) -> None:
        """List a shop's products.

        Args:
            app: What is computed ahead.
            shop: What is live.
            connections: Read the shop file.
            identity: Says whose promotions may be seen.
            understanding: Knows how the shop's words are spelled.
        """
        self._app, self._connections, self._identity = app, connections, identity
        self._understanding, self._items, self._nearest = understanding, Items(app, shop), Nearest(app, shop)

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("GET", "/shop/products", self.list_products),
            Route("GET", "/shop/genres", self.list_genres),
        ]

    async def list_products(self, request: HttpRequest, *, arguments: Browse) -> JsonResponse[ItemPage]:
        """The products on sale that keep every condition, a page at a time, with live price, stock and promotion."""
        user = self._identity.asking(request, arguments.user)
        hits = await self._hits(arguments.search) if arguments.search.strip() else Hits()
        places = await self._places(arguments, hits)
        found, segment = await self._connections.read(
            lambda conn: (_found(conn, arguments, hits, places), queries.get_segment(conn, user))
        )
        first = (arguments.page - 1) * arguments.size
        return json_response(
            ItemPage(
                products=await self._items.of(found[first : first + arguments.size], segment),
                total=len(found),
                page=arguments.page,
                pages=max(1, -(-len(found) // arguments.size)),
                searched=hits.text,
                is_closest=hits.is_closest,
            )
        )

    async def _hits(self, search: str) -> Hits:
        """The products that have every word of a text, as it is or spelled anew; or else those that come nearest."""
        spelled = (await self._understanding.vocabulary()).correct(search)
        for text in dict.fromkeys((search, spelled)):
            asins = await self._connections.read(partial(index.starting, text=text, limit=MOST_FOUND))
            if asins:
                return Hits(asins, text)
        near = best((await self._nearest.search(spelled)).near)
        return Hits([one.asin for one in near], spelled, is_closest=True)

    async def _places(self, wanted: Browse, hits: Hits) -> Mapping[str, int]:
        """The place of each product that has one: in a search its own, and otherwise among what sells most."""
        if hits.asins is not None:
            return {asin: n for n, asin in enumerate(hits.asins)}
        if wanted.sort in _ORDERS_OF:
            return {}
        places: dict[str, int] = {}
        for genre in wanted.genre or [ALL]:
            with contextlib.suppress(pb.NotMaterialized):
                places |= {one.asin: n for n, one in enumerate((await self._app.serve(trending, genre)).value or ())}
        return places

    async def list_genres(self, _: HttpRequest) -> JsonResponse[Shelves]:
        """The genres and formats on sale with their numbers of products, and the range of prices."""
        return json_response(await self._connections.read(_shelves))


def _found(conn: Conn, wanted: Browse, hits: Hits, places: Mapping[str, int]) -> Sequence[Offer]:
    """The products that keep the conditions, in the order that is wanted; what has a place comes first."""
    asins = hits.asins if hits.asins is not None else wanted.asin or None
    if asins is not None and wanted.asin:
        asins = [asin for asin in asins if asin in wanted.asin]
    conditions = Conditions(
        genres=wanted.genre,
        formats=wanted.format,
        least_cents=wanted.min_cents,
        most_cents=wanted.max_cents,
        asins=asins,
        in_stock=wanted.in_stock,
    )

    def featured(offer: Offer) -> Any:
        place = places.get(offer.asin, len(places))
        return (not offer.quantity and hits.asins is None, place, *_ORDERS_OF["title"](offer))

    return sorted(finding.find(conn, conditions), key=_ORDERS_OF.get(wanted.sort or "featured", featured))


def _shelves(conn: Conn) -> Shelves:
    def counted(column: str) -> list[Shelf]:
        rows = conn.execute(
            f"SELECT {column}, count(*) FROM products WHERE listed = 1 AND {column} <> '' GROUP BY 1 ORDER BY 1"  # noqa: S608  # a column of ours
        )
        return [Shelf(name, number) for name, number in rows]

    least, most = conn.execute(
        "SELECT min(cents), max(cents) FROM prices JOIN products USING (asin) WHERE listed = 1"
    ).fetchone()
    return Shelves(counted("genre"), counted("format"), least or 0, most or 0)
