"""The concepts of a shop's help pages, and the many ways in which customers put them.

A page says "opened items", a customer "I took the plastic off". Both name the same concept, and a section that has the
concepts of a question probably answers it, however few words they share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from retail_assistant.understand.said.places import place
from retail_assistant.understand.said.said_of_orders import ORDERS
from retail_assistant.understand.said.said_of_service import SERVICE
from retail_assistant.understand.said.seldom_stated import SPOKEN

_PATTERNS = {name: re.compile(rf"\b(?:{'|'.join(spoken)})") for name, spoken in (ORDERS | SERVICE | SPOKEN).items()}
_WITH_US = re.compile(r"\b(?:writ\w+|talk|speak|get back|come back|tell it) to us\b")
"""Where "us" is the shop, and no country."""
OWN_DEADLINES = frozenset({"opened", "digital", "signed", "gift", "holiday", "damaged", "exchange"})
"""What can be returned on other terms than a book in general."""
_SAYS_MORE = {
    "sharing": frozenset({"address"}),
    "return_abroad": frozenset({"delivery"}),
}
"""Concepts beside which some others say nothing."""
TROUBLES = frozenset({"damaged", "misprint", "wrong_item", "dent", "file_fault"})
"""The concepts of a trouble with a book, of which it matters that the book arrived with it."""
SELDOM_STATED = frozenset(SPOKEN)
"""What customers ask of any shop, and only some state."""


def concepts(text: str) -> frozenset[str]:
    """The concepts that a text in lower case names; a place counts as a part of the world."""
    found = {name for name, pattern in _PATTERNS.items() if pattern.search(text)}
    if where := place(_WITH_US.sub("", text)):
        found |= {"abroad", "in_europe" if where[1] else "beyond_europe"}
        if "return" in found:
            found.add("return_abroad")
    for one, others in _SAYS_MORE.items():
        if one in found:
            found -= others
    if found & OWN_DEADLINES:
        found.discard("deadline")
    if not found & TROUBLES:
        found.discard("arrival")
    return frozenset(found)


def names_any(text: str, names: Iterable[str]) -> bool:
    """Whether a text in lower case names one of some concepts by its own words."""
    return any(_PATTERNS[name].search(text) for name in names)


def names_all(text: str, names: Iterable[str]) -> bool:
    """Whether a text in lower case names all of some concepts by its own words."""
    return all(_PATTERNS[name].search(text) for name in names)
