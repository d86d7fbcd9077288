"""Sentence patterns: ``(a|b)`` stands for one of its parts, an empty part for nothing; groups do not nest."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np

from retail_assistant.world.texts.texts_read import Question

_GROUP = re.compile(r"\(([^()]*)\)")
_SPACES = re.compile(r" {2,}")
_SPACE_BEFORE_MARK = re.compile(r" ([,.?!])")


def expand(pattern: str, rng: np.random.Generator) -> str:
    """Return one sentence of a pattern, each group decided at random."""
    return _tidy(_GROUP.sub(lambda m: _pick(m.group(1).split("|"), rng), pattern))


def expand_all(pattern: str) -> Iterator[str]:
    """Yield every sentence of a pattern."""
    parts = [p.split("|") if i % 2 else [p] for i, p in enumerate(_GROUP.split(pattern))]
    for combination in itertools.product(*parts):
        yield _tidy("".join(combination))


def wordings(question: Question, rng: np.random.Generator, *, most: int) -> list[str]:
    """Return up to ``most`` different wordings of a question, drawn evenly from its patterns, its plain form first."""
    found = {question.canonical: None}
    for attempt in range(most * 8):
        if len(found) >= most:
            break
        found.setdefault(expand(question.patterns[attempt % len(question.patterns)], rng))
    return list(found)


def _pick(parts: list[str], rng: np.random.Generator) -> str:
    return parts[int(rng.integers(len(parts)))]


def _tidy(sentence: str) -> str:
    sentence = _SPACE_BEFORE_MARK.sub(r"\1", _SPACES.sub(" ", sentence).strip())
    return sentence[:1].upper() + sentence[1:]
