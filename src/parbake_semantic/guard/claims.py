"""Claims that can be wrong: amounts of money, durations, percentages and dates, extracted from a text.

A claim in a reply that is not in the evidence is a violation, whoever wrote the reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
NUMBER_WORDS = {w: i for i, w in enumerate(_WORDS)} | _TENS | {"a": 1, "an": 1}
"""The number that a word states."""
FREE = re.compile(r"\bfree\b|\bno (?:extra |additional )?(?:cost|charge|fee)\b|\bat no cost\b", re.IGNORECASE)
"""States a price of nothing."""
_GROUPED = r"\d{1,3}(?:,\d{3}){1,6}+(?:\.\d+)?(?!\d)|\d{1,3}(?:\.\d{3}){1,6}+,\d+"  # 1,299.50 and 1.299,50
_NUMBER = rf"(?<!\d)(?:{_GROUPED}|\d++(?:[.,]\d+)?+)"
"""A number is read from its first digit on, so that one of many digits is read once."""
_BELOW_HUNDRED = (
    rf"(?:{'|'.join(_TENS)})(?:[ -](?:{'|'.join(_WORDS[1:10])}))?|{'|'.join(sorted(_WORDS, key=len, reverse=True))}"
)
_HUNDREDS = rf"(?:{'|'.join(_WORDS[1:10])}|a)[ -]hundred(?:(?: and)?[ -](?:{_BELOW_HUNDRED}))?"
_WORD_NUMBER = rf"{_HUNDREDS}|{_BELOW_HUNDRED}|an?"
_UNIT_DAYS = {"minute": 1 / 1440, "hour": 1 / 24, "day": 1, "week": 7, "month": 30, "year": 365}
_DURATION = re.compile(
    rf"\b({_NUMBER}|{_WORD_NUMBER})(?:\s*(?:to|-|\u2013)\s*({_NUMBER}|{_WORD_NUMBER}))?[\s-]+"
    r"(?:(?:business|working|calendar|full|whole|more|further|additional|extra)\s+)?"
    rf"({'|'.join(_UNIT_DAYS)})s?\b",
    re.IGNORECASE,
)
_MONEY = re.compile(
    rf"(?:[€$£]|\b(?:EUR|USD|GBP)\s)\s*({_NUMBER})|({_NUMBER})\s*(€|\$|£|\b(?:EUR|USD|GBP|euros?|dollars?|cents?)\b)",
    re.IGNORECASE,
)
_MONEY_IN_WORDS = re.compile(rf"\b({_WORD_NUMBER})\s+(?:euros?|dollars?|pounds)\b", re.IGNORECASE)
_PERCENT = re.compile(rf"({_NUMBER}|\b(?:{_WORD_NUMBER}))\s*(?:%|\bper ?cent\b)", re.IGNORECASE)
_MONTHS = "january february march april may june july august september october november december".split()
_DATE = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({'|'.join(_MONTHS)})\b|\b({'|'.join(_MONTHS)})\s+(\d{{1,2}})\b",
    re.IGNORECASE,
)


class Claim(msgspec.Struct, frozen=True):
    """One claim: its kind (``money``, ``duration`` in days, ``percent``, ``date``) and its value."""

    kind: str
    value: str


@lru_cache(4_096)  # cached, because replies are checked against the same few policies
def claims(text: str) -> frozenset[Claim]:
    """The claims of a text; a range such as "2 to 4 days" counts as two claims."""
    found = {Claim("money", _money(before or after, unit)) for before, after, unit in _MONEY.findall(text)}
    found |= {Claim("percent", f"{_value(n):.10g}") for n in _PERCENT.findall(text)}
    found |= {Claim("money", f"{_value(n):.10g}") for n in _MONEY_IN_WORDS.findall(text)}
    for low, high, unit in _DURATION.findall(text):
        if low.lower() in {"a", "an"} and not high:
            continue
        days = _UNIT_DAYS[unit.lower()]
        found |= {Claim("duration", f"{_value(n) * days:.4g}") for n in (low, high) if n}
    for day, month, month_first, day_last in _DATE.findall(text):
        found.add(Claim("date", f"{int(day or day_last)} {(month or month_first).lower()}"))
    return frozenset(found)


def without_claims(text: str) -> str:
    """A text without the amounts, percentages, durations and dates that :func:`claims` finds in it."""
    for pattern in (_MONEY, _PERCENT, _MONEY_IN_WORDS, _DURATION, _DATE):
        text = pattern.sub(" ", text)
    return text


def ungrounded(text: str, evidence: Iterable[str]) -> frozenset[Claim]:
    """The claims of a text that no piece of evidence contains."""
    made: set[Claim] = set()
    for piece in evidence:
        made |= claims(piece)
    return claims(text) - made


_ASKS = (
    ("money", re.compile(r"\bhow much\b|\bcosts?\b|\bprice\b|\bfees?\b|\bexpensive\b|\bcheap", re.IGNORECASE)),
    (
        "duration",
        re.compile(
            r"\bhow (?:long|many (?:days|weeks|months|hours)|late|soon|quick(?:ly)?|fast)\b|\bwindow\b|\bdeadline\b"
            r"|\btime limit\b|\b(?:until|by|till) when\b|\bnumber of days\b|\btimeframe\b|\bperiod\b",
            re.IGNORECASE,
        ),
    ),
)
_SATISFIED_BY = {"money": {"money"}, "duration": {"duration", "date"}}


def expected_kind(question: str) -> str | None:
    """The kind of claim that an answer must contain: ``duration`` for "how long ...", ``money`` for "how much ..."."""
    return next((kind for kind, pattern in _ASKS if pattern.search(question)), None)


def states(kind: str, text: str) -> bool:
    """Whether a text contains a claim of the requested kind ("it is free" states a price)."""
    if kind == "money" and FREE.search(text):
        return True
    return any(claim.kind in _SATISFIED_BY[kind] for claim in claims(text))


def _value(text: str) -> float:
    if text[0].isdigit():
        return _decimal(text)
    hundreds, _, below = text.lower().rpartition("hundred")
    number = sum(NUMBER_WORDS[part] for part in re.split(r"[ -]", below) if part not in ("", "and"))
    return number + 100.0 * (NUMBER_WORDS[hundreds.strip(" -")] if hundreds else 0)


def _money(text: str, unit: str) -> str:
    return f"{_decimal(text) / (100 if unit.lower().startswith('cent') else 1):.10g}"


def _decimal(text: str) -> float:
    """Parse a number with a point or comma before its decimals; separators of thousands are dropped."""
    if re.fullmatch(_GROUPED, text):
        grouping = "," if text.find(",") < text.find(".") or "." not in text else "."
        text = text.replace(grouping, "")
    return float(text.replace(",", "."))
