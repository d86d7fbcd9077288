"""Which numbers of copies a shopper wants of volumes in the cart: "one of vol 1 and 2 of vol 2"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from retail_assistant.shop.finding import Offer
from retail_assistant.understand.plain_words import number

_PAIR = re.compile(r"\b([a-z]+|\d{1,2}) (?:cop(?:y|ies) )?of (?:the )?vol(?:ume)? ?(\d{1,3})\b")


def wanted(text: str) -> dict[int, int]:
    """The number of copies of each volume that a text names; empty if it names none."""
    pairs = ((number(found[1]), int(found[2])) for found in _PAIR.finditer(text))
    return {volume: copies for copies, volume in pairs if copies is not None}


class Changes(NamedTuple):
    """The first product of a cart whose number of copies changes, with that number, and how many others wait."""

    offer: Offer | None
    copies: int
    waiting: int


def changes(text: str, offers: Sequence[Offer], cart: Mapping[str, int]) -> Changes | None:
    """What a text changes in a cart, with no offer if the cart is so already; ``None`` if it names nothing of it."""
    by_volume = {offer.product.volume: offer for offer in reversed(offers)}
    named = wanted(text)
    there = [(by_volume[volume], copies) for volume, copies in named.items() if volume in by_volume]
    other = [(offer, copies) for offer, copies in there if cart[offer.asin] != copies]
    absent = len(named) - len(there)
    if not there or (absent and not other):
        return None
    return Changes(*other[0], len(other) - 1 + absent) if other else Changes(None, 0, 0)
