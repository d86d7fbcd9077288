"""Which of a shopper's orders a question means."""

from __future__ import annotations

import re
from collections.abc import Sequence

from retail_assistant.answers.draft import Asked
from retail_assistant.answers.past_orders import named_state
from retail_assistant.answers.told_orders import OPEN
from retail_assistant.live import LiveShop
from retail_assistant.shop.orders import CAN_RETURN, Order
from retail_assistant.understand.ask import Subject
from retail_assistant.understand.said.own_cues import ONE_OF_STATE
from retail_assistant.understand.times import span

_DIGITS = r"(?:-\d+)*"
_NUMBER = re.compile(rf"#?\b([a-z]{{0,4}}-?\d{{3,20}}{_DIGITS})\b", re.IGNORECASE)
_ORDER_NUMBER = re.compile(
    rf"\border (?:number |no\.? ?)?#?([a-z]{{0,4}}-?\d+{_DIGITS})\b|#([a-z]{{0,4}}-?\d+{_DIGITS})\b", re.IGNORECASE
)
_OF_PERSON = re.compile(
    r"(?i)\b(?:i am|i'm|(?:customer|user|shopper|account|name)(?: number| no\.?| id)?(?: is)?):? ?#?[a-z]{0,4}-?\d+\b"
)
_OTHER = re.compile(
    r"\b(?:the )?other (?:one|order)\b|\bprevious\b|\bbefore that\b|\bsecond last\b|\bolder\b|\bone before\b"
)
_SENT = re.compile(r"\b(?:parcel|package|tracking)\b")
_FIRST = re.compile(r"\bfirst order\b|\bold(?:est|er)\b|\bearlier\b")
_NEWEST = re.compile(r"\b(?:last|latest|newest|newer|most recent)\b")
_OF_ORDERS = frozenset(
    "order orders parcel package delivery shipment purchase tracking status arrive lost late".split()
)


def named_number(text: str) -> str | None:
    """The order number that a text names; the shopper's own name, such as "I am u00012", is another number."""
    if said := _ORDER_NUMBER.search(text):
        return said[1] or said[2]
    found = _NUMBER.findall(_OF_PERSON.sub(" ", text))
    is_of_orders = re.search(r"\border\b|#", text, re.IGNORECASE)
    return next((n for n in found if n[0].isalpha()), found[0] if found and is_of_orders else None)


def with_subject(shop: LiveShop, orders: Sequence[Order], subject: Subject) -> list[Order]:
    """The orders that have a product which a question names, in its volume if it names one."""
    asins = {line.asin for order in orders for line in order.lines}
    exact = {
        p.asin
        for p in shop.ever_sold(asins)
        if subject.name in (p.line, p.title) and subject.volume in (None, p.volume)
    }
    return [o for o in orders if any(line.asin in exact for line in o.lines)]


def chosen(shop: LiveShop, asked: Asked, orders: Sequence[Order], now: float) -> Order | None:
    """The order that a question means: by a number, by a title in it, the other one, or the newest that fits.

    The number may be that of its parcel. ``None`` if there is no such order.
    """
    if not orders:
        return None
    if named := named_number(asked.ask.text):
        return next((o for o in orders if named.lower() in (o.number.lower(), o.tracking.lower())), None)
    fitting = _with_titles(shop, asked, orders) or _of_state_or_time(asked.ask.text, orders, now)
    if fitting := fitting or [o for o in orders if _has_words(o, asked.ask.leftover)]:
        return fitting[0]
    return _placed(asked, orders)


def _with_titles(shop: LiveShop, asked: Asked, orders: Sequence[Order]) -> list[Order]:
    """The orders with the first title that a question names and an order has."""
    for subject in (_of_line(shop, one) for one in asked.ask.subjects):
        if subject is None:
            continue
        of_line = [o for o in orders if any(subject.name in t for t in o.titles)]
        if found := with_subject(shop, orders, subject) or of_line:
            return found
    return []


def _of_line(shop: LiveShop, subject: Subject) -> Subject | None:
    """A title that a question names, or another volume of the one that is spoken of; ``None`` for other subjects."""
    if subject.source == "message":
        return subject
    product = next(iter(shop.ever_sold([subject.asin])), None) if subject.asin and subject.volume is not None else None
    return Subject(product.line, "message", volume=subject.volume) if product else None


def _of_state_or_time(text: str, orders: Sequence[Order], now: float) -> list[Order]:
    """The orders in the state or of the time by which a question means one: "the shipped one"."""
    named, when = re.search(ONE_OF_STATE, text), span(text, now)
    state = named_state(named[0]) if named else None
    if state is None and when is None:
        return []
    of_state = [o for o in orders if state is None or o.state in state.states]
    return [o for o in of_state if when is None or when.has(o.placed_at)]


def _placed(asked: Asked, orders: Sequence[Order]) -> Order | None:
    """The other one, the first, the newest, the one that was spoken of, or the newest that a question of it fits."""
    text, known = asked.ask.text, {o.number.lower(): o for o in orders}
    numbers = (n.lower() for _, said in reversed(asked.history) for n in _NUMBER.findall(said))
    spoken = next((known[n] for n in numbers if n in known), None)
    if _OTHER.search(text) and len(orders) > 1 and not re.search(r"\bolder one\b", text):
        last = spoken or orders[0]
        return next((o for o in orders if o.number != last.number), None)
    if _FIRST.search(text):
        return orders[-1]
    if _NEWEST.search(text):
        return orders[0]
    if spoken is None and asked.ask.slot("orders") == "can_return":
        return next((o for o in orders if o.state in CAN_RETURN), orders[0])
    if spoken is None and _SENT.search(text) and (sent := next((o for o in orders if o.state == "shipped"), None)):
        return sent
    if spoken is None and asked.ask.slot("orders") in ("where", "arrive", "can_cancel"):
        return next((o for o in orders if o.state in OPEN), orders[0])
    return spoken or orders[0]


def _has_words(order: Order, words: Sequence[str]) -> bool:
    """Whether the titles of an order have a content word of a question: "where is my lamp"."""
    titles = " ".join(order.titles).lower()
    return any(re.search(rf"\b{re.escape(word.removesuffix('s'))}", titles) for word in words if word not in _OF_ORDERS)
