"""Which words of a unit need an item behind them: all but words of talk and taste, and all that count or date."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from functools import lru_cache
from pathlib import Path

import parbake_semantic.guard
from retail_assistant.shop.data_file import read
from retail_assistant.shop.shop_words import VOCABULARY

_READ = parbake_semantic.guard.reader(VOCABULARY)
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
_LISTS = read(Path(__file__).with_name("talk.toml"), dict[str, str])
_ENDINGS, _SILENT = ("es", "s", "ed", "ing", "er", "est", "ly"), re.compile(r"[ey]$")
_MEASURES = frozenset(_LISTS["measures"].split())
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "opening": 1}
_NTH = re.compile(rf"\b(?:(?:the|a|an|its) )?({'|'.join(_ORDINALS)}) (?:volume|part|book)\b")
_OVER = re.compile(
    r"\b(?:all|both|neither|none|every|each|only|most|many|several|(?:one|two|three|four|five|half) of)\b",
    re.IGNORECASE,
)
_COMPARES = re.compile(r"\b(?:[a-z]{3,}(?:er|ier)|more [a-z]+|less [a-z]+) (?:than|of the)\b|\bas [a-z]+ as\b")
"""Says that one thing has more of something than another."""


def _stems(names: str) -> frozenset[str]:
    """The stems of lists of words with their common endings."""
    listed = [word for name in names.split() for word in _LISTS[name].split()]
    formed = [f"{_SILENT.sub('i' if word.endswith('y') else '', word)}{end}" for word in listed for end in _ENDINGS]
    return frozenset().union(listed, *map(_READ.words, (*listed, *formed)))


_OF_TALK, _OF_CLAIMS = _stems("talk"), _stems("taste plain")
_OF_QUESTIONS = _stems("talk ask taste plain measures")
LONG = 7
"""From how many content words on nearly all of a claim is its item's if only one is not."""
_COUNTED = _MEASURES - frozenset(_LISTS["talk"].split())
_ASKS = re.compile(
    r"^(?:(?:and|or|but|so|if [^,]{1,60},) ?)*(?:shall|should|would|do|does|did|is|are|was|were|has|have|had|may|can"
    r"|could|will|which|what|who|whom|how|when|where|any)\b(?!.*\b(?:us|we|our)\b)",
    re.IGNORECASE,
)
"""Asks something of the customer, and nothing of the shop."""


@lru_cache(512)
def words(text: str) -> frozenset[str]:
    """The stems of the words of a text that say something."""
    return _READ.words(text)


def states(text: str) -> bool:
    """Whether a sentence without an item has other words than people say to each other, or such as count."""
    said = frozenset(_WORD.findall(text.lower()))
    return bool(said & _COUNTED or words(text) - _OF_TALK)


def asks(question: str, told: AbstractSet[str]) -> bool:
    """Whether a text does nothing but ask, in words of talk, of the shop's goods in general, or that were ``told``."""
    parts = parbake_semantic.guard.sentences(question)
    are_asked = all(part.rstrip().endswith("?") and _ASKS.match(part.strip()) for part in parts)
    return are_asked and not words(question) - _OF_QUESTIONS - told


def numbered(text: str) -> str:
    """A text in lower case in which "the second volume" is "volume 2"."""
    return _NTH.sub(lambda found: f"volume {_ORDINALS[found[1]]}", text)


def foreign(text: str, known: str, *, has_own: bool = True) -> frozenset[str]:
    """The words of a claim that neither its items have, nor are words of taste.

    Args:
        text: The claim.
        known: What its items state.
        has_own: Whether a long claim may have one word of its own.
    """
    said = words(numbered(text.lower()))
    there = words(known) | ({*words("series"), "series"} if "volume" in known else set())
    found = said - there - _OF_CLAIMS
    is_free = has_own and len(found) == 1 and len(said) >= LONG
    return frozenset() if is_free else found


def unmeasured(text: str, known: str) -> str:
    """The first word of a claim that counts, compares or dates, and that its items do not have; empty without one."""
    said, there = numbered(text.lower()), frozenset(_WORD.findall(known.lower()))
    compared = _COMPARES.search(said)
    if compared and compared[0] not in known.lower():
        return compared[0]
    return next((word for word in _WORD.findall(said) if word in _MEASURES and word not in there), "")


def counts(text: str) -> bool:
    """Whether a text says of how many of several things something holds."""
    return _OVER.search(text) is not None
