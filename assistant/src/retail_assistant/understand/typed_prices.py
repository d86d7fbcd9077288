"""Amounts of money that a shopper wants to pay, in the notations that people type."""

from __future__ import annotations

import re

from retail_assistant.understand.plain_words import CARDINALS, number

_SPELLED = "|".join(word for word, value in CARDINALS.items() if value)
"""Number words that can be an amount of money, so without "zero"."""
_TENS = "|".join(word for word, value in CARDINALS.items() if value in range(20, 100, 10))
_ONES = "|".join(word for word, value in CARDINALS.items() if value in range(1, 10))
_AMOUNT = (
    rf"(?:(?<!\d)(?<!\d[.,])(?:\d{{1,3}}(?:,\d{{3}})+(?![\d,])|\d{{1,5}}(?:[.,]\d{{1,2}})?(?![\d.,]*\d))"
    rf"|(?:{_TENS})-(?:{_ONES})|\b(?:{_SPELLED})\b(?!-[a-z]))"
)
_SIGN = r"(?:[€$£]|eur\b|euros?\b|dollars?\b|bucks?\b|usd\b|quid\b|pounds?\b)"
MONEY = rf"(?:{_SIGN}\s*)?(?P<{{name}}>{_AMOUNT})(?:\s*(?P<{{name}}_sign>{_SIGN}))?"
_NOT_MONEY = (
    r"(?!\s*(?:-\s*)?(?:%|percent|per cent|day|week|month|year|hour|minute|working|page|volume|vol\b|book|cop(?:y|ies)"
    r"|star|item|title|point|part|chapter|people|person|other))"
)


def _money(name: str) -> str:
    return MONEY.replace("{name}", name)


_BETWEEN = re.compile(
    rf"\b(?:between|from)\s+{_money('low')}\s*(?:and|to|-|\u2013)\s*{_money('high')}{_NOT_MONEY}"
    rf"|(?<![\w.]){_money('low2')}\s*(?:-|\u2013|to)\s*{_money('high2')}{_NOT_MONEY}"
)
_MOST = re.compile(
    r"\b(?:under|below|beneath|less than|lower than|cheaper than|at most|up to|no more than|not more than"
    r"|(?:not|nothing|none|no more|never|no books?) (?:over|above|more than|beyond|past)"
    r"|max(?:imum)?\.?(?: of)?|within|costs? less than|don't want to (?:spend|pay) more than|budget (?:is|of)"
    r"|(?:can|could|may|might|want to|will) spend)\s+(?:about\s+|around\s+)?"
    rf"{_money('most')}{_NOT_MONEY}"
    rf"|\b{_money('most2')}\s+(?:or less|or under|or below|max(?:imum)?|tops|at (?:the )?most)\b"
)
_LEAST = re.compile(
    r"\b(?:over|above|more than|at least|from|min(?:imum)?(?: of)?|not under|starting at|upwards of)\s+"
    rf"{_money('least')}{_NOT_MONEY}|\b{_money('least2')}\s+(?:or more|and up|or over|upwards)\b"
)
_AROUND = re.compile(rf"\b(?:around|about|roughly|approximately|circa)\s+{_money('near')}{_NOT_MONEY}")
_TENNER = (
    ("a tenner", "10 euros"),
    ("a fiver", "5 euros"),
    ("two tenners", "20 euros"),
    ("single digits", "9.99 euros"),
)
_PURSE = re.compile(rf"\b(?:i have|i've got|i only have)\s+(?:about\s+|only\s+)?{_money('purse')}{_NOT_MONEY}")
_NEAR = 0.2
Range = tuple[int | None, int | None]


def price_range(text: str) -> tuple[Range, str]:
    """Return the lowest and the highest wanted price in cents, and the text without the words that state them."""
    for spoken, figure in _TENNER:
        text = text.replace(spoken, figure)
    if found := _first(_BETWEEN, text, need_sign=True):
        low, high = _cents(found, "low", "low2"), _cents(found, "high", "high2")
        return (low, high), _without(text, found)
    if found := _first(_AROUND, text, need_sign=True):
        cents = _cents(found, "near")
        return (round(cents * (1 - _NEAR)), round(cents * (1 + _NEAR))), _without(text, found)
    least = most = None
    if found := _first(_PURSE, text, need_sign=True):
        return (None, _cents(found, "purse")), _without(text, found)
    if found := _first(_MOST, text):
        most, text = _cents(found, "most", "most2"), _without(text, found)
        if re.match(r"under|below|less|cheaper|lower", found[0]):
            most -= 1
    if found := _first(_LEAST, text, need_sign=not re.search(r"\b(?:over|above|at least|more than)\b", text)):
        least, text = _cents(found, "least", "least2"), _without(text, found)
    return (least, most), text


def _first(pattern: re.Pattern[str], text: str, *, need_sign: bool = False) -> re.Match[str] | None:
    """The first match; with ``need_sign`` one that says that it is money."""
    for found in pattern.finditer(text):
        if not need_sign or re.search(_SIGN, found[0]) or found[0].startswith("between"):
            return found
    return None


def _cents(found: re.Match[str], *names: str) -> int:
    return cents_of(next(found[name] for name in names if found[name]))


def cents_of(said: str) -> int:
    """An amount as it was typed, in cents."""
    if said[0].isalpha():
        return 100 * sum(number(part) or 0 for part in said.split("-"))
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+", said):
        return int(said.replace(",", "")) * 100
    return round(float(said.replace(",", ".")) * 100)


def _without(text: str, found: re.Match[str]) -> str:
    return f"{text[: found.start()]} , {text[found.end() :]}"
