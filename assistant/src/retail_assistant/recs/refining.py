"""A base list becomes what is shown: kept to what can be bought and was asked for, then ordered for this moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retail_assistant.recs.als import Candidate
from retail_assistant.recs.features import Past
from retail_assistant.recs.rerank import RerankerModel, rerank
from retail_assistant.recs.shelf import Event, LiveShelf
from retail_assistant.recs.words import NO_WISHES, Wishes

SHORT_S = 0.020


@dataclass(frozen=True, slots=True)
class Moment:
    """What holds at request time: the shopper's events, the page they are on, and what they asked for."""

    events: Sequence[Event]
    page: str | None
    wishes: Wishes

    def keep(self, shop: LiveShelf, base: Sequence[Candidate]) -> list[Candidate]:
        """Return what is listed, in stock, not owned, not the page's product, and within the wishes."""
        barred = {asin for asin, _, bought in self.events if bought}
        asins = [c.asin for c in base if c.asin != self.page and c.asin not in barred]
        if self.wishes == NO_WISHES:
            allowed = shop.available(asins)
        else:
            offers = shop.offers(asins)
            allowed = {asin for asin, genre, format_, cents in offers if self.wishes.allow(genre, format_, cents)}
        return [c for c in base if c.asin in allowed]

    def order(self, model: RerankerModel, kept: Sequence[Candidate], *, top: int, is_short: bool) -> list[Candidate]:
        """Order by the reranker; without any history the list's own order is the best there is."""
        if not self.events:
            return list(kept[:top])
        asins, ts, bought = zip(*self.events, strict=True)
        past = Past(model.table.find(asins), np.array(ts), np.array(bought, dtype=np.bool_))
        return rerank(model, kept, past, top=top, is_short=is_short)


def merge(first: Sequence[Candidate], then: Sequence[Candidate]) -> list[Candidate]:
    """Return the first list, followed by what the second adds to it."""
    shown = {c.asin for c in first}
    return [*first, *(c for c in then if c.asin not in shown)]
