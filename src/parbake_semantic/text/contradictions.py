"""Why two similar wordings can mean different things: numbers, ids, dates, polarity, opposites."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

Opposites = Mapping[str, frozenset[str]]

_DIGITS = re.compile(r"(?:(?<![a-z])[a-z]+)?[-#]?\d+(?:[.,:/-]\d+)*[a-z]*")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_NUMBER_WORDS = {
    word: str(n)
    for n, word in enumerate(
        "zero - two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
        " eighteen nineteen twenty".split()
    )
} | {word: str(10 * n) for n, word in enumerate("thirty forty fifty sixty seventy eighty ninety hundred".split(), 3)}
_ORDINALS = {"first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th"}
_DATES = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays"
    " sundays january february april june july august september october november december today tomorrow yesterday"
    " tonight weekend weekends weekday weekdays christmas easter".split()
)
_SIGNS = frozenset({"Sm", "No"})
"""Unicode categories of signs that change a number: a square, a half, a minus, a comparison."""
_UNITS = re.compile(r"(\d)(?:\s*(?:st|nd|rd|th))?[\s-]*(?:percent|per cent|%|euros?|dollars?|pounds?|usd|eur|gbp)\b")
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nothing|nobody|neither|nor|without|cannot|unable|fail(?:s|ed)?|except|"
    r"(?:ca|wo|do|does|is|are|was|were|did|has|have|had|could|should|would)n['\u2019]?t|isnt|dont|cant|wont)\b"
)
_PREFIX = re.compile(r"^(?:un|in|im|dis|non|de|ir|il)(?=\w{4})")
_LEAST_STEM = 4


def words(text: str) -> list[str]:
    """The words of a text in lower case, without digits."""
    return _WORD.findall(text)


def quantities(text: str) -> set[str]:
    """Numbers (in digits or words), ids and dates in a lower-case text."""
    found = set(_DIGITS.findall(_UNITS.sub(r"\1", text)))
    if not text.isascii() or any(c in text for c in "+<>=*^|~"):
        found |= {c for c in text if unicodedata.category(c) in _SIGNS or c in "*^\u2030"}
    for word in _WORD.findall(text):
        if word in _NUMBER_WORDS:
            found.add(_NUMBER_WORDS[word])
        elif word in _DATES:
            found.add(word.removesuffix("s"))
        elif word in _ORDINALS:
            found.add(_ORDINALS[word])
    return found


def negations(text: str) -> int:
    """Number of negations in a lower-case text."""
    return len(_NEGATION.findall(text))


def opposites_of(groups: Iterable[Sequence[str]]) -> Opposites:
    """The opposites of each word of some groups."""
    found: dict[str, frozenset[str]] = {}
    for group in groups:
        for word in group:
            found[word] = (found.get(word, frozenset()) | frozenset(group)) - {word}
    return found


def opposed(one: str, other: str, opposites: Opposites) -> bool:
    """Whether a word of one text has its opposite in the other, and the other does not contain the word itself.

    Args:
        one: A text in lower case.
        other: Another.
        opposites: The opposites of a word; besides these, "un-" and other prefixes make one.
    """
    left, right = set(_WORD.findall(one)), set(_WORD.findall(other))
    only_left, only_right = left - right, right - left
    if any(opposites.get(word, frozenset()) & only_right for word in only_left):
        return True
    return _negated(only_left, only_right) or _negated(only_right, only_left)


def _negated(plain: set[str], other: set[str]) -> bool:
    """Whether ``other`` contains a word of ``plain`` with a negating prefix ("unopened")."""
    stems = {_PREFIX.sub("", word) for word in other if _PREFIX.match(word)}
    return any(len(word) >= _LEAST_STEM and word in stems for word in plain)
