"""A model's text as references: what stands behind them is shown in the shop's own words, and courtesies connect it.

What a model says in its own words is not shown, even with a reference: no check tells surely whether a sentence that
uses the right numbers says the right thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

import parbake_semantic.guard

_REFERENCE = re.compile(r"\[\s*(r\d{1,3}|[a-z0-9-]{1,60}#[a-z0-9-]{1,80})\s*\]")
_WORDS = re.compile(r"[A-Za-z]{2,}")


class Statement(msgspec.Struct, frozen=True):
    """Something that the shop states: a text with slots, and the entities that it is about."""

    text: str
    sources: tuple[str, ...] = ()
    section: str = ""


class Said(msgspec.Struct, frozen=True):
    """A piece of a model's text: a courtesy, or what it refers to.

    Attributes:
        courtesy: A sentence that states nothing, and may be shown.
        told: What the piece refers to.
        has_own_words: Whether the model has said something itself, which is not shown.
    """

    courtesy: str = ""
    told: tuple[Statement, ...] = ()
    has_own_words: bool = False


def read(text: str, statements: Mapping[str, Statement]) -> Iterator[Said]:
    """Read a model's text sentence by sentence.

    Args:
        text: The text with its references.
        statements: What each reference stands for; one that is not here stands for nothing.
    """
    for sentence in parbake_semantic.guard.sentences(text):
        names = dict.fromkeys(_REFERENCE.findall(sentence))
        told = tuple(dict.fromkeys(statements[name] for name in names if name in statements))
        words = " ".join(_REFERENCE.sub(" ", sentence).split())
        if parbake_semantic.guard.is_courtesy(words):
            yield Said(words, told)
        else:
            yield Said(told=told, has_own_words=_WORDS.search(words) is not None)
