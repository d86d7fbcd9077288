"""A model's text cut into units as it arrives, so that each can be released, replaced or left out by itself.

The prompt asks for one unit a line, with a mark in front of it. Plain prose and Markdown are cut into sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

import parbake_semantic.guard

Kind = Literal["talk", "claim", "section", "sum", "unstated", "question"]
MARKS: Mapping[str, Kind] = {
    "~": "talk", ">": "claim", "+": "section", "=": "sum", "!": "unstated", "?": "question",
}  # fmt: skip
LONGEST = 1_000
"""A run of this many characters without an end is a unit of its own."""
_NAME = r"r\d{1,3}(?:\.\d{1,3})?|[a-z0-9-]{1,60}#[a-z0-9-]{1,80}(?:\.\d{1,3})?"
_CITED = re.compile(rf"\s?[\[(] ?(?:{_NAME})(?: ?(?:[,;]|and) ?(?:{_NAME})){{0,9}} ?[\])]")
_NAMED = re.compile(rf"(?<![\w.#-])(?:{_NAME})(?![\w#-])")
PLACE = re.compile(rf"\{{{{1,2}} ?({_NAME}) ?\}}{{1,2}}")
"""Where a reference is put into words."""
_WORDS = re.compile(r"[^\W\d_]{2}")
_REFERENCES = re.compile(rf"{_CITED.pattern}|{PLACE.pattern}")
_MARKED = re.compile(r"([~>+=!?])\s*(?=\S)")
_EMPHASIS = re.compile(r"[*`]")
_LIST_MARK = re.compile(r"^(?:#{1,6}\s+|[-\u2022]\s+|\d{1,2}[.)]\s+)+")


class Unit(msgspec.Struct, frozen=True):
    """A piece of a model's text.

    Attributes:
        kind: What it claims to be; of prose, what its form says.
        text: Its words, with ``{r1.2}`` where the shop puts the item into words.
        references: The items that it names, in its order.
    """

    kind: Kind
    text: str
    references: tuple[str, ...] = ()


class Cutter:
    """Cuts the pieces of a stream into units."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held = ""

    def feed(self, piece: str) -> Iterator[Unit]:
        """Yield the units that a piece completes."""
        *lines, held = (self._held + piece).split("\n")
        for line in lines:
            yield from units(line)
        self._held = held = _plain(held.lstrip())
        if not _MARKED.match(held):
            *whole, last = _cited_together(parbake_semantic.guard.sentences(held)) or [""]
            is_open = last.startswith(("[", "(")) and not _CITED.match(last)
            if whole and not is_open:  # a reference may still follow the sentence before
                yield from (_prose(sentence) for sentence in whole)
                self._held = last + held[len(held.rstrip()) :]
        if len(self._held) > LONGEST:
            yield from self.end()

    def end(self) -> Iterator[Unit]:
        """Yield what is left at the end of the stream."""
        held, self._held = self._held, ""
        yield from units(held)


def units(line: str) -> Iterator[Unit]:
    """The units of a line: one if it is marked, otherwise its sentences."""
    text = _plain(line.strip())
    if marked := _MARKED.match(text):
        kind = MARKS[marked[1]]
        said = text[marked.end() :]
        is_bare = kind in ("section", "sum")  # these name items without brackets, too
        names = tuple(dict.fromkeys(_NAMED.findall(said))) if is_bare else _names(said)
        if names or kind != "section":
            yield Unit(kind, said if kind == "sum" else without_citations(said), names)
            return
        text = said
    for sentence in _cited_together(parbake_semantic.guard.sentences(text)):
        yield _prose(sentence)


def _plain(line: str) -> str:
    """A line without the mark of a list and without marks of emphasis; in a calculation a star multiplies."""
    text = _LIST_MARK.sub("", line)
    return text if text.startswith("=") else _LIST_MARK.sub("", _EMPHASIS.sub("", text).lstrip())


def _prose(sentence: str) -> Unit:
    names = _names(sentence)
    text = without_citations(sentence)
    kind: Kind = "claim" if names else "question" if text.endswith("?") else "talk"
    if names and not _WORDS.search(PLACE.sub("", text)):
        kind = "section"
    return Unit(kind, text, names)


def _names(text: str) -> tuple[str, ...]:
    """The items that a text cites or places, in its order; a bare name is a word like any other."""
    return tuple(dict.fromkeys(name for found in _REFERENCES.finditer(text) for name in _NAMED.findall(found[0])))


def without_citations(text: str) -> str:
    """A text without the references that it cites."""
    return " ".join(_CITED.sub("", text).split())


def _cited_together(sentences: list[str]) -> list[str]:
    """Sentences, each with the references that stand behind its end."""
    found: list[str] = []
    for sentence in sentences:
        cited = _CITED.match(sentence)
        if cited and found:
            found[-1] += f" {cited[0]}"
            sentence = sentence[cited.end() :].strip()  # noqa: PLW2901 - what is left of it
        if sentence:
            found.append(sentence)
    return found
