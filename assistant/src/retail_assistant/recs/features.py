"""The reranker's features: one row of numbers per candidate, from its list, the catalog and the shopper's history.

The same function builds the rows of the training set and those of a request. Times are relative to the shopper's own
newest event or to when the model was trained, never to the clock, so that training and serving agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from retail_assistant.recs.asked_words import Vocabulary, make_vocabulary
from retail_assistant.recs.log import DAY, Flags, Floats, Ints, Log
from retail_assistant.recs.text_vectors import Rows, TextSpace, learn

FEATURES = (
    "score", "rank", "popularity", "momentum", "days_listed", "volume",
    "series_bought", "series_bought_lately", "series_viewed_lately", "item_viewed_lately", "item_views",
    "volumes_ahead", "is_next_volume", "is_new_start", "edition_bought",
    "genre_share", "format_share", "author_share", "history",
)  # fmt: skip
RECENT_VIEWS = 60
RECENT_PURCHASES = 500
"""The most events of a shopper's past that a request reads."""
_LATELY_DAYS = 10.0
_POPULARITY_DAYS = 28.0
_MOMENTUM_DAYS = 5.0
FARTHEST = 5
"""How many volumes ahead or behind count; more count the same."""
_VIEW_WEIGHT = np.float32(0.2)
_NOTHING = np.int32(-1)
SERIES, VOLUME, GENRE, FORMAT, AUTHOR, ITEM = range(6)
"""The rows of :attr:`ItemTable.columns`."""

Codes = NDArray[np.int32]


class ItemTable(msgspec.Struct, frozen=True, dict=True):
    """The catalog as numbers, as of ``until`` (epoch seconds); the last row stands for products unknown at that time.

    ``codes`` are int32 bytes of (items + 1, 6): series, volume, genre, format, author, and the item itself; a genre's
    and a format's code is its position in ``genres`` and ``formats``. ``stats`` are float32 bytes of (items + 1, 5):
    log popularity, momentum, log days since listing, log volume, log price in cents.
    """

    asins: list[str]
    genres: list[str]
    formats: list[str]
    until: float
    codes: bytes
    stats: bytes
    space: TextSpace

    @cached_property
    def columns(self) -> Codes:
        """The codes as (6, items + 1), decoded once."""
        return np.ascontiguousarray(np.frombuffer(self.codes, dtype=np.int32).reshape(-1, 6).T)

    @cached_property
    def numbers(self) -> Rows:
        """The stats as (items + 1, 5), decoded once."""
        return np.frombuffer(self.stats, dtype=np.float32).reshape(-1, 5)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The genres and formats that a shopper can name."""
        return make_vocabulary(self.genres, self.formats)

    @cached_property
    def positions(self) -> dict[str, int]:
        """The row of each asin."""
        return {asin: n for n, asin in enumerate(self.asins)}

    def find(self, asins: Sequence[str]) -> Ints:
        """Return the row of each asin; the last row for unknown ones."""
        at, unknown = self.positions, len(self.asins)
        return np.array([at.get(asin, unknown) for asin in asins], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Past:
    """A shopper's events in any order: rows of the item table, epoch seconds, and which of them were purchases."""

    item: Ints
    ts: Floats
    bought: Flags


def make_table(log: Log, *, space: TextSpace | None = None) -> ItemTable:
    """Make the item table from the catalog and the log's statistics of each product.

    ``space`` is that of the same catalog, if it has been learned already.
    """
    catalog, until = log.catalog, log.end
    codes = np.full((len(catalog.asins) + 1, 6), _NOTHING, dtype=np.int32)
    series = [name or asin for name, asin in zip(catalog.series, catalog.asins, strict=True)]
    codes[:-1, VOLUME] = np.maximum(np.array(catalog.volumes, dtype=np.int32), 0)
    codes[:, ITEM] = np.arange(len(codes))
    named = ((SERIES, series), (GENRE, catalog.genres), (FORMAT, catalog.formats), (AUTHOR, catalog.authors))
    for n, names in named:
        codes[:-1, n] = _numbered(names)
    stats = np.zeros((len(codes), 5), dtype=np.float32)
    slow, fast = (_decayed(log, days) for days in (_POPULARITY_DAYS, _MOMENTUM_DAYS))
    stats[:-1, 0] = np.log1p(slow)
    stats[:-1, 1] = np.log1p(fast * _POPULARITY_DAYS / _MOMENTUM_DAYS) - stats[:-1, 0]
    stats[:-1, 2] = np.log1p(np.maximum(until - np.array(catalog.created_at), 0.0) / DAY)
    stats[:-1, 3] = np.log1p(codes[:-1, VOLUME])
    stats[:-1, 4] = np.log1p(np.array(catalog.cents))
    genres, formats = sorted(set(catalog.genres)), sorted(set(catalog.formats))
    space = space or learn(catalog.texts)
    return ItemTable(list(catalog.asins), genres, formats, until, codes.tobytes(), stats.tobytes(), space)


