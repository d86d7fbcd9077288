"""What a product is: its author, its story, the length of its series, the next volume, its formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

import parbake_semantic.guard
from retail_assistant.answers.draft import Asked, Draft, together
from retail_assistant.answers.phrases import (
    ITEM,
    ITEMS,
    NO_CHARGES,
    SUPPORT,
    amount,
    as_forms,
    by,
    count,
    form,
    in_form,
    joined,
    stock,
    title,
)
from retail_assistant.answers.products import MOST_NAMED, WHICH, drafted, missing, name_of, volumes_told
from retail_assistant.answers.subjects import Subjects, volumes
from retail_assistant.faq.faq_words import content_words
from retail_assistant.shop.finding import Offer
from retail_assistant.shop.prices import Charge
from retail_assistant.understand.ask import Subject
from retail_assistant.understand.names.volumes import LAST, volume_in

UNKNOWN = f"Our pages do not state that; please ask {SUPPORT}."
MOST_QUOTED = 4
"""How many sentences of a product's text a reply quotes at most."""
_AFTER = re.compile(r"\b(?:after|before|follows?) (?:no\.? |number )?(\d{1,2})\b")
_ENDS = re.compile(r"final volume|story ends|last volume ties", re.IGNORECASE)
_COMPLETE = re.compile(r"complete in|single|stands|one sitting", re.IGNORECASE)
_LAST_ONE = re.compile(r"\b(?:last|final|newest|latest)\b")
_GUESS = re.compile(r"^\s*(?:is|was|did|isn't)\b")


class Looked(msgspec.Struct, frozen=True):
    """A question with what is sold of its subject: everything under its title, and what the question means of it."""

    asked: Asked
    subject: Subject
    line: list[Offer]
    offers: list[Offer]
    charged: Mapping[str, Charge] = NO_CHARGES

    def price(self, offer: Offer) -> str:
        """What the shopper pays for a product, after a promotion that is taken off."""
        return amount(offer, self.charged)

    @property
    def text(self) -> str:
        """The question."""
        return self.asked.ask.text

    @property
    def volume(self) -> int | None:
        """The volume that is meant, ``None`` for the whole series."""
        if self.subject.volume is not None:
            return self.offers[0].product.volume if self.subject.volume == LAST else self.subject.volume
        return self.offers[0].product.volume if self.subject.asin else None


class Facts:
    """Answers questions for facts; what the pages do not state is said not to be stated."""

    def __init__(self, subjects: Subjects, now: Callable[[], float]) -> None:
        """Look products up with ``subjects``; ``now`` tells which promotions run."""
        self._subjects, self._now = subjects, now
        self._tell: dict[str, Callable[[Looked], Draft]] = {
            "author": _author,
            "plot": _plot,
            "length": _length,
            "last": _length,
            "next": _next,
            "formats": _formats,
            "format": _formats,
            "genre": _genre,
            "order": _order,
            "stated": _stated,
            "unknown": _stated,
        }

    async def answer(self, asked: Asked) -> Draft:
        """The fact that is asked for, and only that."""
        ask, slot = asked.ask, asked.ask.slot("facts")
        if not ask.subjects:
            return self._sold(slot)
        subject = ask.subjects[0]
        line = self._subjects.line(subject)
        if not line:
            return missing(self._subjects, subject)
        if ask.are_volumes and slot in ("format", "formats"):
            return volumes_told(self._subjects, ask.subjects)
        if slot == "unknown" and line[0].product.format and not _has_words(ask.text, line[0]):
            return Draft(UNKNOWN, asins=(line[0].asin,))
        if slot == "next" and subject.volume is None and (volume := volume_in(ask.text) or _after(ask.text)):
            subject = msgspec.structs.replace(subject, volume=volume)
        offers = self._subjects.offers(subject)
        if not offers and slot not in ("next", "length", "formats", "format"):
            return missing(self._subjects, subject)
        charged = self._subjects.charges(asked.shopper, line, self._now())
        offers = offers or self._subjects.in_all_formats(subject) or line  # the format that is asked for may not exist
        drafts = [self._tell.get(slot, _plot)(Looked(asked, subject, line, offers, charged))]
        each = {"author": _author} if not ask.are_volumes else {"plot": _plot}
        found = [(other, self._subjects.offers(other)) for other in ask.subjects[1:MOST_NAMED]]
        tell = each.get(slot)
        return together([*drafts, *(tell(Looked(asked, other, also, also)) for other, also in found if tell and also)])

    def _sold(self, slot: str) -> Draft:
        """The formats of the whole shop, if they are asked for; otherwise ask which product is meant."""
        forms = self._subjects.formats() if slot in ("formats", "format") else ()
        return Draft(f"We sell {ITEMS} as {joined([form(f) for f in forms])}." if forms else WHICH)

    async def title_alone(self, asked: Asked) -> Draft:
        """What a title alone is answered with: what is sold under it."""
        if not asked.ask.subjects:
            return Draft(WHICH)
        if asked.ask.are_volumes:
            return volumes_told(self._subjects, asked.ask.subjects)
        offers = self._subjects.offers(asked.ask.subjects[0])
        if not offers:
            return missing(self._subjects, asked.ask.subjects[0])
        charged = self._subjects.charges(asked.shopper, offers, self._now())
        said = [f"{in_form(o)}{by(o)} costs {amount(o, charged)} and is {stock(o)}." for o in offers[:MOST_NAMED]]
        return drafted(said, offers[:MOST_NAMED])


