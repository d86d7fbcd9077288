"""The words of questions and answers, which distinguish questions that vectors do not.

"How long can I return an opened book" is near the return window, but the section on opened items says otherwise. If a
question has a word of a sibling's title that no wording of the answer contains, it is probably about the sibling. And
if a section contains every content word of a question, it may well answer it, whatever else is near.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

import parbake_semantic

UNANSWERED = "?"
"""The prefix of names of questions that the bank recognises and must not answer; no policy's id has it."""
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
    """The words of each answer of a bank, and the title words of its policy's other sections."""

    def __init__(self, bank: parbake_semantic.Bank) -> None:
        """Read a bank's wordings, and the names of all sections that it answers or refuses."""
        self._said: dict[str, set[str]] = defaultdict(set)
        self._siblings: dict[str, dict[str, set[str]]] = defaultdict(dict)
        for owner, alias in zip(bank.owner_of, bank.aliases, strict=True):
            self._said[bank.answers[owner]] |= _words(alias)
        for name in bank.answers:
            policy, _, section = name.lstrip(UNANSWERED).partition("#")
            self._siblings[policy][name] = _words(section)

    def names_another(self, question: str, answer: str) -> bool:
        """Whether a question has a word of a sibling's title that none of the answer's own wordings contains."""
        foreign = _words(question) - self._said[answer]
        siblings = self._siblings[answer.partition("#")[0]]
        return any(words & foreign for name, words in siblings.items() if name != answer)

    def said(self, answer: str) -> set[str]:
        """The words of an answer's wordings."""
        return self._said[answer]

    def unsaid(self, question: str, answer: str) -> frozenset[str]:
        """The content words of a question that no wording of the answer contains."""
        return frozenset(content_words(question) - content_words(" ".join(self._said[answer])))


def is_stated(question: str, texts: Iterable[str]) -> bool:
    """Whether a question has content words, and each of them occurs in at least one of the texts."""
    asked = content_words(question)
    return bool(asked) and asked <= set().union(*map(content_words, texts))


def content_words(text: str) -> set[str]:
    """The stems of a text's words of at least three letters, without function words such as "the" and "which"."""
    plain = _CONTRACTED.sub("", _NEGATED.sub(" not", text.lower()))
    return {_stem(word) for word in _WORD.findall(plain) if word not in _FUNCTION_WORDS}


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    """A word without its plural or ``-ing`` or ``-ed``: ``cancel`` of "cancelling", ``exchang`` of "exchanges"."""
    single = word[:-1] if word.endswith("s") and not word.endswith("ss") else word
    stem = _DOUBLED.sub(r"\1", _ENDING.sub("", single).removesuffix("e"))
    return f"{stem[:-1]}i" if stem.endswith("y") else stem


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