def _numbered(names: Sequence[str]) -> Ints:
    return np.unique(np.array(names, dtype=np.str_), return_inverse=True)[1]


def _decayed(log: Log, half_life_days: float) -> Floats:
    sold = log.purchases()
    weights = np.exp2((sold.ts - log.end) / (DAY * half_life_days))
    return np.bincount(sold.item, weights=weights, minlength=len(log.catalog.asins)).astype(np.float64)


def recent(past: Past) -> Past:
    """Return the newest purchases and views, as many as a request reads."""
    keep = _newest(past, ~past.bought, RECENT_VIEWS) | _newest(past, past.bought, RECENT_PURCHASES)
    return past if keep.all() else Past(past.item[keep], past.ts[keep], past.bought[keep])


def _newest(past: Past, which: Flags, most: int) -> Flags:
    """A mask of the newest among some events."""
    rows = np.flatnonzero(which)
    if len(rows) <= most:
        return which
    kept = np.zeros(len(which), dtype=np.bool_)
    kept[rows[np.argsort(past.ts[rows], kind="stable")[-most:]]] = True
    return kept


def make_rows(table: ItemTable, items: Ints, scores: Floats, past: Past, *, listed: int | None = None) -> Rows:
    """Return the features (candidates, len(FEATURES)) of a list in its order; ``past`` is what :func:`recent` keeps.

    The first ``listed`` candidates are the list's own. The others were added to it, and share the rank after its last.
    """
    rows = np.empty((len(items), len(FEATURES)), dtype=np.float32)
    centred = scores - scores.sum() / max(1, len(scores))
    spread = np.sqrt(centred @ centred / max(1, len(scores)))
    rows[:, 0] = centred / spread if spread > 0 else 0.0
    own = len(items) if listed is None else listed
    rows[:, 1] = np.log1p(np.minimum(np.arange(len(items), dtype=np.float32), own))
    rows[:, 2:6] = table.numbers[items, :4]
    _compare(rows, table, items, past)
    return rows


def _compare(rows: Rows, table: ItemTable, items: Ints, past: Past) -> None:
    """Fill in how each candidate relates to each event of the past; one comparison and one product for all codes."""
    known = past.item < len(table.asins)
    weights = _weights(past.ts[known], past.bought[known].astype(np.float32))
    mine, theirs = table.columns[:, items], table.columns[:, past.item[known]]
    same = (mine[:, :, None] == theirs[:, None, :]).astype(np.float32)
    sums = same @ weights
    total = weights[:, 4].sum()
    rows[:, 6:9] = sums[SERIES, :, :3]
    rows[:, 9:11] = sums[ITEM, :, 2:4]
    owned = same[SERIES] * weights[:, 0]
    reached = (owned * (theirs[VOLUME] + 1)).max(axis=1, initial=0.0)
    started, volume = rows[:, 6] > 0, mine[VOLUME]
    ahead = volume + 1 - reached
    rows[:, 11] = np.where(started, np.minimum(np.maximum(ahead, -FARTHEST), FARTHEST), 0)
    rows[:, 12] = started & (ahead == 1)
    rows[:, 13] = ~started & (volume <= 1)
    rows[:, 14] = (owned * same[VOLUME]).max(axis=1, initial=0.0)
    rows[:, 15:18] = sums[GENRE:ITEM, :, 4].T / (total + 1)
    rows[:, 18] = np.log1p(total)


def _weights(ts: Floats, bought: Rows) -> Rows:
    """The weights of each event (events, 5): bought, bought lately, viewed lately, viewed, and either."""
    weights = np.empty((len(ts), 5), dtype=np.float32)
    lately = np.exp2((ts - ts.max(initial=0.0)) / (DAY * _LATELY_DAYS))
    weights[:, 0] = bought
    weights[:, 3] = viewed = 1 - bought
    weights[:, 1] = bought * lately
    weights[:, 2] = viewed * lately
    weights[:, 4] = bought + _VIEW_WEIGHT * viewed
    return weights
