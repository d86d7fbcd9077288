"""The interaction log: who looked at or bought what and when, as arrays; and what they asked for in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

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
    """The products in the order of their asins; the lists run parallel.

    ``created_at`` is in epoch seconds, ``cents`` is the price now, and ``texts`` say what each product is about.
    """

    asins: tuple[str, ...]
    series: tuple[str, ...]
    volumes: tuple[int, ...]
    authors: tuple[str, ...]
    genres: tuple[str, ...]
    formats: tuple[str, ...]
    created_at: tuple[float, ...]
    listed: tuple[bool, ...]
    cents: tuple[int, ...]
    texts: tuple[str, ...]


class Message(NamedTuple):
    """What a shopper (a position in the log) asked for, and when (epoch seconds)."""

    who: int
    ts: float
    text: str


@dataclass(frozen=True)
class Log:
    """Events ordered by (shopper, time): positions of shopper and item, epoch seconds, purchase or view.

    ``messages`` are ordered by shopper and time.
    """

    catalog: Catalog
    shoppers: tuple[str, ...]
    who: Ints
    item: Ints
    ts: Floats
    bought: Flags
    messages: tuple[Message, ...] = ()

    @property
    def end(self) -> float:
        """The time of the newest event (epoch seconds), 0 for an empty log."""
        return float(self.ts.max()) if len(self.ts) else 0.0

    def between(self, start: float, end: float) -> Log:
        """Return the events and messages from ``start`` until before ``end``; catalog and shoppers stay."""
        within = self._take((self.ts >= start) & (self.ts < end))
        return replace(within, messages=tuple(m for m in self.messages if start <= m.ts < end))

    def purchases(self) -> Log:
        """Return the purchases only."""
        return self._take(self.bought)

    def bounds(self) -> Ints:
        """Where each shopper's events begin; one more entry than shoppers."""
        return np.searchsorted(self.who, np.arange(len(self.shoppers) + 1))

    def _take(self, keep: Flags) -> Log:
        return replace(self, who=self.who[keep], item=self.item[keep], ts=self.ts[keep], bought=self.bought[keep])


def make_log(
    catalog: Catalog,
    shoppers: Sequence[str],
    rows: Iterable[tuple[str, str, float, int]],
    messages: Iterable[tuple[str, float, str]] = (),
) -> Log:
    """Build a log from rows of (shopper, asin, epoch seconds, 1 for a purchase or 0 for a view), in any order.

    ``messages`` are rows of (shopper, epoch seconds, text); those of unknown shoppers are left out. Ties in time are
    ordered by item, so that the same rows give the same log.
    """
    item_at = {asin: n for n, asin in enumerate(catalog.asins)}
    shopper_at = {shopper: n for n, shopper in enumerate(shoppers)}
    packed = np.array(
        [(shopper_at[who], item_at[asin], ts, bought) for who, asin, ts, bought in rows], dtype=np.float64
    ).reshape(-1, 4)
    order = np.lexsort((packed[:, 3], packed[:, 1], packed[:, 2], packed[:, 0]))
    packed = packed[order]
    who, item = packed[:, 0].astype(np.int64), packed[:, 1].astype(np.int64)
    said = tuple(sorted(Message(shopper_at[name], ts, text) for name, ts, text in messages if name in shopper_at))
    return Log(catalog, tuple(shoppers), who, item, packed[:, 2].copy(), packed[:, 3] > 0, said)


def confidence(purchases: Any, views: Any) -> Any:
    """The confidence that a shopper likes an item (numbers or arrays): 1 without events; a purchase raises it much."""
    return 1.0 + PURCHASE_CONFIDENCE * (purchases > 0) + VIEW_CONFIDENCE * np.minimum(views, MOST_VIEWS)
