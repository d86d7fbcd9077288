"""The view that recommendation tasks read ahead of time.

Price and stock are live. Training alone reads prices, to learn how they relate to what shoppers ask for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import msgspec

import parbake as pb
from retail_assistant.recs.log import Catalog, Log, make_log

RECENT = 500
"""How many products of a shopper make up a vector, newest events first; older ones say little about today."""
_PAGE = 200_000
_EVENTS = "SELECT id, shopper, asin, ts FROM {table} WHERE id > :after ORDER BY id LIMIT :page"
_MESSAGES = "SELECT id, shopper, ts, text FROM queries WHERE id > :after ORDER BY id LIMIT :page"
_CATALOG = """
SELECT p.asin, series, volume, author, genre, format, created_at, listed, IFNULL(cents, 0),
    title || ' ' || author || ' ' || genre || ' ' || description
FROM products p LEFT JOIN prices r ON r.asin = p.asin ORDER BY p.asin
"""
_TASTES = """
SELECT shopper, asin, purchases, views, newness <= :most FROM (
    SELECT shopper, asin, SUM(bought) AS purchases, SUM(1 - bought) AS views,
        ROW_NUMBER() OVER (PARTITION BY shopper ORDER BY MAX(ts) DESC, asin) AS newness
    FROM (
        SELECT shopper, asin, ts, 1 AS bought FROM purchases WHERE shopper IN (SELECT value FROM json_each(:shoppers))
        UNION ALL
        SELECT shopper, asin, ts, 0 FROM views WHERE shopper IN (SELECT value FROM json_each(:shoppers))
    ) GROUP BY shopper, asin
) WHERE newness <= :most OR purchases > 0 ORDER BY shopper, asin
"""
_GONE = """
SELECT value FROM json_each(:asins) WHERE NOT EXISTS (SELECT 1 FROM products WHERE asin = value AND listed = 1)
"""
_DAILY = """
SELECT e.asin, CAST((:now - e.ts) / 86400 AS INTEGER) AS age, COUNT(*)
FROM {table} e JOIN products p ON p.asin = e.asin
WHERE e.ts > :since AND p.listed = 1 AND (:genre = 'all' OR p.genre = :genre)
GROUP BY e.asin, age
"""


class Taste(msgspec.Struct, frozen=True):
    """How often a shopper bought and looked at one product; ``is_recent`` for the newest :data:`RECENT` ones."""

    asin: str
    purchases: int
    views: int
    is_recent: bool = True


class Daily(msgspec.Struct, frozen=True):
    """How often a product was bought (or looked at) on the day that is ``age`` days before the newest event."""

    asin: str
    age: int
    count: int


class History(pb.View):
    """Purchases, views and the catalog that they refer to."""

    families = ("user", "product")

    def shoppers(self) -> list[str]:
        """Every shopper's id, sorted."""
        self.whole_set("user")
        return [row[0] for row in self.rows("SELECT id FROM shoppers ORDER BY id")]

    def stream_shoppers(self) -> Iterator[str]:
        """Every shopper's id, sorted, read in pages."""
        self.whole_set("user")
        after = ""
        while rows := self.rows(
            "SELECT id FROM shoppers WHERE id > :after ORDER BY id LIMIT :page", after=after, page=_PAGE
        ):
            yield from (shopper for (shopper,) in rows)
            after = rows[-1][0]

    def genres(self) -> list[str]:
        """The genres that occur, sorted."""
        self.whole_set("product")
        return [row[0] for row in self.rows("SELECT DISTINCT genre FROM products ORDER BY genre")]

    def delisted(self) -> list[str]:
        """The products that are not sold any more."""
        self.whole_set("product")
        return [row[0] for row in self.rows("SELECT asin FROM products WHERE listed = 0")]

    def gone(self, asins: Iterable[str]) -> list[str]:
        """The products among ``asins`` that are not sold any more, or are unknown."""
        self.whole_set("product")
        return [row[0] for row in self.rows(_GONE, asins=json.dumps(list(asins)))]

    def tastes(self, shoppers: Sequence[str]) -> dict[str, list[Taste]]:
        """The products that each shopper bought or looked at, ordered by asin; shoppers who did neither are left out.

        One query for all. It returns all bought products, but only recent ones of those that were only looked at. The
        contract's own template (``user/{user}``) binds each result to its shopper.
        """
        found: dict[str, list[Taste]] = {}
        for shopper, asin, purchases, views, is_recent in self.rows(
            _TASTES, shoppers=json.dumps(list(shoppers)), most=RECENT
        ):
            found.setdefault(shopper, []).append(Taste(asin, purchases, views, bool(is_recent)))
        return found

    def log(self) -> Log:
        """The whole log with its catalog and messages, read in pages."""
        events = [*self._events("purchases", 1), *self._events("views", 0)]
        return make_log(self._catalog(), self.shoppers(), events, self._messages())

    def purchases_by_day(self, genre: str, *, days: int) -> list[Daily]:
        """Daily purchases of the listed products of a genre (``all``: any), up to ``days`` before the newest event."""
        return self._by_day("purchases", genre, days)

    def views_by_day(self, genre: str, *, days: int) -> list[Daily]:
        """Daily views, as :meth:`purchases_by_day`."""
        return self._by_day("views", genre, days)

    def _by_day(self, table: str, genre: str, days: int) -> list[Daily]:
        self.whole_set("user")
        self.whole_set("product")
        ((now,),) = self.rows(
            "SELECT MAX(IFNULL((SELECT MAX(ts) FROM purchases), 0), IFNULL((SELECT MAX(ts) FROM views), 0))"
        )
        rows = self.rows(_DAILY.format(table=table), now=now, since=now - days * 86_400, genre=genre)
        return [Daily(*row) for row in rows]

    def _events(self, table: str, bought: int) -> Iterator[tuple[str, str, float, int]]:
        after = -1
        while rows := self.rows(_EVENTS.format(table=table), after=after, page=_PAGE):
            yield from ((shopper, asin, ts, bought) for _, shopper, asin, ts in rows)
            after = rows[-1][0]

    def _messages(self) -> Iterator[tuple[str, float, str]]:
        after = -1
        while rows := self.rows(_MESSAGES, after=after, page=_PAGE):
            yield from ((shopper, ts, text) for _, shopper, ts, text in rows)
            after = rows[-1][0]

    def _catalog(self) -> Catalog:
        self.whole_set("product")
        rows = self.rows(_CATALOG)
        columns = list(zip(*rows, strict=True)) or [()] * 10
        asins, series, volumes, authors, genres, formats, created_at, listed, cents, texts = columns
        return Catalog(
            asins, series, volumes, authors, genres, formats, created_at, tuple(map(bool, listed)), cents, texts
        )
