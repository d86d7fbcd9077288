"""A model's text as sentences with references: what it may say rests on something that the shop itself states."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

import parbake as pb

_REFERENCE = re.compile(r"\[\s*(r\d{1,3}|[a-z0-9-]{1,60}#[a-z0-9-]{1,80})\s*\]")
_BEFORE_END = re.compile(r"([.!?])((?:\s*\[[^\[\]]{1,150}\])+)")
"""References behind the end of a sentence: they belong to it, not to the next."""
_WORDS = re.compile(r"[A-Za-z]{2,}")
_SLOT = re.compile(r"\{\{([a-z_]+):([^{}\s]+)\}\}")


class Statement(msgspec.Struct, frozen=True):
    """Something that the shop states: a text with slots, and the entities that it is about."""

    text: str
    sources: tuple[str, ...] = ()
    section: str = ""


class Said(msgspec.Struct, frozen=True):
    """One sentence of a model without its references.

    Attributes:
        text: The sentence; empty if only what it refers to may be shown.
        told: What it refers to.
        is_courtesy: Whether it states nothing, and needs no reference.
    """

    text: str
    told: tuple[Statement, ...] = ()
    is_courtesy: bool = False


def read(text: str, statements: Mapping[str, Statement]) -> Iterator[Said]:
    """Read a model's text sentence by sentence.

    Args:
        text: The text with its references.
        statements: What each reference stands for. What a sentence claims by a reference that is not here cannot be
            checked, so the sentence itself is not used.
    """
    for sentence in pb.guard.sentences(_BEFORE_END.sub(r"\2\1", text)):
        names = list(dict.fromkeys(_REFERENCE.findall(sentence)))
        told = tuple(statements[name] for name in names if name in statements)
        words = _without_references(sentence)
        if pb.guard.is_courtesy(words):
            yield Said(words, is_courtesy=True)
            words = ""
        is_known = len(told) == len(names) and _WORDS.search(words) is not None
        yield Said(words if is_known else "", told)


def with_slots(sentence: str, told: Sequence[Statement], fill: Callable[[str, str], str | None]) -> str:
    """Replace what the slots of some statements stand for now by the slots, so that the shop fills in every number.

    A value of two different slots stays as it is, and is checked like any other claim.

    Args:
        sentence: A model's sentence.
        told: What it refers to.
        fill: The present value of a slot by its kind and name; ``None`` if it has none.
    """
    held: dict[str, set[str]] = {}
    for kind, name in {found for one in told for found in _SLOT.findall(one.text)}:
        if value := fill(kind, name):
            held.setdefault(value, set()).add(f"{{{{{kind}:{name}}}}}")
    single = {value: slots.pop() for value, slots in held.items() if len(slots) == 1}
    if not single:
        return sentence
    longest_first = sorted(single, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    return pattern.sub(lambda match: single[match[0]], sentence)


def _without_references(sentence: str) -> str:
    words = " ".join(_REFERENCE.sub(" ", sentence).split())
    return re.sub(r"\s+([.,!?;:])", r"\1", words)
