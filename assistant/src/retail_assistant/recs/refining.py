"""Refines a base list: keeps products that can be bought and were asked for, and orders them for this request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retail_assistant.recs.als import Candidate
from retail_assistant.recs.asked_words import NO_WISHES, Wishes
from retail_assistant.recs.context import NO_CONTEXT, Context, nearby
from retail_assistant.recs.features import RECENT_PURCHASES, ItemTable, Past
from retail_assistant.recs.log import Ints
from retail_assistant.recs.rerank import NOTHING_ADDED, RerankerModel, rerank
from retail_assistant.recs.shelf import Event, LiveShelf

SHORT_S = 0.020
SPARE = 3
"""How many products more than wanted are looked up at once, because a few are sold out."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The state at request time: the shopper with their events, their page, what they asked for, and a choice.

    ``among`` are the products that may be shown, if the caller has chosen them: they are known to fit the wishes.
    """

    shopper: str
    events: Sequence[Event]
    page: str | None = None
    context: Context = NO_CONTEXT
    among: Sequence[str] = ()

    @property
    def wishes(self) -> Wishes:
        """The wishes that remain to be kept."""
        return NO_WISHES if self.among else self.context.wishes

    def choose(
        self, shop: LiveShelf, model: RerankerModel, base: Sequence[Candidate], *, top: int, is_short: bool
    ) -> list[Candidate]:
        """Return the best ``top`` of a list, and of what the context adds to it, that may be shown now."""
        return self.first(shop, self.order(shop, model, self.unbarred(shop, base), is_short=is_short), top)

    def unbarred(self, shop: LiveShelf, base: Sequence[Candidate]) -> list[Candidate]:
        """Return the products that the shopper neither owns nor is looking at."""
        barred = self._barred(shop, [c.asin for c in base])
        return [c for c in base if c.asin not in barred]

    def first(self, shop: LiveShelf, ranked: Sequence[Candidate], top: int) -> list[Candidate]:
        """Return the first ``top`` that are listed, in stock, and within the wishes, with as few look-ups as needed."""
        if self.among:
            chosen = set(self.among)
            ranked = [c for c in ranked if c.asin in chosen]
        found: list[Candidate] = []
        for start in range(0, len(ranked), top + SPARE):
            part = ranked[start : start + top + SPARE]
            allowed = self._allowed(shop, [c.asin for c in part])
            found += [c for c in part if c.asin in allowed]
            if len(found) >= top:
                break
        return found[:top]

    def rest(self, shop: LiveShelf, top: int) -> list[Candidate]:
        """Return the first ``top`` of the choice in its own order: the model does not know or rank all of it."""
        return self.first(shop, self.unbarred(shop, [Candidate(asin, 0.0) for asin in self.among]), top)

    def order(
        self, shop: LiveShelf, model: RerankerModel, base: Sequence[Candidate], *, is_short: bool
    ) -> Sequence[Candidate]:
        """Order by the reranker; without any history, page or words keep the list's own order."""
        added = self._added(shop, model.table, base)
        if not self.events and self.context.is_empty and not len(added):
            return base
        asins, ts, bought = zip(*self.events, strict=True) if self.events else ((), (), ())
        past = Past(model.table.find(asins), np.array(ts, dtype=np.float64), np.array(bought, dtype=np.bool_))
        return rerank(
            model, base, past, top=len(base) + len(added), is_short=is_short, context=self.context, added=added
        )

    def _added(self, shop: LiveShelf, table: ItemTable, base: Sequence[Candidate]) -> Ints:
        """The rows of further products that the page and the words suggest, or of the choice."""
        within = None
        if self.among:
            within = table.find(self.among)
            within = within[within < len(table.asins)]
        elif self.context.is_empty:
            return NOTHING_ADDED
        near = np.setdiff1d(nearby(table, self.context, within=within), table.find([c.asin for c in base]))
        asins = [table.asins[n] for n in near.tolist()]
        barred = self._barred(shop, asins)
        return near[[asin not in barred for asin in asins]]

    def _barred(self, shop: LiveShelf, asins: Sequence[str]) -> set[str]:
        """The products that are not shown: the page, and what the shopper owns, at least among ``asins``."""
        owned = {asin for asin, _, bought in self.events if bought}
        if sum(bought for _, _, bought in self.events) >= RECENT_PURCHASES:  # there may be older ones
            owned = shop.owned(self.shopper, asins)
        return {*owned, self.page or ""}

    def _allowed(self, shop: LiveShelf, asins: Sequence[str]) -> set[str]:
        if self.wishes == NO_WISHES:
            return shop.available(asins)
        offers = shop.offers(asins)
        return {asin for asin, genre, format_, cents in offers if self.wishes.allow(genre, format_, cents)}


def merge(first: Sequence[Candidate], then: Sequence[Candidate]) -> list[Candidate]:
    """Return the first list, followed by the candidates that only the second contains."""
    shown = {c.asin for c in first}
    return [*first, *(c for c in then if c.asin not in shown)]
