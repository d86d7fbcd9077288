"""What a reply must say and must not say, and which products it may show, as written beside each message."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

Expect = Literal["answer", "not_stated", "decline", "ask_back", "social"]
Verdict = Literal["right", "properly refused", "partly", "beside", "refused", "wrong"]
Lookup = Callable[[str], str]
"""The present value of a placeholder such as ``price:B000001``."""

_PLACEHOLDER = re.compile(r"\{((?:price|stock|title|off|date|total):[^{}]+|cart_total|to_free)\}")
_NOT_STATED = re.compile(
    r"\b(?:do|does|did)(?:n['\u2019]t| not) (?:say|state|mention|know|list|tell|cover)|\bnot stated\b"
    r"|\bno information\b|\bsays this, and no more\b|\bnothing that I have here speaks\b"
    r"|\bcan(?:not|['\u2019]t) (?:answer|tell)|\bsupport team\b|\bnot find (?:that|anything|an answer)",
    re.IGNORECASE,
)
_DECLINES = re.compile(
    r"\b(?:can only|cannot|could not|unable|not able|do not|sorry)\b|\b(?:ca|could|wo|do)n['\u2019]t\b"
    r"|\bfound nothing\b|\bnot sold\b|\bno (?:order|such)\b|\bsign(?:ed)? in\b|\bsupport team\b",
    re.IGNORECASE,
)
_REFUSES = re.compile(
    r"\bour (?:policies|pages) do not (?:say|state)|\bdo not state that\b|\bcannot answer that\b|\bcan only help with\b"
    r"|\bWhich product do you mean\b",
    re.IGNORECASE,
)


class Products(msgspec.Struct, forbid_unknown_fields=True):
    """Constraints on the product cards of a reply; amounts in euros, ``theme`` is a pattern of the description."""

    min: int = 0
    max: int | None = None
    count: int | None = None
    most: float | None = None
    least: float | None = None
    genre: str | list[str] | None = None
    not_genre: str | list[str] = []
    format: str | list[str] | None = None
    not_format: str | list[str] = []
    author: str | list[str] | None = None
    not_author: str | list[str] = []
    series: str | list[str] | None = None
    not_series: str | list[str] = []
    volume: int | None = None
    volume_from: int | None = None
    theme: str | None = None
    in_stock: bool | None = None
    any_of: list[str] = []
    all_of: list[str] = []
    none_of: list[str] = []
    sorted: Literal["price", "-price"] | None = None


class Turn(msgspec.Struct, forbid_unknown_fields=True):
    """One message of the customer, and how its reply is judged; without ``expect`` it is only played."""

    say: str
    expect: Expect | None = None
    right: list[str] = []
    part: list[str] = []
    wrong: list[str] = []
    products: Products | None = None


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """An order that the shopper has placed."""

    number: str
    days_ago: float
    state: str
    lines: dict[str, int]
    tracking: str = ""


class Given(msgspec.Struct, forbid_unknown_fields=True):
    """What the signed-in shopper has."""

    segment: str = "new"
    cart: dict[str, int] = {}
    orders: list[Order] = []
    points: int = 0


class Item(msgspec.Struct, forbid_unknown_fields=True):
    """One conversation: ``page`` is an asin, and ``pair`` names the two items of a minimal pair."""

    id: str
    kind: str
    turns: list[Turn]
    page: str | None = None
    given: Given | None = None
    pair: str | None = None


class Shown(msgspec.Struct, frozen=True):
    """A product card with what the shop knows of the product; ``cents`` is what is paid, ``listed`` the list price."""

    asin: str
    cents: int
    listed: int
    quantity: int
    genre: str
    format: str
    author: str
    series: str
    volume: int
    text: str


def judge(turn: Turn, reply: str, shown: Sequence[Shown], lookup: Lookup) -> Verdict:
    """Judge a reply; a reply that shows a product against a stated wish is not right."""
    if any(_found(pattern, reply, lookup) for pattern in turn.wrong):
        return "wrong"
    kept = not (turn.products and broken(turn.products, shown))
    said = all(_found(pattern, reply, lookup) for pattern in turn.right)
    if turn.expect == "not_stated" and (said if turn.right else _NOT_STATED.search(reply)) and kept:
        return "properly refused"
    if turn.expect == "decline" and (said if turn.right else _DECLINES.search(reply)) and kept:
        return "properly refused"
    if turn.expect == "ask_back" and "?" in reply and said and kept:
        return "right"
    if turn.expect in ("answer", "social") and said and kept:
        return "right"
    if turn.part and all(_found(pattern, reply, lookup) for pattern in turn.part):
        return "partly"
    if said and turn.right and turn.expect == "answer":
        return "partly"
    return "refused" if turn.expect == "answer" and _REFUSES.search(reply) else "beside"


def broken(wanted: Products, shown: Sequence[Shown]) -> list[str]:
    """The constraints that the shown products do not keep."""
    found = [name for name in _EACH if any(not _EACH[name](wanted, one) for one in shown)]
    asins = [one.asin for one in shown]
    if len(shown) < wanted.min or (wanted.count is not None and len(shown) != wanted.count):
        found.append("min")
    if wanted.max is not None and len(shown) > wanted.max:
        found.append("max")
    if wanted.any_of and not set(wanted.any_of) & set(asins):
        found.append("any_of")
    if not set(wanted.all_of) <= set(asins):
        found.append("all_of")
    prices = [one.cents for one in shown]
    if wanted.sorted and prices != sorted(prices, reverse=wanted.sorted == "-price"):
        found.append("sorted")
    return found


WISHES = frozenset({"most", "least", "genre", "not_genre", "format", "not_format", "author", "series", "volume"})
"""The constraints that a shown product breaks by itself."""
_EACH: Mapping[str, Callable[[Products, Shown], bool]] = {
    "most": lambda w, s: w.most is None or s.cents <= round(w.most * 100),
    "least": lambda w, s: w.least is None or s.listed >= round(w.least * 100),
    "genre": lambda w, s: w.genre is None or s.genre in _list(w.genre),
    "not_genre": lambda w, s: s.genre not in _list(w.not_genre),
    "format": lambda w, s: w.format is None or s.format in _list(w.format),
    "not_format": lambda w, s: s.format not in _list(w.not_format),
    "author": lambda w, s: w.author is None or s.author in _list(w.author),
    "not_author": lambda w, s: s.author not in _list(w.not_author),
    "series": lambda w, s: w.series is None or s.series in _list(w.series),
    "not_series": lambda w, s: s.series not in _list(w.not_series),
    "volume": lambda w, s: w.volume is None or s.volume == w.volume,
    "volume_from": lambda w, s: w.volume_from is None or s.volume >= w.volume_from,
    "theme": lambda w, s: w.theme is None or bool(re.search(w.theme, s.text, re.IGNORECASE)),
    "in_stock": lambda w, s: w.in_stock is None or (s.quantity > 0) == w.in_stock,
    "none_of": lambda w, s: s.asin not in w.none_of,
}


def patterns(turn: Turn) -> list[str]:
    """All patterns of a turn."""
    return [*turn.right, *turn.part, *turn.wrong]


def placeholders(pattern: str) -> list[str]:
    """The placeholders of a pattern."""
    return _PLACEHOLDER.findall(pattern)


def _found(pattern: str, reply: str, lookup: Lookup) -> bool:
    filled = _PLACEHOLDER.sub(lambda found: re.escape(lookup(found[1])), pattern)
    return re.search(filled, reply, re.IGNORECASE | re.DOTALL) is not None


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
