"""The interaction log as arrays: who looked at or bought what, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DAY = 86_400.0
PURCHASE_CONFIDENCE = 30.0
VIEW_CONFIDENCE = 4.0
MOST_VIEWS = 3


@dataclass(frozen=True)
class Catalog:
    """The products in the order of their asins. ``created_at`` in epoch seconds; the lists run parallel."""

    asins: tuple[str, ...]
    series: tuple[str, ...]
    volumes: tuple[int, ...]
    authors: tuple[str, ...]
    genres: tuple[str, ...]
    formats: tuple[str, ...]
    created_at: tuple[float, ...]
    listed: tuple[bool, ...]


@dataclass(frozen=True)
class Log:
    """Events ordered by (shopper, time): positions of shopper and item, epoch seconds, purchase or view."""

    catalog: Catalog
    shoppers: tuple[str, ...]
    who: Ints
    item: Ints
    ts: Floats
    bought: Flags

    @property
    def end(self) -> float:
        """The time of the newest event (epoch seconds), 0 for an empty log."""
        return float(self.ts.max()) if len(self.ts) else 0.0

    def between(self, start: float, end: float) -> Log:
        """Return the events from ``start`` until before ``end``; catalog and shoppers stay."""
        return self._take((self.ts >= start) & (self.ts < end))

    def purchases(self) -> Log:
        """Return the purchases only."""
        return self._take(self.bought)

    def bounds(self) -> Ints:
        """Where each shopper's events begin; one more entry than shoppers."""
        return np.searchsorted(self.who, np.arange(len(self.shoppers) + 1))

    def _take(self, keep: Flags) -> Log:
        return Log(self.catalog, self.shoppers, self.who[keep], self.item[keep], self.ts[keep], self.bought[keep])


def make_log(catalog: Catalog, shoppers: Sequence[str], rows: Iterable[tuple[str, str, float, int]]) -> Log:
    """Build a log from rows of (shopper, asin, epoch seconds, 1 for a purchase or 0 for a view), in any order.

    Ties in time are ordered by item, so that the same rows give the same log.
    """
    item_at = {asin: n for n, asin in enumerate(catalog.asins)}
    shopper_at = {shopper: n for n, shopper in enumerate(shoppers)}
    packed = np.array(
        [(shopper_at[who], item_at[asin], ts, bought) for who, asin, ts, bought in rows], dtype=np.float64
    ).reshape(-1, 4)
    order = np.lexsort((packed[:, 3], packed[:, 1], packed[:, 2], packed[:, 0]))
    packed = packed[order]
    who, item = packed[:, 0].astype(np.int64), packed[:, 1].astype(np.int64)
    return Log(catalog, tuple(shoppers), who, item, packed[:, 2].copy(), packed[:, 3] > 0)


def confidence(purchases: Any, views: Any) -> Any:
    """The confidence that a shopper likes an item (numbers or arrays): 1 without events; a purchase raises it much."""
    return 1.0 + PURCHASE_CONFIDENCE * (purchases > 0) + VIEW_CONFIDENCE * np.minimum(views, MOST_VIEWS)
