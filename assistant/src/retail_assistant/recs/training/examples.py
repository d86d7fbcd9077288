"""Lists as requests would have seen them at times in the log, with what the shoppers chose afterwards.

All data of the features (candidates, popularity, words) is from before a cut, and every label from after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from zlib import crc32

import numpy as np

from retail_assistant.recs import als
from retail_assistant.recs.context import COLUMNS, NO_CONTEXT, Context, nearby, read_context, with_added
from retail_assistant.recs.features import ItemTable, Past, Rows, recent
from retail_assistant.recs.log import DAY, Flags, Floats, Ints, Log, Message
from retail_assistant.recs.trends import HALF_LIFE_DAYS, VIEW_SHARE

NOBODY = Past(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.bool_))
"""A shopper without a past."""
_NO_ONE = -1
LARGEST_GROUPS = 6_000
MOST_OCCASIONS = 4_000
HELD_OUT = 10
SOON_S = 3_600.0
"""What is looked at or bought within this time after a message, or on a page, counts as the answer to it."""
_STRANGERS = 4
"""Each so many-th occasion with a page is also learned as that of a shopper without a past, and each with words."""
_ASKED_WEIGHT = 3
"""How often an occasion with words counts: they are rare, and shoppers expect to get what they name."""
_ASKED_AGO_S = 600.0
"""For how long a message still says what its shopper looks for."""


@dataclass(frozen=True)
class Examples:
    """Lists as they would have been shown: features, whether chosen afterwards, and each list's length."""

    rows: Rows
    labels: Flags
    sizes: Ints
    features_until: float
    labels_from: float


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


class Lists:
    """The lists of shoppers as of a cut: the candidates of the known ones, and what sells for the others."""

    def __init__(self, before: Log, table: ItemTable, shoppers: Ints) -> None:
        """Make the candidates of some shoppers (positions in the log)."""
        self.before, self.table = before, table
        known = shoppers[np.diff(before.bounds())[shoppers] > 0]
        self.of_known = base_lists(als.train(before), before, known)
        self._popular = popular(before)[: als.TOP]

    def rows(self, who: int, past: Past, context: Context) -> tuple[Ints, Rows]:
        """Return the items of a list and their features: the shopper's own and those that the context adds.

        What the shopper has bought or is looking at is left out.
        """
        base = self.of_known.get(who)
        if base is None:
            items, scores = self._popular, np.linspace(1.0, 0.0, len(self._popular))
        else:
            items, scores = self.table.find([c.asin for c in base]), np.array([c.score for c in base])
        barred = past.item[past.bought]
        kept = ~np.isin(items, barred) & (items != (-1 if context.page is None else context.page))
        added = np.setdiff1d(nearby(self.table, context), np.concatenate((items, barred)))
        if context.page is not None:
            added = added[added != context.page]
        return with_added(self.table, (items[kept], scores[kept]), added, past=past, context=context)


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


def make_examples(before: Log, after: Log, table: ItemTable, *, groups: int = LARGEST_GROUPS) -> Examples:
    """Build the lists of shoppers and what they chose ``after``; ``table`` is of the log ``before``.

    A shopper who was known before and bought something has one list as of the cut, without page or words; what they
    bought is labelled. Each occasion (up to :data:`MOST_OCCASIONS`, evenly spread) has one as of its own time; what
    followed soon is labelled. Some occasions have another one, as if the shopper had no past: otherwise the model would
    learn to rely on it. Shoppers of :func:`held_out` are left out.
    """
    buyers = known_buyers(before, after)
    buyers = buyers[~held_out(before, buyers)][:groups]
    occasions = find_occasions(after)
    left_out = set(np.flatnonzero(held_out(before, np.arange(len(before.shoppers)))).tolist())
    occasions = spread([o for o in occasions if o.who not in left_out], MOST_OCCASIONS)
    lists = Lists(before, table, np.union1d(buyers, shoppers_of(occasions)))
    bounds, sold = before.bounds(), after.purchases()
    sold_at = sold.bounds()
    rows: list[Rows] = []
    labels: list[Flags] = []
    for shopper in buyers.tolist():
        items, found = lists.rows(shopper, past_of(before, bounds, shopper), NO_CONTEXT)
        rows.append(found)
        labels.append(np.isin(items, sold.item[sold_at[shopper] : sold_at[shopper + 1]]))
    strange = [o for n, o in enumerate(occasions) if o.words or n % _STRANGERS == 0]
    requests = chain(occasion_lists(lists, after, occasions), stranger_lists(lists, strange))
    for occasion, (items, found) in requests:
        for _ in range(_ASKED_WEIGHT if occasion.words else 1):
            rows.append(found)
            labels.append(np.isin(items, occasion.wanted))
    return Examples(
        np.concatenate(rows) if rows else np.empty((0, len(COLUMNS)), dtype=np.float32),
        np.concatenate(labels) if labels else np.empty(0, dtype=np.bool_),
        np.array([len(group) for group in labels], dtype=np.int64),
        before.end,
        float(after.ts.min()) if len(after.ts) else np.inf,
    )


