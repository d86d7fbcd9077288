"""Corrects a price or a stock that a question states wrongly."""

from __future__ import annotations

from collections.abc import Sequence

import parbake as pb
from retail_assistant.answers.draft import Asked, Draft
from retail_assistant.answers.phrases import form, joined, price, stock, title
from retail_assistant.answers.subjects import Subjects, volumes
from retail_assistant.shop.finding import Offer
from retail_assistant.understand.premises import Premise

NO = "No, "
ROUNDED = 1
"""By how many cents a stated price may differ: 9 euros for 8.99."""


class Correcting:
    """Puts the right price or stock before an answer to a question that states a wrong one."""

    def __init__(self, app: pb.App, subjects: Subjects) -> None:
        """Keep what is asked."""
        self._app, self._subjects = app, subjects

    def corrected(self, asked: Asked, draft: Draft) -> Draft:
        """The answer, after a correction if there is something to correct."""
        premise = asked.ask.premise
        named = [s for s in asked.ask.subjects if s.source == "message"]
        if premise is None or len(named) != 1 or draft.stream is not None:
            return draft
        offers = self._subjects.offers(named[0])
        if not offers or self._is_right(asked, premise, offers):
            return draft
        said = _is_price(offers) if premise.cents is not None else _is_stock(offers)
        if not said:
            return draft
        draft.text = f"{NO}{draft.text}" if _says(draft.text, premise, offers) else f"{NO}{said} {draft.text}"
        draft.asins = draft.asins or (offers[0].asin,)
        return draft

    def _is_right(self, asked: Asked, premise: Premise, offers: Sequence[Offer]) -> bool:
        """Whether the premise holds for one of the editions."""
        if premise.cents is None:
            return any(bool(offer.quantity) == premise.in_stock for offer in offers)
        charged = self._subjects.charges(asked.shopper, offers, self._app.settings.clock.now())
        known = {cents for o in offers for cents in (o.cents, charged[o.asin].cents)}
        return any(abs(premise.cents - cents) <= ROUNDED for cents in known)


def _is_price(offers: Sequence[Offer]) -> str:
    """The price of a product, of each of its editions, or of the volumes of a series."""
    if len(volumes(offers)) > 1:
        cheapest, dearest = min(offers, key=lambda o: o.cents), max(offers, key=lambda o: o.cents)
        to = f" to {price(dearest)}" if dearest.cents > cheapest.cents else ""
        return f"a volume of {offers[0].product.line} costs {price(cheapest)}{to}."
    if len(offers) == 1:
        return f"{title(offers[0])} costs {price(offers[0])}."
    each = [f"{price(o)} ({form(o.product.format)})" for o in offers]
    return f"{title(offers[0])} costs {joined(each, 'or')}."


def _is_stock(offers: Sequence[Offer]) -> str:
    """The stock of a product or a series, all of whose editions are in it or none."""
    name = title(offers[0]) if len(volumes(offers)) == 1 else offers[0].product.line
    return f"{name} is {stock(offers[0])}."


def _says(text: str, premise: Premise, offers: Sequence[Offer]) -> bool:
    """Whether an answer begins with what the correction would say."""
    first = text.partition(". ")[0]
    states = price(offers[0]) if premise.cents is not None else stock(offers[0])
    return len(offers) == 1 and first.startswith(title(offers[0])) and states in first
