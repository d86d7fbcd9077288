"""The last days of a log, to learn from and to judge by: what was known before, and what shoppers did then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

import numpy as np

from retail_assistant.recs import als
from retail_assistant.recs.als import AlsModel
from retail_assistant.recs.features import ItemTable, make_table
from retail_assistant.recs.log import DAY, Flags, Floats, Ints, Log, Message
from retail_assistant.recs.trends import HALF_LIFE_DAYS, VIEW_SHARE, WINDOW_DAYS

LABEL_DAYS = 7
HELD_OUT = 10
SOON_S = 3_600.0
"""What is looked at or bought within this time after a message, or on a page, counts as the answer to it."""
_ASKED_AGO_S = 600.0
"""For how long a message still says what its shopper looks for."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """A time at which a shopper was on a page or had asked for something, and what they chose soon after.

    ``page`` and ``wanted`` are rows of the item table. ``page`` is ``None`` and ``words`` are empty if there are none.
    """

    who: int
    ts: float
    page: int | None
    words: str
    wanted: tuple[int, ...]


class Week:
    """A log cut ``days`` before its end: what training and judging share is computed once.

    Popularity and candidates are as of the cut. Prices and the texts of products are those of the log's catalog.
    """

    def __init__(self, log: Log, *, days: float = LABEL_DAYS) -> None:
        """Cut the log; nothing is computed before it is asked for."""
        cut = log.end - days * DAY
        self.log = log
        self.before, self.after = log.between(0.0, cut), log.between(cut, np.inf)

    @cached_property
    def table(self) -> ItemTable:
        """The item table as of the cut."""
        return make_table(self.before)

    @cached_property
    def factors(self) -> AlsModel:
        """The item factors as of the cut."""
        return als.train(self.before)

    @cached_property
    def occasions(self) -> list[Occasion]:
        """The occasions after the cut."""
        return find_occasions(self.after)

    @cached_property
    def is_held_out(self) -> Flags:
        """A mask of the shoppers that are never trained on: one in ten, always the same."""
        names = self.log.shoppers
        return np.array([crc32(name.encode()) % HELD_OUT == 0 for name in names], dtype=np.bool_)

    @cached_property
    def known_buyers(self) -> Ints:
        """The shoppers (positions in the log) who were known before the cut and bought something after it."""
        known = np.flatnonzero(np.diff(self.before.bounds()))
        return np.intersect1d(known, self.after.purchases().who)


def find_occasions(after: Log) -> list[Occasion]:
    """Return the occasions of a log in the order of its events: views that something followed, and messages."""
    found: list[Occasion] = []
    said: dict[int, list[Message]] = {}
    for message in after.messages:
        said.setdefault(message.who, []).append(message)
    bounds = after.bounds()
    for who in np.flatnonzero(np.diff(bounds)).tolist():
        span = slice(bounds[who], bounds[who + 1])
        found += _of_shopper(who, after.item[span], after.ts[span], after.bought[span], said.get(who, []))
    return found


def _of_shopper(who: int, item: Ints, ts: Floats, bought: Flags, said: Sequence[Message]) -> Iterable[Occasion]:
    for n in np.flatnonzero(~bought).tolist():
        page = int(item[n])
        words = " ".join(m.text for m in said if ts[n] - _ASKED_AGO_S <= m.ts <= ts[n])
        if wanted := _soon(item, ts, ts[n], but=page):
            yield Occasion(who, float(ts[n]), page, words, wanted)
    for message in said:
        if wanted := _soon(item, ts, message.ts):
            yield Occasion(who, message.ts, None, message.text, wanted)


def _soon(item: Ints, ts: Floats, start: float, *, but: int = -1) -> tuple[int, ...]:
    """The items that follow soon after a time, without one."""
    first, last = np.searchsorted(ts, (start, start + SOON_S), side="right")
    return tuple(n for n in dict.fromkeys(item[first:last].tolist()) if n != but)


def shoppers_of(occasions: Iterable[Occasion]) -> Ints:
    """Return the shoppers of some occasions (positions in the log), each once."""
    return np.unique(np.array([o.who for o in occasions], dtype=np.int64))


def spread(occasions: Sequence[Occasion], most: int) -> list[Occasion]:
    """Return up to ``most`` occasions, evenly spread; those with words are rare, so they come first."""
    asked = _thinned([o for o in occasions if o.words], most)
    others = _thinned([o for o in occasions if not o.words], most - len(asked))
    return sorted([*asked, *others], key=lambda o: o.who)


def _thinned(occasions: list[Occasion], most: int) -> list[Occasion]:
    return occasions[:: -(-len(occasions) // most)] if 0 < most < len(occasions) else occasions[:most]


def popular(log: Log) -> tuple[Ints, Floats]:
    """Return the trending products at the log's end, best first, and their decayed counts, as the task has them."""
    ages = np.floor((log.end - log.ts) / DAY)
    weights = np.where(log.bought, 1.0, VIEW_SHARE) * np.exp2(-ages / HALF_LIFE_DAYS) * (ages < WINDOW_DAYS)
    counts = np.bincount(log.item, weights=weights, minlength=len(log.catalog.asins)).astype(np.float64)
    counts[~np.array(log.catalog.listed, dtype=np.bool_)] = 0.0
    order: Ints = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    return order, counts[order]
