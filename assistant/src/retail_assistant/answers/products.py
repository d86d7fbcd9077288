"""The live price and stock of the products that a question names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import parbake as pb
from retail_assistant.answers.draft import Asked, Draft, showing, together
from retail_assistant.answers.nearest import NAMED, Nearest, best, typed
from retail_assistant.answers.phrases import (
    as_forms,
    by,
    count,
    form,
    in_form,
    joined,
    listed,
    numbered,
    price,
    stock,
    title,
    unsold,
)
from retail_assistant.answers.promotions import Promotions
from retail_assistant.answers.subjects import Subjects, volumes
from retail_assistant.answers.sums import Sums
from retail_assistant.live_tasks import price as live_price
from retail_assistant.live_tasks import stock as live_stock
from retail_assistant.shop.finding import Offer
from retail_assistant.understand.ask import Ask, Subject

WHICH = "Which product do you mean? Tell me its title, or open its page."
MOST_NAMED, MOST_SUBJECTS, MOST_VOLUMES = 4, 3, 10
_COPIES = re.compile(r"\bhow many\b|\bcopies\b")


class Products:
    """Answers questions for prices and stock."""

    def __init__(self, app: pb.App, subjects: Subjects, promotions: Promotions, sums: Sums, nearest: Nearest) -> None:
        """Keep what is asked."""
        self._app, self._subjects, self._nearest = app, subjects, nearest
        self._promotions, self._sums = promotions, sums

    async def answer(self, asked: Asked) -> Draft:
        """The live price and stock of what is asked for."""
        if asked.ask.slot("offer") == "total" and (total := self._sums.answer(asked)):
            return total
        if not asked.ask.subjects:
            return await self._unknown(asked.ask)
        if asked.ask.are_volumes:
            return await self._volumes(asked)
        return together([await self._of(asked, subject) for subject in asked.ask.subjects[:MOST_SUBJECTS]])

    async def _unknown(self, ask: Ask) -> Draft:
        """What the words speak of, although they name no product; or ask which is meant, or say that nothing has them.

        Words that no product has together are of nothing that is sold.
        """
        strong = best((await self._nearest.search(typed(ask))).near) if ask.leftover else []
        if strong and strong[0].words >= NAMED:
            offers = self._subjects.by_asin([one.asin for one in strong if one.words >= NAMED])[:MOST_NAMED]
            return drafted([_costs(one, alone=False) for one in offers], offers)
        if ask.leftover and not self._subjects.have_words(ask.leftover):
            return Draft(unsold(ask.leftover))
        return Draft(WHICH)

    async def _volumes(self, asked: Asked) -> Draft:
        """The live price and stock of several volumes, and once the promotion on them."""
        draft = volumes_told(self._subjects, asked.ask.subjects)
        offers = self._subjects.all(asked.ask.subjects)[:MOST_VOLUMES]
        best = await self._promotions.best(asked, offers[0]) if offers and asked.ask.slot("offer") != "stock" else None
        if best:
            reduced = joined([f"{{{{reduced:{o.asin}|{best.percent}}}}}" for o in offers])
            draft.text += f" With {best.title.partition(':')[0]} ({{{{percent:{best.id}}}}} off) you pay {reduced}."
        return draft

    async def _of(self, asked: Asked, subject: Subject) -> Draft:
        offers = self._subjects.offers(subject)
        if not offers:
            return missing(self._subjects, subject)
        for task in (live_price, live_stock):
            await self._app.serve(task, asin=offers[0].asin)
        slot = asked.ask.slot("offer")
        if slot == "back" and (gone := [o for o in self._subjects.in_all_formats(subject) if not o.quantity]):
            return drafted([_not_known_when(o) for o in gone[:MOST_NAMED]], gone[:MOST_NAMED])
        if len(volumes(offers)) > 1:
            return _line(offers, slot)
        if len(offers) > MOST_NAMED:
            return _kinds(offers)
        if slot == "stock" and _COPIES.search(asked.ask.text):
            return drafted([_copies(o) for o in offers], offers)
        said = [_costs(o, alone=len(offers) == 1 and not subject.format) for o in offers]
        wanted = asked.ask.wishes.formats
        if wanted and not any(o.product.format in wanted for o in offers):
            said.append(f"It is not sold as {joined([form(w) for w in sorted(wanted)], 'or')}.")
        if best := await self._promotions.best(asked, offers[0]):
            reduced = joined([_reduced(o, best.percent, alone=len(offers) == 1) for o in offers], "or")
            said.append(f"With {best.title.partition(':')[0]} ({{{{percent:{best.id}}}}} off) you pay {reduced}.")
        return drafted(said, offers)


def _not_known_when(offer: Offer) -> str:
    return f"{in_form(offer)} is {stock(offer)}, and our pages do not state when it will be back."


def _reduced(offer: Offer, percent: int, *, alone: bool) -> str:
    """What a product costs with a promotion, and of several editions which one."""
    which = "" if alone or not offer.product.format else f" for the {form(offer.product.format)}"
    return f"{{{{reduced:{offer.asin}|{percent}}}}}{which}"


def _costs(offer: Offer, *, alone: bool) -> str:
    name = f"{title(offer)}{by(offer)}" if alone else in_form(offer)
    return f"{name} costs {price(offer)} and is {stock(offer)}."


def _line(offers: Sequence[Offer], slot: str) -> Draft:
    """The range of prices and the stock of a series, by format."""
    by_format: dict[str, list[Offer]] = defaultdict(list)
    for offer in offers:
        by_format[offer.product.format].append(offer)
    text = f"{name_of(offers, whole=True)}: {'; '.join(_range(kind, some) for kind, some in by_format.items())}."
    if slot in ("price", "total"):
        text += " Which volume would you like?"
    first = next((o for o in offers if o.quantity), offers[0])
    return Draft(text, sources=tuple(f"product/{o.asin}" for o in offers), asins=(first.asin,))


def _kinds(offers: Sequence[Offer]) -> Draft:
    """The range of prices of many kinds of one product, and some that are there."""
    there = [offer for offer in offers if offer.quantity]
    cheapest, dearest = min(offers, key=lambda o: o.cents), max(offers, key=lambda o: o.cents)
    text = f"{name_of(offers, whole=True)}: {count(len(offers), 'kind')}, {price(cheapest)} to {price(dearest)}"
    shown = sorted(there, key=lambda o: o.cents)[:MOST_NAMED]
    return drafted(
        [f"{text}, {len(there)} of them in stock.", f"For example: {listed(shown)}" if shown else ""],
        shown or [cheapest],
    )


def _range(kind: str, some: Sequence[Offer]) -> str:
    cheapest, dearest = min(some, key=lambda o: o.cents), max(some, key=lambda o: o.cents)
    prices = price(cheapest) if cheapest.cents == dearest.cents else f"{price(cheapest)} to {price(dearest)}"
    gone = [str(o.product.volume) for o in some if not o.quantity]
    left = f"{'volumes' if len(gone) > 1 else 'volume'} {joined(gone)} out of stock" if gone else "all in stock"
    return f"{count(len(some), 'volume')}{f' as {form(kind)}' if kind else ''}, {prices} each, {left}"


def _copies(offer: Offer) -> str:
    if not offer.quantity:
        return f"{in_form(offer)} is {stock(offer)}."
    if offer.product.format == "digital":
        return f"{title(offer)} is a digital edition and always {stock(offer)}."
    return f"{in_form(offer)} is {stock(offer)}: {{{{copies:{offer.asin}}}}} left, for {price(offer)} each."


def volumes_told(subjects: Subjects, named: Sequence[Subject]) -> Draft:
    """The price and stock of several volumes of one title, and which of them are not sold."""
    found = subjects.all(named)
    gone = [s for s in named if not subjects.offers(s)]
    there = volumes(subjects.line(named[0]))
    never = [s.volume for s in gone if s.volume is not None and s.volume not in there]
    lacking = [missing(subjects, s) for s in gone if s.volume in there][:MOST_NAMED]
    if never:
        lacking.append(missing(subjects, next(s for s in gone if s.volume in never), never))
    shown = found[:MOST_VOLUMES]
    said = [_costs(o, alone=False) for o in shown]
    if len(found) > len(shown):
        said.append(f"These are the first {len(shown)} of {len(found)} editions.")
    told = showing(" ".join(said), shown)
    return together([told, *lacking] if shown or not lacking else lacking)


def missing(subjects: Subjects, subject: Subject, also: Sequence[int] = ()) -> Draft:
    """What is said of a product that is not sold, or not like that; ``also`` are all volumes of which that is so."""
    line = subjects.line(subject)
    if not line:
        return Draft(f"We do not sell {subject.name or 'that product'} any more.")
    name, there = name_of(line, whole=True), volumes(line)
    if subject.volume is not None and subject.volume not in there:
        known = f"volumes {there[0]} to {there[-1]}" if len(there) > 1 else f"volume {there[0]}"
        last = f"The last volume is {title(line[-1])}."
        return drafted(
            [f"There {_is_no(also or [subject.volume])} of {name} in our shop (any more); we sell {known}.", last],
            line[-1:],
        )
    some = [o for o in line if subject.volume in (None, o.product.volume)] or line
    wanted = f" as {form(subject.format)}" if subject.format else ""
    return drafted(
        [f"{title(some[0])} is not sold{wanted}; we sell it{as_forms(some)}, for {price(some[0])}."], some[:1]
    )


def _is_no(volumes: Sequence[int]) -> str:
    return f"{'are' if len(volumes) > 1 else 'is'} no {numbered(volumes)}"


def name_of(offers: Sequence[Offer], *, whole: bool = False) -> str:
    """A product's title as a slot, or the name of the series: of several volumes, or if the ``whole`` is meant."""
    product = offers[0].product
    return product.line if whole or len(volumes(offers)) > 1 else title(offers[0])


def drafted(said: Sequence[str], offers: Sequence[Offer]) -> Draft:
    """A draft of some sentences about some products."""
    return showing(" ".join(said), offers[:MOST_NAMED])
