"""The words of a message: lower case, plain apostrophes, numbers written out as figures."""

from __future__ import annotations

import functools
import re
import unicodedata

TOKEN = re.compile(r"[€$£]|\d{1,3}(?:st|nd|rd|th)\b|\d+(?:[.,]\d+)*|[^\W\d_]+(?:['-][^\W\d_]+)*|[.,;:!?]")
_APOSTROPHES = str.maketrans("\u2019\u2018\u02bc\u201c\u201d", "'''\"\"")
_CLOSING = "?.! \t\n"
_GREETING = re.compile(
    r"^(?:hi there|hi|hello|hey|hiya|good (?:morning|evening|afternoon|day)|excuse me|quick question|one question"
    r"|dear team|sorry)[,:!.]?\s+"
    r"|(?:,\s*|(?<!\s)\s+)?\b(?:please|pls|thanks in advance|thank you|thanks|thx|cheers)\s*(?=[?.!]*$)"
)
_PLACE = re.compile(r"(\d{1,2})(?:st|nd|rd|th)")
_SHORT = 3
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
             "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14,
             "fifteenth": 15,
             "sixteenth": 16, "seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20}  # fmt: skip
CARDINALS = {word: i for i, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty".split()
)} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
      "hundred": 100}  # fmt: skip
_NUMBERS = CARDINALS | {"couple": 2, "dozen": 12}


def plain(text: str) -> str:
    """A text in lower case with plain quotation marks and composed letters."""
    return unicodedata.normalize("NFC", text).translate(_APOSTROPHES).lower()


def tokens(text: str) -> list[str]:
    """The words, numbers, currency signs and stops of a text in lower case."""
    return TOKEN.findall(plain(text))


def words(text: str) -> list[str]:
    """The words and numbers of a text in lower case."""
    return [token for token in tokens(text) if token[0].isalnum()]


def bare_words(text: str) -> list[str]:
    """The words of a text without apostrophes, which people leave out, and without the endings of plurals."""
    return [_singular(part) for word in words(text) for part in word.replace("'", "").split("-")]


def _singular(word: str) -> str:
    """A word without the ending of a plural."""
    return word[:-1] if len(word) > _SHORT and word.endswith("s") and not word.endswith("ss") else word


@functools.lru_cache(1_000)
def number(word: str) -> int | None:
    """The whole number that a word or a figure names, cardinal or ordinal; ``None`` for other words."""
    if word.isdecimal():
        return int(word) if len(word) < 7 else None  # noqa: PLR2004  # nothing in a shop is counted in millions
    return _NUMBERS[word] if word in _NUMBERS else ordinal(word)


@functools.lru_cache(1_000)
def ordinal(word: str) -> int | None:
    """The place that an ordinal such as "second" or "2nd" names."""
    found = _PLACE.fullmatch(word)
    return int(found[1]) if found else _ORDINALS.get(word)


def bare(text: str) -> str:
    """A question without greeting, thanks and closing marks, in lower case; a text of nothing else keeps its words."""
    lowered = text.lower().strip().rstrip(_CLOSING)
    while True:
        shorter = _GREETING.sub("", lowered).strip().rstrip(_CLOSING)
        if shorter in ("", lowered):
            return lowered
        lowered = shorter
