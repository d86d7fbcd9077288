"""Two or more products side by side, by what is asked: price, reviews, length, or all of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import parbake as pb
import parbake_semantic.guard
from retail_assistant.answers.draft import Asked, Draft, showing
from retail_assistant.answers.phrases import (
    amount,
    as_forms,
    by,
    count,
    form,
    in_form,
    joined,
    money,
    price,
    stock,
    title,
)
from retail_assistant.answers.products import WHICH
from retail_assistant.answers.subjects import Subjects, variants, volumes
from retail_assistant.knowledge.knowledge_tasks import review_summaries
from retail_assistant.live import LiveShop
from retail_assistant.shop.finding import Offer
from retail_assistant.understand.ask import Subject
from retail_assistant.understand.pointing import OF_THOSE

_REVIEWS = re.compile(r"\brat(?:ed|ing|ings)\b|\breviews?\b|\bstars?\b|\bbetter liked\b")
_LENGTH = re.compile(r"\blong(?:er)?\b|\bshort(?:er)?\b|\bvolumes\b|\bmore books\b")
_PRICE = re.compile(r"\bcheap(?:er|est)?\b|\bexpensive\b|\bprice\b|\bcosts?\b|\bpric(?:ier|ey)\b|\bdearer\b")
_CHEAP = re.compile(r"\bcheap(?:er|est)?\b|\bless\b")
_WHOLE = re.compile(r"\b(?:complete(?:ly)?|collect|whole|entire|all (?:the )?volumes|in total)\b")
_UNSTATED = re.compile(
    r"\b(?:(?:scar|funn|spook|happ|eas)i(?:er|est)|(?:sadd|dark|hard)(?:er|est)|mo(?:re|st) (?!expensive)\w+"
    r"|(?:better|best) (?:written|drawn))\b"
)
_TWO, MOST = 2, 5


def in_focus(text: str, offers: Sequence[Offer]) -> str:
    """The product that is spoken of after a comparison: the cheapest if that was asked, or the first of one title."""
    if _CHEAP.search(text) and offers:
        return min(offers, key=lambda o: o.cents).asin
    return offers[0].asin if len({o.product.title for o in offers}) == 1 else ""


class Comparing:
    """Compares products."""

    def __init__(self, app: pb.App, shop: LiveShop, subjects: Subjects) -> None:
        """Keep what is asked."""
        self._app, self._shop, self._subjects = app, shop, subjects

    async def answer(self, asked: Asked) -> Draft:
        """Compare what is named, or what was shown last; one product is compared with its other editions."""
        ask = asked.ask
        groups = [(s, self._subjects.offers(s) or self._subjects.in_all_formats(s)) for s in ask.subjects]
        gone = [s for s, found in groups if not found]
        if gone and len(groups) > 1:
            return Draft(f"We do not sell {joined([s.name for s in gone])} any more.")
        offers = [found[0] for _, found in groups if found]
        if len(offers) < _TWO and ask.subjects and not OF_THOSE.search(ask.text):
            offers = self._editions(ask.subjects[0], asked)
        if len(offers) == 1:
            offers = variants(self._shop, offers[0])[:MOST]
        if len(offers) < _TWO and len(asked.said.shown) > 1:
            shown = self._shop.offers(asked.said.shown)[:MOST]
            of_form = [o for o in shown if o.product.format in ask.wishes.formats]
            offers = of_form if len(of_form) >= _TWO else shown
        if len(offers) < _TWO:
            return self._alone(offers)
        if _REVIEWS.search(ask.text):
            return await self._by_reviews(offers)
        if _LENGTH.search(ask.text) and not _PRICE.search(ask.text):
            return self._by_length(offers)
        if _WHOLE.search(ask.text):
            return self._by_whole(offers, asked)
        if (found := _UNSTATED.search(ask.text)) and not _PRICE.search(ask.text):
            return Draft(f"Our pages do not state which is {found[0]}.")
        return self._told(asked, offers)

    def _told(self, asked: Asked, offers: Sequence[Offer]) -> Draft:
        """By price; where nothing says that it is the price that is asked for, goods without formats by their pages."""
        ask = asked.ask
        if not (_PRICE.search(ask.text) or any(o.product.format for o in offers)):
            return self._by_page(offers)
        draft = self._by_price(asked, offers)
        lacking = ask.wishes.formats - {o.product.format for o in offers}
        if lacking and len(ask.subjects) == 1:
            draft.text += f" It is not sold as {joined([form(name) for name in sorted(lacking)], 'or')}."
        draft.focus = in_focus(ask.text, offers)
        return draft

    def _alone(self, offers: Sequence[Offer]) -> Draft:
        if not offers:
            return Draft(WHICH)
        only = offers[0]
        return Draft(
            f"{title(only)} is sold only{as_forms([only]) or ' so'}, for {price(only)}.",
            sources=(f"product/{only.asin}",),
            asins=(only.asin,),
        )

    def _editions(self, subject: Subject, asked: Asked) -> list[Offer]:
        """The editions of one volume; of a series those of its first volume that has several."""
        found = self._subjects.in_all_formats(subject)
        by_volume = [[o for o in found if o.product.volume == v] for v in volumes(found)]
        some = next((group for group in by_volume if len(group) > 1), by_volume[0] if by_volume else [])
        wanted = asked.ask.wishes.formats
        if len(wanted) > 1:
            return [o for o in some if o.product.format in wanted] or some
        return some

    def _by_page(self, offers: Sequence[Offer]) -> Draft:
        """What the page of each says, with its price, where nothing else is asked for."""
        told = []
        for offer in offers[:MOST]:
            said = parbake_semantic.guard.strip_instructions(offer.product.description)
            told.append(f"{title(offer)} costs {price(offer)} and is {stock(offer)}. {said}".strip())
        return showing(" ".join(told), offers[:MOST])

    def _by_price(self, asked: Asked, offers: Sequence[Offer]) -> Draft:
        """What each costs the shopper, and by how much one is cheaper."""
        charged = self._subjects.charges(asked.shopper, offers, self._app.settings.clock.now())
        cents = {o.asin: charged[o.asin].cents if o.asin in charged else o.cents for o in offers}
        authors = len({o.product.author for o in offers}) > 1
        said = [f"{in_form(o)}{by(o) if authors else ''} costs {amount(o, charged)} and is {stock(o)}." for o in offers]
        cheapest = min(offers, key=lambda o: cents[o.asin])
        others = sorted(cents[o.asin] for o in offers if o is not cheapest)
        if others[0] == cents[cheapest.asin]:
            said.append("They cost the same.")
        else:
            name = (
                title(cheapest)
                if len({o.product.title for o in offers}) > 1
                else f"The {form(cheapest.product.format)}"
            )
            how = "cheaper" if len(offers) == _TWO else "the cheapest"
            said.append(f"{name} is {how}, by {money(others[0] - cents[cheapest.asin])}.")
        return showing(" ".join(said), offers)

    async def _by_reviews(self, offers: Sequence[Offer]) -> Draft:
        averages: list[tuple[float, Offer]] = []
        said = []
        for offer in offers:
            summary = (await self._app.serve(review_summaries, offer.asin)).value
            if summary is None:
                said.append(f"{title(offer)} has no reviews yet.")
            else:
                averages.append((summary.average, offer))
                said.append(
                    f"{title(offer)} has {summary.average:.1f} of 5 stars from {count(summary.count, 'review')}."
                )
        if len(averages) > 1:
            best = max(averages, key=lambda pair: pair[0])
            tied = [a for a, _ in averages if round(a, 1) == round(best[0], 1)]
            said.append("They are rated alike." if len(tied) > 1 else f"{title(best[1])} is rated better.")
        return showing(" ".join(said), offers)

    def _by_whole(self, offers: Sequence[Offer], asked: Asked) -> Draft:
        """What all volumes of each line cost in the format that is compared."""
        sums: list[tuple[int, str]] = []
        said = []
        for one in offers:
            line = self._subjects.offers(Subject(one.product.line, "shown", format=one.product.format))
            charged = self._subjects.charges(asked.shopper, line, self._app.settings.clock.now())
            sums.append((sum(charged[o.asin].cents for o in line), one.product.line))
            what = f"{count(len(line), 'volume')} of {one.product.line} as {form(one.product.format)}"
            said.append(f"{what}: {money(sums[-1][0])} with what is reduced now.")
        if len({cents for cents, _ in sums}) > 1:
            said.append(f"{min(sums)[1]} is cheaper as a whole.")
        return showing(" ".join(said), offers)

    def _by_length(self, offers: Sequence[Offer]) -> Draft:
        lines = dict.fromkeys(o.product.line for o in offers)
        lengths = [(len(volumes(self._subjects.line(Subject(name, "shown")))), name) for name in lines]
        said = [f"{name} has {count(number, 'volume')} in our shop." for number, name in lengths]
        if len({number for number, _ in lengths}) > 1:
            said.append(f"{max(lengths)[1]} is longer.")
        elif len(lengths) > 1:
            said.append("They are equally long.")
        draft = showing(" ".join(said), offers)
        longest = max(lengths)[1] if len({number for number, _ in lengths}) > 1 else ""
        draft.focus = next((o.asin for o in offers if o.product.line == longest), "")
        return draft
