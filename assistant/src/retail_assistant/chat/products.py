"""Which product a message is about: named in it, on the page, or last spoken of."""

from __future__ import annotations

import re

from retail_assistant.chat.turn import Card, Turn
from retail_assistant.chat.wording import key_words, named_format
from retail_assistant.live import LiveShop
from retail_assistant.shop.queries import Product

_VOLUME = re.compile(r"\b(?:vol(?:ume)?\.?|#|no\.?)\s*(\d+)", re.IGNORECASE)
_VOLUME_OF_TITLE = re.compile(r",?\s*\b(?:vol|volume)\.?\s*\d+\b", re.IGNORECASE)
_LEAST_WORDS = 2


def product_of(turn: Turn, shop: LiveShop) -> Product | None:
    """The product that a turn is about, ``None`` when nothing says which."""
    named = named_product(turn.message, shop)
    if named is not None:
        return named
    if turn.page:
        return shop.product(turn.page)
    for _, text in reversed(turn.history):
        earlier = named_product(text, shop)
        if earlier is not None:
            return earlier
    return None


def named_product(text: str, shop: LiveShop) -> Product | None:
    """The product whose whole title stands in a text; a volume and a format that are named decide between editions."""
    words, volume, form = key_words(text), _VOLUME.search(text), named_format(text)
    best: tuple[tuple[int, bool, bool], Product] | None = None
    for asin in shop.search(text, "product", limit=12):
        product = shop.product(asin)
        if product is None:
            continue
        title = key_words(_VOLUME_OF_TITLE.sub("", product.title))
        if not title <= words or (len(title) < _LEAST_WORDS and product.title.lower() not in text.lower()):
            continue
        fits = (len(title), volume is not None and int(volume[1]) == product.volume, form == product.format)
        if best is None or fits > best[0]:
            best = (fits, product)
    return best[1] if best else None


def named_line(text: str, shop: LiveShop) -> list[Product]:
    """The products of a line (a series) that a text names, or names by its last word; cheapest first."""
    words = {w.rstrip("s") for w in key_words(text)}
    for asin in shop.search(text, "product", limit=5):
        product = shop.product(asin)
        if product is None or not product.series:
            continue
        name = [w.rstrip("s") for w in re.findall(r"[a-z0-9']+", product.series.lower())]
        if set(name) <= words or name[-1] in words:
            return sorted(shop.line(product.series), key=lambda p: (shop.cents(p.asin), p.asin))
    return []


def card(asin: str, shop: LiveShop) -> Card | None:
    """A product as it stands now, ``None`` when it is not sold."""
    product = shop.product(asin)
    if product is None:
        return None
    return Card(asin, product.title, shop.price(asin), shop.stock(asin) > 0, product.genre, product.format)
