"""What a conversation asks of recommendations: genres to keep or to leave out, and a format."""

from __future__ import annotations

import re

import msgspec

from retail_assistant.recs.shelf import OnShelf

_NOT = r"\b(?:no|not|without|nothing|never|except|don't (?:like|want)|hate)\b[^.,;!?]{0,20}?\b"
_FORMATS = {
    "paperback": "paperback",
    "hardcover": "hardcover",
    "hardback": "hardcover",
    "digital": "digital",
    "ebook": "digital",
}


class Wishes(msgspec.Struct, frozen=True):
    """The words that matter, in lower case."""

    text: str
    format: str | None

    def allows(self, item: OnShelf) -> bool:
        """Whether a product fits: never a genre that was ruled out, only the format that was named."""
        if self.format is not None and item.format != self.format:
            return False
        return not self._rules_out(item.genre)

    def prefers(self, item: OnShelf) -> bool:
        """Whether a product's genre was asked for."""
        genre = item.genre.lower()
        return bool(genre) and genre in self.text and not self._rules_out(item.genre)

    def _rules_out(self, genre: str) -> bool:
        return bool(genre) and bool(re.search(_NOT + re.escape(genre.lower()), self.text))


def read_wishes(words: str) -> Wishes:
    """Read the words of a conversation."""
    text = words.lower().replace("e-book", "ebook")
    named = [kind for word, kind in _FORMATS.items() if re.search(rf"\b{word}s?\b", text)]
    return Wishes(text, named[0] if len(set(named)) == 1 else None)
