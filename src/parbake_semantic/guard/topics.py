"""The topic of a text, roughly: its meaningful words, cut to six letters as a stem."""

from __future__ import annotations

import re

_WORD = re.compile(r"[a-z0-9]+")
_COMMON = frozenset(
    "a about all an and any are as at be been but by can could day days did do does for from get got had has have how "
    "i if in is it its long many me much must my no not of on or our please so some something that the their them then "
    "there these they this to until us was we were what when where which who will with would you your".split()
)


def content_words(text: str) -> list[str]:
    """The stems of a text's words, without common words."""
    return [w[:6] for w in _WORD.findall(text.lower()) if w not in _COMMON]


def shares_topic(question: str, text: str) -> bool:
    """Whether a text contains any meaningful word of a question."""
    return bool(set(content_words(question)) & set(content_words(text)))
