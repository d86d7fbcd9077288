"""Whether a question names another section of a policy than the one that would answer it.

"How long can I return an opened book" lies near the return window, and the section on opened items says otherwise. A
word of a sibling's title that no wording of the answer has is a sign that a question is about the sibling.
"""

from __future__ import annotations

import re
from collections import defaultdict

import parbake as pb
from retail_assistant.faq.compile import UNANSWERED

_WORD = re.compile(r"[^\W\d_]{3,}")


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


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