def _author(looked: Looked) -> Draft:
    author, name = looked.offers[0].product.author, name_of(looked.offers)
    if not author:
        return Draft(f"Our pages do not state who wrote {name}.", asins=(looked.offers[0].asin,))
    guessed = looked.asked.ask.wishes.authors
    lead = ""
    if guessed and _GUESS.match(looked.text):
        lead = "Yes, " if author in guessed else "No, "
    return drafted([f"{lead}{name} is by {author}."], looked.offers[:1])


def _plot(looked: Looked) -> Draft:
    offer = looked.offers[0]
    text = parbake_semantic.guard.strip_instructions(offer.product.description)
    if not text:
        return Draft(f"Our pages do not state what {title(offer)} is about.", asins=(offer.asin,))
    head = [f"{title(offer)} is a {offer.product.genre} {ITEM}{by(offer)}."] if offer.product.author else []
    return drafted([*head, text], [offer])


def _stated(looked: Looked) -> Draft:
    """What a product's page says of it, if it is long only what comes nearest to the question, and that it is all."""
    offer = looked.offers[0]
    said = parbake_semantic.guard.sentences(parbake_semantic.guard.strip_instructions(offer.product.description))
    if not said:
        return Draft(f"Our pages do not state that of {title(offer)}.", asins=(offer.asin,))
    costs = f"It costs {looked.price(offer)} and is {stock(offer)}."
    if len(said) <= MOST_QUOTED:
        return drafted([f"Of {title(offer)} our page says this, and no more:", *said, costs], [offer])
    asked = content_words(looked.text)
    nearest = sorted(said, key=lambda one: -len(asked & content_words(one)))[:MOST_QUOTED]
    return drafted([f"Of {title(offer)} our page says:", *(one for one in said if one in nearest), costs], [offer])


def _has_words(text: str, offer: Offer) -> bool:
    """Whether a product's text has most of the words that a question has beside the product's title."""
    product = offer.product
    asked = content_words(text) - content_words(f"{product.title} {product.author}")
    return 2 * len(asked & content_words(product.description)) > len(asked) > 0


def _length(looked: Looked) -> Draft:
    line = looked.line
    name, there = name_of(line, whole=True), volumes(line)
    last = max(line, key=lambda o: o.product.volume)
    if len(there) == 1:
        is_complete = _COMPLETE.search(last.product.description)
        return drafted(
            [f"{name} is complete in one volume." if is_complete else f"We sell one volume of {name}."], line[:1]
        )
    said = [f"{name} has {len(there)} volumes in our shop, {there[0]} to {there[-1]}."]
    forms = looked.asked.ask.wishes.formats
    for wanted in sorted(forms):
        some = volumes([o for o in line if o.product.format == wanted])
        said = [
            f"As {form(wanted)}, {name} has {count(len(some), 'volume')}{f', up to volume {some[-1]}' if some else ''}."
        ]
    if _LAST_ONE.search(looked.text):
        said.append(f"The last one is {title(last)}.")
    if _ENDS.search(last.product.description):
        said.append(f"The story ends with volume {there[-1]}.")
    return drafted(said, looked.offers[:1])


