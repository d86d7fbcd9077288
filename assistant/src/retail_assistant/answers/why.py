"""Says why a product is recommended; each reason is held against the catalog as it is now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import parbake as pb
from retail_assistant.live import LiveShop
from retail_assistant.recs.reasons import Reason, reasons
from retail_assistant.shop.finding import Offer

YOURS, LOOKED_AT = "which you bought", "which you are looking at"
_TOLD = re.compile(rf"\): (?:(?!\): ).){{1,400}}?(?:{YOURS}|{LOOKED_AT})\.")


async def why(
    app: pb.App, shop: LiveShop, offers: Sequence[Offer], *, shopper: str, page: str | None, words: str = ""
) -> dict[str, str]:
    """The reasons for some products in words, with slots; none where no model has been trained yet.

    Args:
        app: The app that the model is read from.
        shop: The catalog, which has to bear a reason out.
        offers: The products, in the order in which they are shown.
        shopper: For whom.
        page: The product that the shopper looks at.
        words: What was asked for.
    """
    asins = tuple(offer.asin for offer in offers)
    try:
        found = (await app.serve(reasons, asins=asins, shopper=shopper, page=page, words=words)).unwrap()
    except pb.NotMaterialized:
        return {}
    return told(found, offers, shop)


def told(found: Mapping[str, Reason], offers: Iterable[Offer], shop: LiveShop) -> dict[str, str]:
    """The reasons for some products in words, with slots; what was said of one is not said again at length.

    Args:
        found: The reasons by product.
        offers: The products, in the order in which they are shown.
        shop: The catalog, which has to bear a reason out.
    """
    said: dict[str, str] = {}
    before = set[Reason]()
    for offer in offers:
        reason = found.get(offer.asin)
        if reason and (words := _because(reason, offer, shop)):
            said[offer.asin] = f"also {words.partition(', ')[0]}" if reason in before else words
            before.add(reason)
    return said


def _because(reason: Reason, offer: Offer, shop: LiveShop) -> str:
    """A reason in words; empty if the catalog does not bear it out any more."""
    product = offer.product
    other = next(iter(shop.ever_sold([reason.of])), None) if reason.of else None
    if reason.kind == "popular":
        return "bought by many lately"
    if other is None:
        return ""
    like = f"like {{{{ordered:{other.asin}}}}}, {LOOKED_AT if reason.kind.startswith('page') else YOURS}"
    if reason.kind == "next" and product.series == other.series:
        return f"comes next after {{{{ordered:{other.asin}}}}}, {YOURS}"
    if reason.kind == "series" and product.series and product.series == other.series:
        return f"of the same series {like}"
    if reason.kind in ("author", "page_author") and product.author and product.author == other.author:
        return f"by {product.author}, {like}"
    return f"{product.genre}, {like}" if product.genre and product.genre == other.genre else ""


def untold(reply: str) -> str:
    """A reply without its reasons, whose products it does not show."""
    return _TOLD.sub(").", reply)
