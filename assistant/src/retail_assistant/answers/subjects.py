"""Which products on sale a question is about."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from retail_assistant.live import LiveShop
from retail_assistant.shop.finding import Conditions, Offer
from retail_assistant.shop.prices import Charge
from retail_assistant.understand.ask import Ask, Subject
from retail_assistant.understand.names.volumes import LAST

_MARK = re.compile(r"[\w']+")
ALIKE = 0.66
"""The share of the words of the shorter of two titles that both have, from which one is another size of the other."""


class Subjects:
    """Looks up the products that questions name."""

    def __init__(self, shop: LiveShop) -> None:
        """Look them up in ``shop``."""
        self._shop = shop

    def first(self, ask: Ask) -> Offer | None:
        """The first product that a question is about, ``None`` if it names none that is sold."""
        found = self.offers(ask.subjects[0]) if ask.subjects else []
        return found[0] if found else None

    def offers(self, subject: Subject) -> list[Offer]:
        """All editions and volumes that a subject means, by volume and format; empty if none is sold."""
        if subject.asin and not (subject.volume or subject.format):
            return self._shop.offers([subject.asin])
        return self._editions(self._resolved(subject))

    def by_asin(self, asins: Sequence[str]) -> list[Offer]:
        """Some products, sold out or not, in their order."""
        return self._shop.offers(asins)

    def all(self, subjects: Sequence[Subject]) -> list[Offer]:
        """All editions and volumes that some subjects mean, each once."""
        return list({o.asin: o for subject in subjects for o in self.offers(subject)}.values())

    def have_words(self, words: Sequence[str]) -> bool:
        """Whether any product has all of some words."""
        return bool(self._shop.with_words(words))

    def charges(self, shopper: str, offers: Sequence[Offer], now: float) -> dict[str, Charge]:
        """What a shopper pays for a copy of each of some products, with promotions."""
        return self._shop.shoppers.charges(shopper, [offer.asin for offer in offers], now=now)

    def formats(self) -> list[str]:
        """The formats in which the shop sells anything."""
        return self._shop.formats()

    def line(self, subject: Subject) -> list[Offer]:
        """Everything that is sold under a subject's title, whatever the volume and the format."""
        resolved = self._resolved(subject)
        return self._editions(resolved and msgspec.structs.replace(resolved, volume=None, format=None))

    def in_all_formats(self, subject: Subject) -> list[Offer]:
        """The editions of the volume that a subject means."""
        resolved = self._resolved(subject)
        return self._editions(resolved and msgspec.structs.replace(resolved, format=None))

    def following(self, subject: Subject) -> Subject:
        """The next volume of a subject."""
        found = self.offers(subject)
        if not found:
            return subject
        product = found[0].product
        name, form = product.line, subject.format or product.format
        return Subject(name, subject.source, volume=product.volume + 1, format=form)

    def _resolved(self, subject: Subject) -> Subject | None:
        """A subject by title, with the volume of the product that its asin names; ``None`` if that is not sold."""
        if not subject.asin:
            return subject
        found = self._shop.offers([subject.asin])
        if not found:
            return None
        product = found[0].product
        volume = product.volume if subject.volume is None else subject.volume
        return msgspec.structs.replace(subject, name=product.line, asin="", volume=volume)

    def _editions(self, subject: Subject | None) -> list[Offer]:
        """What is sold of a title in a volume and a format."""
        if subject is None:
            return []
        is_last = subject.volume == LAST
        wanted = Conditions(
            titles=[subject.name],
            volume=None if is_last else subject.volume,
            formats=[subject.format] if subject.format else (),
            in_stock=False,
        )
        found = self._shop.find(wanted)
        return last_volumes(found) if is_last else found


def marks(text: str) -> set[str]:
    """The words and numbers of a text as they stand there, a size of one letter among them."""
    return set(_MARK.findall(text.lower()))


def variants(shop: LiveShop, offer: Offer) -> list[Offer]:
    """A product and, of the same maker and kind, those whose titles have most words of its title: other sizes."""
    title, product = marks(offer.product.title), offer.product
    if product.volume or product.format:
        return [offer]
    beside = shop.find(Conditions(authors=[product.author], genres=[product.genre], in_stock=False))
    titles = [(o, marks(o.product.title)) for o in beside]
    alike = [o for o, other in titles if len(other & title) >= ALIKE * min(len(other), len(title))]
    return alike or [offer]


def last_volumes(offers: Sequence[Offer]) -> list[Offer]:
    """The last volume of each line among some products, in their order."""
    last: dict[str, int] = {}
    for one in offers:
        last[one.product.line] = max(one.product.volume, last.get(one.product.line, 0))
    return [one for one in offers if one.product.volume == last[one.product.line]]


def volumes(offers: Sequence[Offer]) -> list[int]:
    """The volumes of some products, each once."""
    return sorted({offer.product.volume for offer in offers})
