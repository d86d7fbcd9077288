"""The earlier turns of a conversation, as far as they can change the bank's answer.

A question that is complete in itself can mean something else after "I live in Japan" or "a box set that I have opened".
After a mere change of topic the bank may still answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from retail_assistant.faq.faq_words import Vocabulary

_POINTS = re.compile(
    r"\bthis\b(?!\s+(?:shop|store|site|website|page|chat|way|week|weekend|month|year|time|morning|evening)\b)"
    r"|\bthese\b(?!\s+days\b)"
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_SENTENCE_END = re.compile(r"[.!?]\s|[:\n]")
_WHEREABOUTS = re.compile(
    r"\b(?:i|we)(?: am|['\u2019]?m| are|['\u2019]re)? (?:(?:live|living|based) )?(?:in|from) (?:the )?([^\W\d_]{2,})"
)
_PLACED = re.compile(r"\b(?:to|in|from|within) (?:the )?([^\W\d_]{2,})")


class Conversation(msgspec.Struct, frozen=True):
    """The shopper's earlier turns, oldest first, and whether the question was asked on a product's page."""

    earlier: tuple[str, ...] = ()
    has_page: bool = False

    def decides(self, question: str, answer: str, vocabulary: Vocabulary) -> bool:
        """Whether the meaning of a question, or the validity of that answer, depends on the earlier turns."""
        if _POINTS.search(question.lower()) and (self.has_page or self.earlier):
            return True
        return any(vocabulary.names_another(turn, answer) for turn in self.earlier)

    @property
    def names(self) -> frozenset[str]:
        """The proper names in earlier turns, in lower case."""
        return frozenset(name.lower() for turn in self.earlier for name in _names(turn))

    @property
    def has_place(self) -> bool:
        """Whether an earlier turn names a place, so that any answer has to be looked up for that place."""
        named = (word for turn in self.earlier for word in _PLACED.findall(turn) if word[0].isupper())
        return any(_WHEREABOUTS.search(turn.lower()) for turn in self.earlier) or any(named)


def spoken(text: str) -> set[str]:
    """The words of a text in lower case."""
    return set(_WORD.findall(text.lower()))


def _names(turn: str) -> Iterator[str]:
    """Capitalised words inside a sentence, and places in which somebody says to be; texts in capitals are ignored."""
    yield from _WHEREABOUTS.findall(turn.lower())
    if turn.isupper():
        return
    for sentence in _SENTENCE_END.split(turn):
        _first, *others = _WORD.findall(sentence) or [""]
        yield from (word for word in others if word[0].isupper())
