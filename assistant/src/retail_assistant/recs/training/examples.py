"""Lists as requests would have seen them at times in the log, with what the shoppers chose afterwards.

Candidates and popularity are as of a cut, and every label is from after it. At an occasion the shopper's past, the page
and the words are as of its own time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

import numpy as np

from retail_assistant.recs import als
from retail_assistant.recs.context import COLUMNS, NO_CONTEXT, Context, nearby, read_context, with_added
from retail_assistant.recs.features import ItemTable, Past, recent
from retail_assistant.recs.log import Flags, Floats, Ints, Log
from retail_assistant.recs.text_vectors import Rows
from retail_assistant.recs.training.week import Occasion, Week, popular, shoppers_of, spread

NOBODY = Past(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.bool_))
"""A shopper without a past."""
_NO_ONE = NO_ROW = -1
"""A position that no shopper has, and no row of the item table."""
LARGEST_GROUPS = 6_000
MOST_OCCASIONS = 4_000
_STRANGERS = 4
"""Each so many-th occasion with a page is also learned as that of a shopper without a past, and each with words."""
_ASKED_WEIGHT = 3.0
"""What an occasion with words weighs: they are rare, and shoppers expect to get what they name."""


@dataclass(frozen=True)
class Examples:
    """Lists as they would have been shown: features, whether chosen afterwards, and each list's length and weight.

    Candidates and popularity are as of ``features_until``, labels are from ``labels_from`` on (epoch seconds).
    """

    rows: Rows
    labels: Flags
    sizes: Ints
    weights: Floats
    features_until: float
    labels_from: float


class Lists:
    """The lists of shoppers as of a week's cut: the candidates of the known ones, and what sells for the others."""

    def __init__(self, week: Week, shoppers: Ints) -> None:
        """Make the candidates of some shoppers (positions in the log)."""
        self.week, self.table = week, week.table
        known = shoppers[np.diff(week.before.bounds())[shoppers] > 0]
        self.of_known = base_lists(week.factors, week.before, known)
        items, counts = popular(week.before)
        self._popular = items[: als.TOP], counts[: als.TOP]

    def rows(self, who: int, past: Past, context: Context) -> tuple[Ints, Rows]:
        """Return the items of a list and their features: the shopper's own and those that the context adds.

        What the shopper has bought or is looking at is left out.
        """
        base = self.of_known.get(who)
        items, scores = self._popular
        if base is not None:
            items, scores = self.table.find([c.asin for c in base]), np.array([c.score for c in base])
        barred = np.append(past.item[past.bought], NO_ROW if context.page is None else context.page)
        kept = ~np.isin(items, barred)
        added = np.setdiff1d(nearby(self.table, context), np.concatenate((items, barred)))
        return with_added(self.table, (items[kept], scores[kept]), added, past=past, context=context)


def make_examples(week: Week, *, groups: int = LARGEST_GROUPS) -> Examples:
    """Build the lists of a week's shoppers and what they chose after its cut.

    A shopper who was known before and bought something has one list as of the cut, without page or words; what they
    bought is labelled. Each occasion (up to :data:`MOST_OCCASIONS`, evenly spread) has one as of its own time; what
    followed soon is labelled. Some occasions have another one, as if the shopper had no past: otherwise the model would
    learn to rely on it. Shoppers of :attr:`Week.is_held_out` are left out.
    """
    buyers = week.known_buyers[~week.is_held_out[week.known_buyers]][:groups]
    occasions = spread([o for o in week.occasions if not week.is_held_out[o.who]], MOST_OCCASIONS)
    lists = Lists(week, np.union1d(buyers, shoppers_of(occasions)))
    strange = [o for n, o in enumerate(occasions) if o.words or n % _STRANGERS == 0]
    made = [
        *((rows, np.isin(items, wanted), 1.0) for (items, rows), wanted in buyer_lists(lists, buyers)),
        *(
            (rows, np.isin(items, one.wanted), _ASKED_WEIGHT if one.words else 1.0)
            for one, (items, rows) in chain(occasion_lists(lists, occasions), stranger_lists(lists, strange))
        ),
    ]
    rows, labels, weights = zip(*made, strict=True) if made else ((), (), ())
    return Examples(
        np.concatenate((*rows, np.empty((0, len(COLUMNS)), dtype=np.float32))),
        np.concatenate((*labels, np.empty(0, dtype=np.bool_))),
        np.array([len(group) for group in labels], dtype=np.int64),
        np.array(weights, dtype=np.float64),
        week.before.end,
        float(week.after.ts.min()) if len(week.after.ts) else np.inf,
    )


def buyer_lists(lists: Lists, buyers: Ints) -> Iterable[tuple[tuple[Ints, Rows], Ints]]:
    """Yield each buyer's list as of the cut, without page and words, with the items that they bought after it."""
    bounds, sold = lists.week.before.bounds(), lists.week.after.purchases()
    sold_at = sold.bounds()
    for who in buyers.tolist():
        past = past_of(lists.week.before, bounds, who)
        yield lists.rows(who, past, NO_CONTEXT), sold.item[sold_at[who] : sold_at[who + 1]]


def occasion_lists(lists: Lists, occasions: Sequence[Occasion]) -> Iterable[tuple[Occasion, tuple[Ints, Rows]]]:
    """Yield each occasion with its list as of its time.

    The past has the shopper's events up to then, except for the view of the page itself: a shop may record that later
    than it asks.
    """
    before, after = lists.week.before, lists.week.after
    then, now = before.bounds(), after.bounds()
    for who, some in groupby(occasions, key=lambda o: o.who):
        old, new = slice(then[who], then[who + 1]), slice(now[who], now[who + 1])
        item = np.concatenate((before.item[old], after.item[new]))
        ts = np.concatenate((before.ts[old], after.ts[new]))
        bought = np.concatenate((before.bought[old], after.bought[new]))
        for one in some:
            is_page = (ts == one.ts) & (item == (NO_ROW if one.page is None else one.page))
            known = (ts <= one.ts) & ~is_page
            past = recent(Past(item[known], ts[known], bought[known]))
            yield one, lists.rows(who, past, _context(lists.table, one))


def stranger_lists(lists: Lists, occasions: Iterable[Occasion]) -> Iterable[tuple[Occasion, tuple[Ints, Rows]]]:
    """Yield each occasion with its list as a shopper without a past would have got it."""
    for one in occasions:
        yield one, lists.rows(_NO_ONE, NOBODY, _context(lists.table, one))


def _context(table: ItemTable, occasion: Occasion) -> Context:
    page = None if occasion.page is None else table.asins[occasion.page]
    return read_context(table, page, occasion.words)


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
