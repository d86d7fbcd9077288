"""Wordings: politeness off, follow-ups joined to what they follow, formats and genres read out of a message."""

from __future__ import annotations

import re

_GREETING = re.compile(
    r"^(?:hi there|hi|hello|hey|good (?:morning|evening|day)|excuse me|quick question|dear team|sorry)[,:!]?\s+"
    r"|,?\s*\b(?:please|thanks in advance|thank you|thanks|thx)\s*(?=[?.!]*$)"
)
_CLOSING = "?.! \t\n"


def normalize(text: str) -> str:
    """A question without greeting, thanks and closing marks, in lower case; what is nothing else keeps its words."""
    lowered = text.lower().strip().rstrip(_CLOSING)
    while True:
        shorter = _GREETING.sub("", lowered).strip().rstrip(_CLOSING)
        if shorter in ("", lowered):
            return lowered
        lowered = shorter


_FORMATS = {
    "paperback": "paperback",
    "hardcover": "hardcover",
    "hardback": "hardcover",
    "digital": "digital",
    "ebook": "digital",
}
_WORDS = re.compile(r"[a-z0-9']+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def has_control_characters(text: str) -> bool:
    """Whether a text holds control characters other than tab and newline, or text direction overrides."""
    return bool(_CONTROL.search(text))


def named_format(text: str) -> str | None:
    """The format that a message names."""
    words = set(_WORDS.findall(text.lower().replace("e-book", "ebook")))
    return next((f for word, f in _FORMATS.items() if word in words), None)


def named_genre(text: str, genres: list[str]) -> str | None:
    """The genre that a message names, the longest first."""
    lowered = text.lower()
    return next((g for g in sorted(genres, key=len, reverse=True) if g.lower() in lowered), None)


def key_words(text: str) -> set[str]:
    """The words of a text in lower case."""
    return set(_WORDS.findall(text.lower()))
