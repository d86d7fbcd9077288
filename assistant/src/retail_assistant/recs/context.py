"""What a request has besides the shopper's past: its page and its words, as features and as candidates.

Like the features of the past, the same function builds the rows of the training set and those of a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retail_assistant.recs.asked_words import NO_WISHES, Wishes, read_wishes
from retail_assistant.recs.features import (
    AUTHOR,
    FARTHEST,
    FEATURES,
    FORMAT,
    GENRE,
    SERIES,
    VOLUME,
    Codes,
    ItemTable,
    Past,
    make_rows,
)
from retail_assistant.recs.log import Floats, Ints
from retail_assistant.recs.text_vectors import Rows
from retail_assistant.shop.opening import opening

PAGE = ("on_page", "page_series", "page_author", "page_genre", "page_format", "page_ahead", "page_near")
ASKED = ("asked", "asked_near", "asked_genre", "asked_format", "asked_price")
CONTEXT = (*PAGE, *ASKED)
COLUMNS = (*FEATURES, *CONTEXT)
"""What a scorer sees of each product: the shopper's past, then the request."""
NEARBY = 25
"""How many products the page and the words each add to a list."""
CHOSEN = 100
"""How many of the products among which a caller lets choose are ordered by the model."""
_NEXT, _LAST = 3, 100
"""How many volumes after a page come first, and by how much its series' other volumes come last."""
_POPULAR = np.float32(0.05)
"""What popularity counts among products that are equally near."""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """The ``page``'s row in the item table (``None``: no page), the vector of the ``words``, and the wishes in them."""

    page: int | None = None
    words: Rows | None = None
    wishes: Wishes = NO_WISHES

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing that the item table knows."""
        return self.page is None and self.words is None and self.wishes == NO_WISHES


NO_CONTEXT = Context()


def read_context(table: ItemTable, page: str | None, words: str) -> Context:
    """Read a request: its page by asin (an unknown product counts as no page), and the opening of its words."""
    words = opening(words)
    row = table.positions.get(page) if page else None
    if not words.strip():
        return Context(row)
    return Context(row, table.space.of(words), read_wishes(words, table.vocabulary))


def context_rows(table: ItemTable, items: Ints, context: Context) -> Rows:
    """Return the features (items, len(CONTEXT)) of a list; zeros where the request says nothing."""
    rows = np.zeros((len(items), len(CONTEXT)), dtype=np.float32)
    codes = table.columns[:, items]
    if context.page is not None:
        page = table.columns[:, context.page]
        same = codes == page[:, None]
        rows[:, 0] = 1
        rows[:, 1:5] = same[[SERIES, AUTHOR, GENRE, FORMAT]].T
        rows[:, 5] = np.clip(codes[VOLUME] - page[VOLUME], -FARTHEST, FARTHEST) * same[SERIES]
        rows[:, 6] = table.space.items[items] @ table.space.items[context.page]
    if context.words is not None:
        rows[:, 7] = 1
        rows[:, 8] = table.space.items[items] @ context.words
    wishes = context.wishes
    if wishes.genres:
        rows[:, 9] = _fit(codes[GENRE], table.genres, wishes.genres)
    if wishes.formats:
        rows[:, 10] = _fit(codes[FORMAT], table.formats, wishes.formats)
    if wishes.most_cents is not None:
        rows[:, 11] = table.numbers[items, 4] - np.log1p(wishes.most_cents)
    return rows


def with_added(
    table: ItemTable, base: tuple[Ints, Floats], added: Ints, *, past: Past, context: Context
) -> tuple[Ints, Rows]:
    """Return the items of a list (with their scores) and then ``added`` ones, and the features of all.

    The features are (items, len(COLUMNS)).
    """
    items, scores = base
    every = np.concatenate((items, added))
    lowest = scores.min() if len(scores) else 0.0
    padded = np.concatenate((scores, np.full(len(added), lowest)))
    rows = make_rows(table, every, padded, past, listed=len(items))
    return every, np.hstack((rows, context_rows(table, every, context)))


def nearby(table: ItemTable, context: Context, *, within: Ints | None = None) -> Ints:
    """Return the rows of products that a request suggests, whether or not the shopper's list has them.

    Args:
        table: The products.
        context: The page and the words. Each suggests up to :data:`NEARBY`.
        within: The only rows that may be returned. Then :data:`CHOSEN` of them are, the popular ones if the request
            suggests none.
    """
    rows = slice(len(table.asins)) if within is None else within
    most = NEARBY if within is None else CHOSEN
    popular = table.numbers[rows, 0] * _POPULAR
    found: list[Ints] = []
    if context.page is not None:
        found.append(_best(popular + _near_page(table, rows, context.page), most))
    if context.words is not None or context.wishes.genres:
        found.append(_best(popular + _near_words(table, rows, context), most))
    if within is not None and not found:
        found.append(_best(popular, most))
    best = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
    return best if within is None else within[best]


def _near_page(table: ItemTable, rows: slice | Ints, page: int) -> Rows:
    """How near products are to a page: the next volumes first, then the author's other books, then what is alike.

    The page itself and the other volumes of its series come last: the page of a series shows them anyway.
    """
    of_page = table.columns[:, page]
    near = table.space.items[rows] @ table.space.items[page] + (table.columns[AUTHOR, rows] == of_page[AUTHOR])
    ahead = table.columns[VOLUME, rows] - of_page[VOLUME]
    in_series = table.columns[SERIES, rows] == of_page[SERIES]
    is_next = in_series & (ahead > 0) & (ahead <= _NEXT)
    near[is_next] += 1 + _NEXT - ahead[is_next]
    near[in_series & ~is_next] -= _LAST
    return np.asarray(near, dtype=np.float32)


def _near_words(table: ItemTable, rows: slice | Ints, context: Context) -> Rows:
    """How near products are to the words: what they say, and a genre that is named."""
    near = np.zeros_like(table.numbers[rows, 0])
    if context.words is not None:
        near += table.space.items[rows] @ context.words
    if context.wishes.genres:
        near += _fit(table.columns[GENRE, rows], table.genres, context.wishes.genres)
    return near


def _best(scores: Rows, most: int) -> Ints:
    if len(scores) <= most:
        return np.arange(len(scores))
    return np.asarray(np.argpartition(-scores, most)[:most], dtype=np.int64)


def _fit(codes: Codes, names: Sequence[str], wanted: frozenset[str]) -> Rows:
    """1 for a code whose name is wanted, -1 for another."""
    fits = np.isin(codes, [n for n, name in enumerate(names) if name in wanted])
    return np.where(fits, np.float32(1), np.float32(-1))
