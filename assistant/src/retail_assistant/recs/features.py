"""What the reranker looks at: one row of numbers per candidate, from its list, the catalog and the shopper's history.

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

from retail_assistant.recs.log import DAY, Flags, Floats, Ints, Log
from retail_assistant.recs.words import Vocabulary, make_vocabulary

FEATURES = (
    "score", "rank", "popularity", "momentum", "days_listed", "volume",
    "series_bought", "series_bought_lately", "series_viewed_lately", "item_viewed_lately", "item_views",
    "volumes_ahead", "is_next_volume", "is_new_start", "edition_bought",
    "genre_share", "format_share", "author_share", "history",
)  # fmt: skip
RECENT_VIEWS = 60
_LATELY_DAYS = 10.0
_POPULARITY_DAYS = 28.0
_MOMENTUM_DAYS = 5.0
_FARTHEST = 5
_VIEW_WEIGHT = np.float32(0.2)
_NOTHING = np.int32(-1)

Codes = NDArray[np.int32]
Rows = NDArray[np.float32]


class ItemTable(msgspec.Struct, frozen=True, dict=True):
    """The catalog as numbers, as of ``until`` (epoch seconds); the last row stands for products not known then.

    ``codes`` are int32 bytes of (items + 1, 5): series, volume, genre, format, author. ``stats`` are float32 bytes of
    (items + 1, 3): log popularity, momentum, log days since listing.
    """

    asins: list[str]
    genres: list[str]
    formats: list[str]
    until: float
    codes: bytes
    stats: bytes

    @cached_property
    def columns(self) -> Codes:
        """The codes as (5, items + 1), decoded once."""
        return np.ascontiguousarray(np.frombuffer(self.codes, dtype=np.int32).reshape(-1, 5).T)

    @cached_property
    def numbers(self) -> Rows:
        """The stats as (items + 1, 3), decoded once."""
        return np.frombuffer(self.stats, dtype=np.float32).reshape(-1, 3)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The genres and formats that a shopper can name."""
        return make_vocabulary(self.genres, self.formats)

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where each asin stands."""
        return {asin: n for n, asin in enumerate(self.asins)}

    def find(self, asins: Sequence[str]) -> Ints:
        """Return the row of each asin, the last one for those not known."""
        at, unknown = self.positions, len(self.asins)
        return np.array([at.get(asin, unknown) for asin in asins], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Past:
    """A shopper's events in any order: rows of the item table, epoch seconds, and which of them were purchases."""

    item: Ints
    ts: Floats
    bought: Flags


def make_table(log: Log) -> ItemTable:
    """Lay the catalog out, with what the log says about each product."""
    catalog, until = log.catalog, log.end
    codes = np.full((len(catalog.asins) + 1, 5), _NOTHING, dtype=np.int32)
    series = [name or asin for name, asin in zip(catalog.series, catalog.asins, strict=True)]
    columns = (_numbered(series), catalog.volumes, *map(_numbered, (catalog.genres, catalog.formats, catalog.authors)))
    for n, column in enumerate(columns):
        codes[:-1, n] = column
    stats = np.zeros((len(codes), 3), dtype=np.float32)
    slow, fast = (_decayed(log, days) for days in (_POPULARITY_DAYS, _MOMENTUM_DAYS))
    stats[:-1, 0] = np.log1p(slow)
    stats[:-1, 1] = np.log1p(fast * _POPULARITY_DAYS / _MOMENTUM_DAYS) - stats[:-1, 0]
    stats[:-1, 2] = np.log1p(np.maximum(until - np.array(catalog.created_at), 0.0) / DAY)
    genres, formats = sorted(set(catalog.genres)), sorted(set(catalog.formats))
    return ItemTable(list(catalog.asins), genres, formats, until, codes.tobytes(), stats.tobytes())


def _numbered(names: Sequence[str]) -> Ints:
    return np.unique(np.array(names, dtype=np.str_), return_inverse=True)[1]


def _decayed(log: Log, half_life_days: float) -> Floats:
    sold = log.purchases()
    weights = np.exp2((sold.ts - log.end) / (DAY * half_life_days))
    return np.bincount(sold.item, weights=weights, minlength=len(log.catalog.asins))


def recent(past: Past) -> Past:
    """Return all purchases and the newest views, which is what a request reads."""
    views = np.flatnonzero(~past.bought)
    if len(views) <= RECENT_VIEWS:
        return past
    newest = views[np.argsort(past.ts[views], kind="stable")[-RECENT_VIEWS:]]
    keep = past.bought.copy()
    keep[newest] = True
    return Past(past.item[keep], past.ts[keep], past.bought[keep])


def make_rows(table: ItemTable, items: Ints, scores: Floats, past: Past) -> Rows:
    """Return the features (candidates, len(FEATURES)) of a list in its order; ``past`` is what :func:`recent` keeps."""
    rows = np.empty((len(items), len(FEATURES)), dtype=np.float32)
    spread = scores.std()
    rows[:, 0] = (scores - scores.mean()) / (spread if spread > 0 else 1.0)
    rows[:, 1] = np.log1p(np.arange(len(items)))
    rows[:, 2:5] = table.numbers[items]
    rows[:, 5] = np.log1p(np.maximum(table.columns[1, items], 0))
    _compare(rows, table, items, past)
    return rows


def _compare(rows: Rows, table: ItemTable, items: Ints, past: Past) -> None:
    """Fill in how each candidate relates to each event of the past."""
    known = past.item < len(table.asins)
    bought = past.bought[known].astype(np.float32)
    viewed = 1 - bought
    ts = past.ts[known]
    lately = np.exp2((ts - ts.max(initial=0.0)) / (DAY * _LATELY_DAYS)).astype(np.float32)
    series, volume, genre, format_, author = table.columns[:, items, None]
    theirs = table.columns[:, past.item[known]]
    in_series = series == theirs[0]
    weights = np.stack((bought, bought * lately, viewed * lately), axis=1)
    rows[:, 6:9] = in_series.astype(np.float32) @ weights
    same_item = (items[:, None] == past.item[known]).astype(np.float32)
    rows[:, 9:11] = same_item @ np.stack((viewed * lately, viewed), axis=1)
    is_bought = bought > 0
    owned = in_series & is_bought
    reached = np.where(owned, theirs[1], _NOTHING).max(axis=1, initial=-1)
    started = rows[:, 6] > 0
    ahead = volume[:, 0] - reached
    rows[:, 11] = np.where(started, np.clip(ahead, -_FARTHEST, _FARTHEST), 0)
    rows[:, 12] = started & (ahead == 1)
    rows[:, 13] = ~started & (volume[:, 0] <= 1)
    rows[:, 14] = (owned & (volume == theirs[1])).any(axis=1)
    weight = bought + _VIEW_WEIGHT * viewed
    total = weight.sum() + np.float32(1.0)
    for n, (mine, other) in enumerate(((genre, theirs[2]), (format_, theirs[3]), (author, theirs[4]))):
        rows[:, 15 + n] = ((mine == other).astype(np.float32) @ weight) / total
    rows[:, 18] = np.log1p(weight.sum())
