"""Shop words of other languages, so that a question in one of them finds its answer, which is then given in English.

A word for each word, in the order of the message: enough to find a policy or a kind of book, and no translation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from retail_assistant.shop.data_file import read
from retail_assistant.understand.said.places import place

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|\d+(?:[.,:]\d+)*|[?!.]")
_ELIDED = re.compile(r"^(?:[cdjlmnst]|qu|all|dell|nell|un|quell)['\u2019](?=\w)")
_ENGLISH = {
    said: english
    for language in read(Path(__file__).with_name("foreign.toml"), dict[str, dict[str, tuple[str, ...]]]).values()
    for english, words in language.items()
    for said in words
}
_NEVER_ALONE = frozenset(
    """was no e y et is port points carte digital con on an pages stock weg rate chez gratis ab auf pas mai""".split()
)
"""Words that English has as well, or that say nothing of a language by themselves."""
HEARD, SHORT = 2, 4
"""How many known words show that a message is about the shop; of fewer words than that, one does."""


def is_of_shop(text: str) -> bool:
    """Whether a message has shop words of another language, which English does not have, or names of places."""
    said = _said(text)
    known = sum((word in _ENGLISH and word not in _NEVER_ALONE) or place(word) is not None for word in said)
    return known >= (1 if len(said) <= SHORT else HEARD)


def in_english(text: str, *, keeps: Callable[[str], bool]) -> str:
    """The shop words of a message in English, in its order, with the words that ``keeps`` says to keep.

    It is empty if the message does not seem to be about the shop.
    """
    if not is_of_shop(text):
        return ""
    found = (_ENGLISH.get(word, word if not word.isalpha() or keeps(word) else "") for word in _said(text))
    return " ".join(filter(None, found)).replace(" ?", "?")


def _said(text: str) -> list[str]:
    """The words of a text in lower case, without articles and pronouns that are joined to them."""
    return [_ELIDED.sub("", word.lower()) for word in _WORD.findall(text)]
