"""The words of questions and answers: what tells apart that vectors do not.

"How long can I return an opened book" lies near the return window, and the section on opened items says otherwise. A
word of a sibling's title that no wording of the answer has is a sign that a question is about the sibling. And a
question whose every content word stands in a section is one that the section may well answer, whatever lies near it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

import parbake as pb

UNANSWERED = "?"
"""What the name of a question begins with that the bank knows and must not answer; no policy's id begins so."""
_WORD = re.compile(r"[^\W\d_]{3,}")
_NEGATED = re.compile(r"n['\u2019]t\b")
_CONTRACTED = re.compile(r"['\u2019][^\W\d_]+")
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed)$")
_DOUBLED = re.compile(r"([^aeiou])\1$")
_FUNCTION_WORDS = frozenset(
    "the and are can could will would shall should may might must does did doing has have had having was were been "
    "being how what when where which who whom whose why that this these those there here you your yours our ours "
    "they them their its his her him she for from with about into onto than then also any some much many long get "
    "gets getting got want need like please tell know".split()
)


class Vocabulary:
    """The words of each answer of a bank, and those by which its policy's other sections go."""

    def __init__(self, bank: pb.semantic.Bank) -> None:
        """Read a bank's wordings, and the names of all sections that it answers or knows."""
        self._said: dict[str, set[str]] = defaultdict(set)
        self._siblings: dict[str, dict[str, set[str]]] = defaultdict(dict)
        for owner, alias in zip(bank.owner_of, bank.aliases, strict=True):
            self._said[bank.answers[owner]] |= _words(alias)
        for name in bank.answers:
            policy, _, section = name.lstrip(UNANSWERED).partition("#")
            self._siblings[policy][name] = _words(section)

    def names_another(self, question: str, answer: str) -> bool:
        """Whether a question has a word of a sibling's title that the answer's own wordings never have."""
        foreign = _words(question) - self._said[answer]
        siblings = self._siblings[answer.partition("#")[0]]
        return any(words & foreign for name, words in siblings.items() if name != answer)

    def said(self, answer: str) -> set[str]:
        """The words of an answer's wordings."""
        return self._said[answer]

    def unsaid(self, question: str, answer: str) -> frozenset[str]:
        """The content words of a question that no wording of the answer has."""
        return frozenset(content_words(question) - content_words(" ".join(self._said[answer])))


def is_stated(question: str, texts: Iterable[str]) -> bool:
    """Whether a question has content words, and every one of them stands in some of the texts."""
    asked = content_words(question)
    return bool(asked) and asked <= set().union(*map(content_words, texts))


def content_words(text: str) -> set[str]:
    """The stems of a text's words of three letters and more, but those that only hold a sentence together."""
    plain = _CONTRACTED.sub("", _NEGATED.sub(" not", text.lower()))
    return {_stem(word) for word in _WORD.findall(plain) if word not in _FUNCTION_WORDS}


def _stem(word: str) -> str:
    """A word without its plural or ``-ing`` or ``-ed``: ``cancel`` of "cancelling", ``exchang`` of "exchanges"."""
    single = word[:-1] if word.endswith("s") and not word.endswith("ss") else word
    stem = _DOUBLED.sub(r"\1", _ENDING.sub("", single).removesuffix("e"))
    return f"{stem[:-1]}i" if stem.endswith("y") else stem


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
