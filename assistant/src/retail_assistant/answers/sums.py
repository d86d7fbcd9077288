"""What several copies or several products cost together, promotions taken off as in the cart."""

from __future__ import annotations

import re
from collections.abc import Sequence

import parbake as pb
from retail_assistant.answers.draft import Asked, Draft, showing
from retail_assistant.answers.phrases import ITEMS, form, in_form, money, price, reduction
from retail_assistant.answers.subjects import Subjects, volumes
from retail_assistant.live import LiveShop
from retail_assistant.shop.bills import Terms, bill, lines_of
from retail_assistant.shop.finding import Offer
from retail_assistant.shop.prices import Charge
from retail_assistant.understand.copies import AMOUNT, amount
from retail_assistant.understand.plain_words import number

MOST_EACH = 5
"""Up to how many products have their own price in a sum."""
_OF_THEM = "(?:copies|pieces|times|of (?:it|them|these|those|that|this))"
_COPIES = re.compile(rf"(?<![\w.,/\u2212\u2013-])({AMOUNT}|[a-z]+) {_OF_THEM}\b")
_SENT = re.compile(r"\b(?:deliver\w*|shipping|shipped|postage)\b")
_MOST_COPIES = 9_999
_WHOLE = re.compile(r"\b(?:whole|entire|complete|full) (?:series|set)\b|\ball (?:the |of the |\d+ )?volumes\b")
_ALL = re.compile(r"\b(?:they|them|these|those|both|all|the (?:two|three|four|five))\b")


class Sums:
    """Answers what several things cost."""

    def __init__(self, app: pb.App, shop: LiveShop, subjects: Subjects) -> None:
        """Keep what is asked."""
        self._app, self._shop, self._subjects = app, shop, subjects

    def answer(self, asked: Asked) -> Draft | None:
        """The price of each and of all together; ``None`` if nothing is to be added up, or a volume must be named."""
        groups = self._groups(asked)
        copies = _copies(asked.ask.text)
        if copies is None or not groups or not all(groups) or (copies > 1 and any(len(volumes(g)) > 1 for g in groups)):
            return None
        is_sent = _SENT.search(asked.ask.text) is not None
        if copies == 1 and len(groups) == 1 and len(volumes(groups[0])) == 1 and not is_sent:
            return None
        offers = [o for group in groups for o in group]
        charged = self._subjects.charges(asked.shopper, offers, self._app.settings.clock.now())
        sets = _by_format(groups)
        terms = self._shop.rules.delivery() if is_sent else None
        text = " ".join(_told(some, copies, charged) + _sent(some, copies, charged, terms) for some in sets)
        shown = [o for some in sets for o in some][: 2 * MOST_EACH]
        return showing(text, shown)

    def _groups(self, asked: Asked) -> list[list[Offer]]:
        """The editions of each thing that is meant: of what is named, or of all that was shown last."""
        subjects, shown = asked.ask.subjects, asked.said.shown
        is_named = any(s.source == "message" for s in subjects) or len(subjects) > 1
        if not is_named and len(shown) > 1 and _ALL.search(asked.ask.text):
            return [[offer] for offer in self._shop.offers(shown)]
        editions = self._subjects.line if _WHOLE.search(asked.ask.text) else self._subjects.offers
        return [editions(subject) for subject in subjects]


def _copies(text: str) -> int | None:
    """How many copies of each are asked for; ``None`` for a number that cannot count them, such as 2.5."""
    amounts = (number(word) if word.isalpha() else amount(word) for word in _COPIES.findall(text))
    named = next((one for one in amounts if one is not None), 1)
    return int(named) if 1 <= named <= _MOST_COPIES and float(named).is_integer() else None


def _by_format(groups: Sequence[Sequence[Offer]]) -> list[list[Offer]]:
    """What is added up: for each format in which all are sold the editions in it, or one edition of each."""
    forms = [{offer.product.format for offer in group} for group in groups]
    common = sorted(set.intersection(*forms))
    if not common:
        return [[group[0] for group in groups]]
    return [[o for group in groups for o in group if o.product.format == kind] for kind in common]


def _told(offers: Sequence[Offer], copies: int, charged: dict[str, Charge]) -> str:
    """The price of each and of all."""
    total = money(copies * sum(charged[o.asin].cents for o in offers))
    if len(offers) > MOST_EACH:
        return _whole(offers, total, charged)
    said = [_each(o, charged[o.asin]) for o in offers]
    what = f"{copies} copies" + (" of each" if len(offers) > 1 else "") if copies > 1 else "Together they"
    said += [f"{what} cost {total}."] if copies * len(offers) > 1 else []
    if len(offers) == 1 and copies > offers[0].quantity:
        left = "copy is" if offers[0].quantity == 1 else "copies are"
        said.append(f"Only {{{{copies:{offers[0].asin}}}}} {left} in stock.")
    return " ".join(said)


def _sent(offers: Sequence[Offer], copies: int, charged: dict[str, Charge], terms: Terms | None) -> str:
    """What they cost with delivery; empty if that is not asked for."""
    if terms is None:
        return ""
    due = bill(lines_of(offers, dict.fromkeys((o.asin for o in offers), copies), charged), terms)
    return f" With standard delivery that is {money(due.total)}." if due.is_sent else " They need no delivery."


def _each(offer: Offer, charge: Charge) -> str:
    """The price of one, and what is charged for it if that is less."""
    reduced = f" ({money(charge.cents)}{reduction(charge)})" if charge.promotion else ""
    return f"{in_form(offer)} costs {price(offer)}{reduced}."


def _whole(offers: Sequence[Offer], total: str, charged: dict[str, Charge]) -> str:
    """The price of very many, such as a whole series."""
    lines = {o.product.line for o in offers}
    what = f"volumes of {lines.pop()}" if len(lines) == 1 else ITEMS
    kind = f" as {form(offers[0].product.format)}" if offers[0].product.format else ""
    return f"All {len(offers)} {what}{kind} cost {total} together{reduction(charged[offers[0].asin])}."
