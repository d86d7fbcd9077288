"""Refines a base list: keeps products that can be bought and were asked for, and orders them for this request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retail_assistant.recs.als import Candidate
from retail_assistant.recs.features import RECENT_PURCHASES, Past
from retail_assistant.recs.rerank import RerankerModel, rerank
from retail_assistant.recs.shelf import Event, LiveShelf
from retail_assistant.recs.words import NO_WISHES, Wishes

SHORT_S = 0.020
SPARE = 3
"""How many products more than wanted are looked up at once, because a few are sold out."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The state at request time: the shopper with their events, their page, and the wishes that they stated."""

    shopper: str
    events: Sequence[Event]
    page: str | None
    wishes: Wishes

    def choose(
        self, shop: LiveShelf, model: RerankerModel, base: Sequence[Candidate], *, top: int, is_short: bool
    ) -> list[Candidate]:
        """Return the best ``top`` of a list that may be shown now, in the reranker's order."""
        return self.first(shop, self.order(model, self.unbarred(shop, base), is_short=is_short), top)

    def unbarred(self, shop: LiveShelf, base: Sequence[Candidate]) -> list[Candidate]:
        """Return the products that the shopper neither owns nor is looking at."""
        barred = {asin for asin, _, bought in self.events if bought}
        if sum(bought for _, _, bought in self.events) >= RECENT_PURCHASES:  # there may be older ones
            barred = shop.owned(self.shopper, [c.asin for c in base])
        return [c for c in base if c.asin != self.page and c.asin not in barred]

    def first(self, shop: LiveShelf, ranked: Sequence[Candidate], top: int) -> list[Candidate]:
        """Return the first ``top`` that are listed, in stock, and within the wishes, with as few look-ups as needed."""
        found: list[Candidate] = []
        for start in range(0, len(ranked), top + SPARE):
            part = ranked[start : start + top + SPARE]
            allowed = self._allowed(shop, [c.asin for c in part])
            found += [c for c in part if c.asin in allowed]
            if len(found) >= top:
                break
        return found[:top]

    def order(self, model: RerankerModel, base: Sequence[Candidate], *, is_short: bool) -> Sequence[Candidate]:
        """Order by the reranker; without any history keep the list's own order."""
        if not self.events:
            return base
        asins, ts, bought = zip(*self.events, strict=True)
        past = Past(model.table.find(asins), np.array(ts), np.array(bought, dtype=np.bool_))
        return rerank(model, base, past, top=len(base), is_short=is_short)

    def _allowed(self, shop: LiveShelf, asins: Sequence[str]) -> set[str]:
        if self.wishes == NO_WISHES:
            return shop.available(asins)
        offers = shop.offers(asins)
        return {asin for asin, genre, format_, cents in offers if self.wishes.allow(genre, format_, cents)}


def merge(first: Sequence[Candidate], then: Sequence[Candidate]) -> list[Candidate]:
    """Return the first list, followed by the candidates that only the second contains."""
    shown = {c.asin for c in first}
    return [*first, *(c for c in then if c.asin not in shown)]
