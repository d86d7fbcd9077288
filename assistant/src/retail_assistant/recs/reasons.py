"""Why a product is recommended: the largest contributions to its score that the catalog and the history bear out.

LightGBM computes the contributions: they are the Shapley values of its trees. The method is that of Lundberg and
others, "Consistent Individualized Feature Attribution for Tree Ensembles", 2018. A reason is told only if a purchase,
the page or the sales bear the contribution out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

import parbake as pb
from retail_assistant.recs.context import COLUMNS, Context, context_rows, read_context
from retail_assistant.recs.features import AUTHOR, GENRE, SERIES, ItemTable, Past, make_rows
from retail_assistant.recs.log import Ints
from retail_assistant.recs.recs_tasks import reranker
from retail_assistant.recs.rerank import RerankerModel
from retail_assistant.recs.shelf import LiveShelf

tasks = pb.Registry()
Kind = Literal["next", "series", "author", "genre", "page_author", "page_genre", "popular"]
LEAST = 0.02
"""The least contribution, in units of the score, that is told."""
POPULAR = 0.9
"""The share of all products that a popular one sells better than."""


class Reason(msgspec.Struct, frozen=True):
    """Why a product is recommended.

    Args:
        kind: What it has in common with something.
        of: The product with which: one that the shopper bought, or the page; empty if none.
    """

    kind: Kind
    of: str = ""


@tasks.live(why="The shopper's events, the page and the words exist only at request time")
async def reasons(
    asins: pb.Live[tuple[str, ...]],
    *,
    shopper: pb.Live[str],
    page: pb.Live[str | None] = None,
    words: pb.Live[str] = "",
    shop: pb.Resource[LiveShelf] = pb.GIVEN,
    model: RerankerModel = pb.Model(reranker),
) -> dict[str, Reason]:
    """The reason for each of some products that has one."""
    return explain(model, asins, shop.events(shopper), read_context(model.table, page, words))


def explain(
    model: RerankerModel, asins: Sequence[str], events: Sequence[tuple[str, float, int]], context: Context
) -> dict[str, Reason]:
    """Find the reason for each of some products, as far as the history or the page bears one out.

    Args:
        model: The reranker, which says what counted.
        asins: The products, best first.
        events: The shopper's newest events: asin, epoch seconds, and 1 for a purchase.
        context: The page and the words of the request.
    """
    table = model.table
    known = [event for event in events if event[0] in table.positions]
    items = table.find(asins)
    past = Past(
        table.find([asin for asin, _, _ in known]),
        np.array([ts for _, ts, _ in known], dtype=np.float64),
        np.array([bought for _, _, bought in known], dtype=np.bool_),
    )
    said = _Bearing(table, past, context.page)
    found: dict[str, Reason] = {}
    for asin, item, parts in zip(asins, items.tolist(), _contributions(model, items, past, context), strict=True):
        told = (said.of(COLUMNS[n], item) for n in np.argsort(-parts) if parts[n] >= LEAST)
        if item < len(table.asins) and (reason := next(filter(None, told), None)):
            found[asin] = reason
    return found


def _contributions(model: RerankerModel, items: Ints, past: Past, context: Context) -> Any:
    """What each feature adds to the score of each product, (items, len(COLUMNS)); the linear scorer's without trees."""
    rows = np.hstack(
        (
            make_rows(model.table, items, np.zeros(len(items)), past),
            context_rows(model.table, items, context),
        )
    )
    if model.trees is None:
        return rows * model.linear
    return np.asarray(model.trees.predict(rows, pred_contrib=True, num_threads=1))[:, :-1]


@dataclass(frozen=True)
class _Bearing:
    """What bears a reason out: the products that the shopper bought, newest first, and the page."""

    table: ItemTable
    past: Past
    page: int | None

    def of(self, feature: str, item: int) -> Reason | None:
        """The reason that a feature stands for, if something bears it out."""
        check = _CHECKS.get(feature)
        return check(self, item) if check else None

    def series(self, item: int) -> Reason | None:
        """A series that the shopper has begun."""
        found = self._bought_with(SERIES, item)
        if found is None:
            return None
        volumes = self.table.columns[1]
        return Reason("next" if volumes[item] == volumes[found] + 1 else "series", self.table.asins[found])

    def author(self, item: int) -> Reason | None:
        """An author of whom the shopper bought something."""
        found = self._bought_with(AUTHOR, item)
        return None if found is None else Reason("author", self.table.asins[found])

    def genre(self, item: int) -> Reason | None:
        """A genre of which the shopper bought something."""
        found = self._bought_with(GENRE, item)
        return None if found is None else Reason("genre", self.table.asins[found])

    def on_page(self, item: int) -> Reason | None:
        """What the product shares with the page that the shopper is on."""
        if self.page is None or self.page == item:
            return None
        columns, asin = self.table.columns, self.table.asins[self.page]
        if columns[AUTHOR, item] == columns[AUTHOR, self.page]:
            return Reason("page_author", asin)
        return Reason("page_genre", asin) if columns[GENRE, item] == columns[GENRE, self.page] else None

    def popular(self, item: int) -> Reason | None:
        """That the product is among those that sell best."""
        sold = self.table.numbers[:-1, 0]
        return Reason("popular") if sold[item] > 0 and (sold < sold[item]).mean() >= POPULAR else None

    def _bought_with(self, column: int, item: int) -> int | None:
        """The newest purchase that has a code of a product, and is not the product itself."""
        codes = self.table.columns[column]
        fits = self.past.bought & (codes[self.past.item] == codes[item]) & (self.past.item != item)
        if not fits.any():
            return None
        newest = np.argmax(np.where(fits, self.past.ts, -np.inf))
        return int(self.past.item[newest])


_CHECKS: dict[str, Callable[[_Bearing, int], Reason | None]] = {
    **dict.fromkeys(
        ("series_bought", "series_bought_lately", "series_viewed_lately", "volumes_ahead", "is_next_volume"),
        _Bearing.series,
    ),
    "author_share": _Bearing.author,
    "genre_share": _Bearing.genre,
    **dict.fromkeys(("on_page", "page_series", "page_author", "page_genre", "page_near"), _Bearing.on_page),
    **dict.fromkeys(("popularity", "momentum", "score", "rank"), _Bearing.popular),
}
"""What bears out each feature that a customer can be told of."""