def occasion_lists(
    lists: Lists, after: Log, occasions: Sequence[Occasion]
) -> Iterable[tuple[Occasion, tuple[Ints, Rows]]]:
    """Yield each occasion with its list as of its time: the past has the shopper's events up to then."""
    then, now = lists.before.bounds(), after.bounds()
    for who, some in groupby(occasions, key=lambda o: o.who):
        old, new = slice(then[who], then[who + 1]), slice(now[who], now[who + 1])
        item = np.concatenate((lists.before.item[old], after.item[new]))
        ts = np.concatenate((lists.before.ts[old], after.ts[new]))
        bought = np.concatenate((lists.before.bought[old], after.bought[new]))
        for one in some:
            known = ts <= one.ts
            page = None if one.page is None else lists.table.asins[one.page]
            past = recent(Past(item[known], ts[known], bought[known]))
            yield one, lists.rows(who, past, read_context(lists.table, page, one.words))


def stranger_lists(lists: Lists, occasions: Iterable[Occasion]) -> Iterable[tuple[Occasion, tuple[Ints, Rows]]]:
    """Yield each occasion with its list as a shopper without a past would have got it."""
    for one in occasions:
        page = None if one.page is None else lists.table.asins[one.page]
        yield one, lists.rows(_NO_ONE, NOBODY, read_context(lists.table, page, one.words))


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


def held_out(log: Log, shoppers: Ints) -> Flags:
    """Return a mask of the shoppers (positions in the log) that are never trained on: one in ten, always the same."""
    return np.array([crc32(log.shoppers[n].encode()) % HELD_OUT == 0 for n in shoppers.tolist()], dtype=np.bool_)


def known_buyers(before: Log, after: Log) -> Ints:
    """Return the shoppers (positions) who were known before and bought something after."""
    known = np.flatnonzero(np.diff(before.bounds()))
    return np.intersect1d(known, after.purchases().who)


def base_lists(model: als.AlsModel, log: Log, shoppers: Ints) -> dict[int, list[als.Candidate]]:
    """Return the candidates of some shoppers (positions in the log), folded in from the log."""
    matrix, sold = als.interactions(log), log.purchases()
    starts, sold_at = matrix.indptr, sold.bounds()
    hidden = ~np.array(log.catalog.listed, dtype=np.bool_)
    found: dict[int, list[als.Candidate]] = {}
    for part in np.array_split(shoppers, max(1, len(shoppers) // 512)):
        spans = [slice(starts[n], starts[n + 1]) for n in part]
        vectors = als.fold_in(model, [(matrix.indices[s], matrix.data[s].astype(np.float64)) for s in spans])
        owned = [sold.item[sold_at[n] : sold_at[n + 1]] for n in part]
        found.update(zip(part.tolist(), als.top_candidates(model, vectors, owned, hidden=hidden), strict=True))
    return found


def past_of(log: Log, bounds: Ints, shopper: int) -> Past:
    """Return one shopper's history as a request would read it at the log's end."""
    span = slice(bounds[shopper], bounds[shopper + 1])
    return recent(Past(log.item[span], log.ts[span], log.bought[span]))


def popular(log: Log) -> Ints:
    """The trending products at the log's end, best first, by the same decayed counts as in the task."""
    ages = np.floor((log.end - log.ts) / DAY)
    weights = np.where(log.bought, 1.0, VIEW_SHARE) * np.exp2(-ages / HALF_LIFE_DAYS)
    counts = np.bincount(log.item, weights=weights, minlength=len(log.catalog.asins))
    return np.argsort(-counts, kind="stable")
