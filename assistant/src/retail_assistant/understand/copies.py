"""Which number of copies a text names, also one that cannot be a count: "-5 copies", "2.5", "half a copy"."""

from __future__ import annotations

import math
import re

from retail_assistant.understand.plain_words import CARDINALS

_MINUS = "[-\u2212\u2013]"
FIGURE = rf"{_MINUS}?\d++(?:[.,/]\d++)*+"
_WORD = "|".join(CARDINALS)
AMOUNT = rf"(?:(?:(?:minus|negative) )?(?:{FIGURE}|{_WORD})(?: and a half)?|half)"
"""A number that stands where a number of copies could."""
_VOLUMES = re.compile(r"\bvol(?:ume)?s? \w+(?:(?:,? (?:and|or|to|through) |, ?| ?& ?)\d+)+\b")
_THAT_ONE = re.compile(r"\b(?:the|that|this)(?: [\w.,\u20ac$\u00a3]+){0,2} ones?\b")
_AMOUNTS = re.compile(
    rf"(?<!volume )(?<!volumes )(?<!vol )(?:(?={_MINUS})|(?<!and ))(?<![\w.,/\u20ac$\u00a3-])({AMOUNT})\b"
    r"(?! ?(?:%|euro|eur|\u20ac))"
)
_COUNTED = re.compile(r" ?(?:an? |of )?(?:cop(?:y|ies)|pieces?|each|of)\b")
_COUNTS = re.compile(r"\b(?:add|put|buy|order|take|remove|delete|want|need|to|make (?:it|that)) $")


def copies(text: str) -> float | None:
    """The number of copies that a text without its titles names, NaN for a part of a copy.

    Of several numbers it is one that cannot be a count, if there is one. What is not a whole number may be a price or a
    day, unless the words beside it count with it.
    """
    text = _THAT_ONE.sub(" ", _VOLUMES.sub(" ", text))
    named = [
        named_amount
        for found in _AMOUNTS.finditer(text)
        if (named_amount := amount(found[1])).is_integer()
        or _COUNTED.match(text, found.end())
        or _COUNTS.search(text[: found.start()])
    ]
    return next((one for one in named if one < 0 or not one.is_integer()), named[0] if named else None)


def amount(said: str) -> float:
    """The amount that figures or words name; what is not a whole number is not a number here."""
    unsigned = re.sub(rf"^(?:minus |negative |{_MINUS})", "", said)
    first, *groups = re.split("[.,]", unsigned)
    figures = "".join([first, *groups])
    is_whole = all(len(group) == 3 for group in groups)  # noqa: PLR2004  # "1,000": digits of a thousand
    if figures.isdecimal():
        found = float(figures) if is_whole else math.nan
    else:  # a number word is looked up; "half", "1/2" and "one and a half" name a part of a copy
        found = float(CARDINALS.get(unsigned, math.nan))
    return found if unsigned == said else -found
