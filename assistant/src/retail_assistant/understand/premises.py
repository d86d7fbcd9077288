"""A price or a stock that a message states as a fact of the product that it names: "why is X free?"."""

from __future__ import annotations

import re

import msgspec

from retail_assistant.understand.typed_prices import MONEY, cents_of

_LEAD = (
    r"(?:^(?:so |but |and |well,? )?as|\bwhy|\bhow come|\bsince|\bbecause|\bnow that|\bgiven that"
    r"|\b(?:i|we) (?:just )?(?:heard|read|saw|know|see|noticed|was told|were told|thought|understand)"
    r"|\b(?:you|they|he|she|someone|somebody|a friend|my friend|your (?:page|site|website|shop)) (?:just )?"
    r"(?:says?|said|told me|wrote|writes))(?: that)?(?: the price of)?"
)
_FORM = r"(?: (?:in |as |as an? )?(?:paperback|hardcover|digital edition|digital|print))?"
_IS = r"(?:(?:is|are|was|'s|being) )"
_ONLY = r"(?:(?:only|just|now|currently|really|already|actually|completely) )*"
_STATE = (
    rf"(?:(?P<free>free)\b(?! (?:delivery|shipping|express|of|for))"
    rf"|{MONEY.replace('{name}', 'cents')}(?!\s*(?:off|discount|cheaper|less|more|or))"
    rf"|(?P<gone>out of stock|sold[- ]out|unavailable|not (?:in stock|available))|(?P<there>in stock|available)\b)"
)
_COSTS = r"(?:costs?|sells? (?:for|at)|(?:is )?priced at|goes for|for|at) "
_STATED = (
    re.compile(rf"{_LEAD} (?:{_IS}|does |do )?x{_FORM} (?:{_IS}|{_COSTS})?{_ONLY}{_STATE}"),
    re.compile(
        rf"^(?:so |but |and )?x{_FORM} (?:{_IS}|{_COSTS}){_ONLY}{_STATE}(?=.*\b(?:right|correct|no|isn't it)\W*$)"
    ),
)


class Premise(msgspec.Struct, frozen=True):
    """A price in cents, or whether there is any in stock, as a message states it."""

    cents: int | None = None
    in_stock: bool | None = None


def premise(text: str) -> tuple[Premise | None, str]:
    """The premise of a text in lower case in which an "x" stands for the title that it names, and what else it says."""
    found = next((found for pattern in _STATED if (found := pattern.search(text))), None)
    stated = _read(found) if found else None
    return stated, f"{text[: found.start()]} {text[found.end() :]}".strip(" ,") if found and stated else text


def _read(found: re.Match[str]) -> Premise | None:
    if found["free"]:
        return Premise(cents=0)
    if found["gone"] or found["there"]:
        return Premise(in_stock=bool(found["there"]))
    is_money = found["cents_sign"] or not found[0][found.start("cents") - found.start() - 1].isspace()
    return Premise(cents=cents_of(found["cents"])) if is_money else None