def _after(text: str) -> int | None:
    """The volume after or before which the next one is asked for: "comes after 4"."""
    found = _AFTER.search(text)
    return int(found[1]) if found else None


def _next(looked: Looked) -> Draft:
    back = re.search(r"\bprevious\b|\bbefore\b", looked.text) is not None
    there, name = volumes(looked.line), name_of(looked.line, whole=True)
    volume = looked.volume if looked.volume is not None else there[0] if back else there[-1]
    wanted = volume - 1 if back else volume + 1
    found = [o for o in looked.line if o.product.volume == wanted]
    kind = looked.subject.format or looked.offers[0].product.format
    found = [o for o in found if o.product.format == kind] or found
    if found:
        offer, word = found[0], "previous" if back else "next"
        name = f"{title(offer)} ({form(offer.product.format)})"
        said = f"The {word} volume is {name}: {looked.price(offer)}, {stock(offer)}."
        return drafted([said], [offer])
    if len(there) == 1:
        return drafted([f"{name} is a single volume; there is no sequel in our shop."], looked.line[:1])
    end = "before" if back else "after"
    edge = looked.line[:1] if back else looked.line[-1:]
    return drafted([f"There is no volume {end} volume {volume} of {name} in our shop."], edge)


def _formats(looked: Looked) -> Draft:
    volume = looked.volume
    some = [o for o in looked.line if volume in (None, o.product.volume)] or looked.line
    is_one = volume is not None or len(volumes(some)) == 1
    name = title(some[0]) if is_one else name_of(looked.line, whole=True)
    if wanted := sorted(looked.asked.ask.wishes.formats):
        return _in_format(looked, name, wanted, some)
    each = [f"{title(o)} costs {looked.price(o)}{as_forms([o])}." for o in some] if is_one else []
    told = [f"{name} is sold{as_forms(some)}."] if as_forms(some) else []
    return drafted([*told, *each], some[:MOST_NAMED] if each else some[:1])


def _in_format(looked: Looked, name: str, wanted: Sequence[str], some: Sequence[Offer]) -> Draft:
    """Whether there is a format, and what it costs."""
    fitting = [o for o in some if o.product.format in wanted]
    kinds = joined([form(w) for w in wanted], "or")
    if not fitting:
        return drafted(
            [f"No, {name} is not sold as {kinds}; we sell it{as_forms(some)}, from {looked.price(some[0])}."], some[:1]
        )
    if len(volumes(fitting)) > 1:
        cheapest = min(fitting, key=lambda o: o.cents)
        said = f"Yes, {name} is sold as {kinds}: {count(len(fitting), 'volume')}, from {looked.price(cheapest)}."
        return drafted([said], fitting[:1])
    each = [f"{title(o)} as {form(o.product.format)} costs {looked.price(o)} and is {stock(o)}." for o in fitting]
    return drafted([f"Yes: {' '.join(each)}"], fitting)


def _genre(looked: Looked) -> Draft:
    guessed, genre = looked.asked.ask.wishes.genres, looked.offers[0].product.genre
    lead = ("Yes, " if genre in guessed else "No, ") if guessed else ""
    return drafted([f"{lead}{name_of(looked.offers)} is a {genre} {ITEM}."], looked.offers[:1])


def _order(looked: Looked) -> Draft:
    first, there = looked.line[0], volumes(looked.line)
    if len(there) == 1:
        said = f"{name_of(looked.line, whole=True)} is a single volume: {title(first)} costs {looked.price(first)}."
        return drafted([said], [first])
    said = f"Begin with {title(first)} ({looked.price(first)}, {stock(first)})."
    return drafted([said, f"The volumes are numbered {there[0]} to {there[-1]}."], [first])
