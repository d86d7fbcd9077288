"""Small pieces of sentences that several kinds of answers share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from retail_assistant.shop.bills import Line
from retail_assistant.shop.finding import Offer
from retail_assistant.shop.prices import Charge
from retail_assistant.understand.names.volumes import LAST
from retail_assistant.understand.wishes import Wishes

FOUND_NOTHING = "I found nothing about"
ITEM, ITEMS, AN_ITEM = "{{goods:item}}", "{{goods:items}}", "{{goods:an_item}}"
"""What the shop sells, as slots: "book", "books", "a book"."""
SUPPORT = "{{goods:support}}"
"""Who helps where the assistant cannot, as a slot."""
NO_CHARGES: Mapping[str, Charge] = {}
WHY = "): "
"""What stands before the reason for a product in a list."""
NO_REASONS: Mapping[str, str] = {}
FORMATS = {"digital": "digital edition", "paperback": "paperback", "hardcover": "hardcover"}


def title(offer: Offer) -> str:
    """A product's title as a slot."""
    return f"{{{{title:{offer.asin}}}}}"


def price(offer: Offer) -> str:
    """A product's price as a slot."""
    return f"{{{{price:{offer.asin}}}}}"


def stock(offer: Offer) -> str:
    """Whether a product is in stock, as a slot."""
    return f"{{{{stock:{offer.asin}}}}}"


def ordered(line: Line) -> str:
    """The title of a product that was ordered, also if it is not sold any more, as a slot."""
    return f"{{{{ordered:{line.asin}}}}}"


def money(cents: int) -> str:
    """An amount as a slot."""
    return f"{{{{cents:{cents}}}}}"


def reduction(charge: Charge) -> str:
    """The promotion that reduces a price: " with 40 % off"; empty without one."""
    return f" with {{{{percent:{charge.promotion.id}}}}} off" if charge.promotion else ""


def number(name: str) -> str:
    """The number of an order or a parcel as a slot, so that it is not taken for somebody's telephone number."""
    return f"{{{{number:{name}}}}}"


def form(name: str) -> str:
    """A format as sentences name it."""
    return FORMATS.get(name, name)


def day(moment: float) -> str:
    """A day such as "24 November", as a slot."""
    return f"{{{{day:{moment:.0f}}}}}"


def during(when: str) -> str:
    """A span of time that the shopper named, such as "in the last 3 months", as a slot: the shop promises nothing."""
    return f"{{{{span:{when.replace(' ', '_')}}}}}"


def count(amount: int, noun: str) -> str:
    """A number of things: "1 volume", "12 volumes"."""
    plural = noun if amount == 1 else f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{amount} {plural}"


def joined(parts: Sequence[str], last: str = "and") -> str:
    """Parts as an enumeration."""
    if len(parts) < 2:  # noqa: PLR2004  # nothing to join
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def numbered(volumes: Sequence[int]) -> str:
    """Volumes by their numbers: "volume 3", "volumes 3, 7 and 9", "volumes 3 to 12"."""
    if len(volumes) == 1:
        return f"volume {volumes[0]}"
    is_run = len(volumes) > 2 and volumes[-1] - volumes[0] == len(volumes) - 1  # noqa: PLR2004  # two are named both
    return f"volumes {volumes[0]} to {volumes[-1]}" if is_run else f"volumes {joined([str(v) for v in volumes])}"


def by(offer: Offer) -> str:
    """By whom a product is, empty if it is not known."""
    return f" by {offer.product.author}" if offer.product.author else ""


def amount(offer: Offer, charged: Mapping[str, Charge]) -> str:
    """A product's price, after a promotion that is taken off: "€6.99 with 30 % off €9.99"."""
    charge = charged.get(offer.asin)
    if charge is None or charge.promotion is None:
        return price(offer)
    return f"{{{{reduced:{offer.asin}|{charge.promotion.percent}}}}}{reduction(charge)} {price(offer)}"


def listed(
    offers: Sequence[Offer], charged: Mapping[str, Charge] = NO_CHARGES, why: Mapping[str, str] = NO_REASONS
) -> str:
    """One short sentence per product.

    Args:
        offers: The products.
        charged: What the shopper pays for them, with promotions.
        why: The reasons why they are recommended.
    """
    said = []
    for offer in offers:
        details = [form(offer.product.format), amount(offer, charged), "" if offer.quantity else stock(offer)]
        reason = f"{WHY}{why[offer.asin]}" if why.get(offer.asin) else ")"
        said.append(f"{title(offer)}{by(offer)} ({', '.join(filter(None, details))}{reason}.")
    return " ".join(said)


def as_forms(offers: Iterable[Offer]) -> str:
    """The formats of some products: " as paperback and hardcover"; empty for goods that have none."""
    forms = joined(sorted({form(offer.product.format) for offer in offers} - {""}))
    return f" as {forms}" if forms else ""


def in_form(offer: Offer) -> str:
    """A product's title with its format, where it has one."""
    return f"{title(offer)} ({form(offer.product.format)})" if offer.product.format else title(offer)


def described(wishes: Wishes) -> str:
    """What is wished for, in words: "fantasy in paperback under €10.00"."""
    words: list[str] = []
    if wishes.single:
        words.append("single-volume")
    words.append(joined(sorted(wishes.genres), "or") if wishes.genres else "")
    words.append(ITEMS)
    if wishes.themes:
        words.append(f"about {joined(sorted(wishes.themes))}")
    if wishes.authors:
        words.append(f"by {joined(sorted(wishes.authors), 'or')}")
    if wishes.series:
        words.append(f"of {joined(sorted(wishes.series), 'or')}")
    if wishes.volume is not None:
        words.append("with a last volume" if wishes.volume == LAST else f"with volume {wishes.volume}")
    if wishes.formats:
        words.append(f"as {joined([form(f) for f in sorted(wishes.formats)], 'or')}")
    if refused := _left_out(wishes):
        words.append(f"without {joined(refused, 'or')}")
    words.append(_within(wishes))
    return " ".join(filter(None, words))


def _within(wishes: Wishes) -> str:
    """The range of prices in words."""
    if wishes.least_cents is None:
        return f"up to {money(wishes.most_cents)}" if wishes.most_cents is not None else ""
    to = f" to {money(wishes.most_cents)}" if wishes.most_cents is not None else ""
    return f"from {money(wishes.least_cents)}{to}"


def _left_out(wishes: Wishes) -> list[str]:
    """What is not wanted, in words."""
    formats = [form(name) for name in sorted(wishes.no_formats)]
    return [*sorted(wishes.no_genres), *formats, *sorted(wishes.no_authors), *sorted(wishes.no_themes)]


def unsold(words: Sequence[str]) -> str:
    """Say that nothing in the shop has the words that were asked for."""
    return f"{FOUND_NOTHING} \u201c{' '.join(words)}\u201d: it is not sold here; we sell {ITEMS}."
