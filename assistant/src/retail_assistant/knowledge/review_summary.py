"""Extractive review summaries: original sentences, chosen so that together they cover the most frequent words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import msgspec

import parbake_semantic.guard
from retail_assistant.knowledge.shop_views import ReviewText
from retail_assistant.shop.opening import opening

_WORD = re.compile(r"[a-z']{4,}")
_DULL = frozenset(
    "about book books from have read reading really that their there this very volume were which with would".split()
)
_FOREIGN = re.compile(
    r"://|www[.\u3002]|<\w|\w@\w|(?:[.\u3002]|\bdot) ?(?:com|net|org|example|info|shop)\b", re.IGNORECASE
)
"""Addresses, also with a full stop of another script or in words, and markup: the shop says neither in its own name."""
MAX_SENTENCE = 200


class Summary(msgspec.Struct, frozen=True):
    """``average`` is 1 to 5; ``praise`` and ``criticism`` are quoted sentences."""

    count: int
    average: float
    praise: tuple[str, ...]
    criticism: tuple[str, ...]


def summarize(reviews: Sequence[ReviewText]) -> Summary:
    """Quote two sentences of happy readers and one of unhappy readers, those with the most frequent words.

    Of a long review only the opening is read.
    """
    happy = [r.body for r in reviews if r.rating >= 4]  # noqa: PLR2004  # four and five stars
    unhappy = [r.body for r in reviews if r.rating <= 2]  # noqa: PLR2004  # one and two stars
    average = sum(r.rating for r in reviews) / len(reviews)
    return Summary(len(reviews), round(average, 2), _quote(happy, 2), _quote(unhappy, 1))


def _quote(bodies: Sequence[str], limit: int) -> tuple[str, ...]:
    """The sentences whose words recur most, each counting words that the earlier ones do not have yet."""
    pool = [
        s
        for body in bodies
        for s in parbake_semantic.guard.sentences(parbake_semantic.guard.strip_instructions(opening(body)))
        if len(s) <= MAX_SENTENCE and not _FOREIGN.search(unicodedata.normalize("NFKC", s))
    ]
    weights = Counter(word for sentence in pool for word in set(_words(sentence)))
    chosen: list[str] = []
    covered: set[str] = set()
    for _ in range(min(limit, len(pool))):
        best = max(pool, key=lambda s: sum(weights[w] for w in set(_words(s)) - covered) / (8 + len(s.split())))
        if best in chosen:
            break
        chosen.append(best)
        covered |= set(_words(best))
    return tuple(chosen)


def _words(sentence: str) -> list[str]:
    return [w for w in _WORD.findall(sentence.lower()) if w not in _DULL]
