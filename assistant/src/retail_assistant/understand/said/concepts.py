"""The concepts of a shop's help pages, and the many ways in which customers put them.

A page says "opened items", a customer "I took the plastic off". Both name the same concept, and a section that has the
concepts of a question probably answers it, however few words they share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from retail_assistant.shop.data_file import pattern, read
from retail_assistant.understand.said.gaps import near
from retail_assistant.understand.said.places import place


def _read(name: str) -> dict[str, re.Pattern[str]]:
    """The pattern of each concept of a file."""
    path = Path(__file__).with_name(name)
    return {
        concept: pattern(rf"\b(?:{'|'.join(map(near, spoken))})", f"{name}: {concept}")
        for concept, spoken in read(path, dict[str, tuple[str, ...]]).items()
    }


_SPOKEN = _read("seldom_stated.toml")
_PATTERNS = _read("said_of_orders.toml") | _read("said_of_service.toml") | _SPOKEN
_UNOPENED = re.compile(
    r"\b(?:not|never|without)\b[^.?!]{0,25}\b(?:open\w*|unwrapp\w+|(?:tak\w+|touch\w+) (?:off )?(?:the )?"
    r"(?:wrapp\w+|plastic|foil|seal))\b"
    r"|n't (?:\w+ ){0,3}(?:open(?:ed)?|unwrapped|(?:taken|touched) (?:off )?(?:the )?(?:wrapp\w+|plastic|foil|seal))\b"
    r"|\bun-?opened\b|\bsealed\b"
    r"|\bstill (?:\w+ )?(?:wrapped|shut|in (?:its|the|their) (?:\w+[- ])?(?:wrap\w*|plastic|foil))\b"
)
"""Says that a book was not opened."""
_NO_BOOK = re.compile(r"\bopened (?:the|my|our) (?:door|order|account|mail|e-?mail|app)\b")
_WITH_US = re.compile(r"\b(?:writ\w+|talk|speak|get back|come back|tell it) to us\b")
"""Where "us" is the shop, and no country."""
UNOPENED = "unopened"
"""The concept of a book that was not opened: what is stated of opened ones is not meant."""
OWN_DEADLINES = frozenset({"opened", "digital", "signed", "gift", "holiday", "damaged", "exchange"})
"""What can be returned on other terms than a book in general."""
_SAYS_MORE = {
    "sharing": frozenset({"address"}),
    "return_abroad": frozenset({"delivery"}),
    "file_fault": frozenset({"app", "drm"}),
}
"""Concepts beside which some others say nothing."""
TROUBLES = frozenset({"damaged", "misprint", "wrong_item", "dent", "file_fault"})
"""The concepts of a trouble with a book, of which it matters that the book arrived with it."""
_ABROAD = {"express": "express_abroad", "pickup": "pickup_abroad"}
"""What a shop may have at home and not abroad."""
SELDOM_STATED = frozenset(_SPOKEN) | frozenset(_ABROAD.values())
"""What customers ask of any shop, and only some state."""
OF_SERVICE = frozenset(
    {
        "wrapping", "sell_to", "referral", "jobs", "reviews_write", "store", "phone", "newsletter", "put_by", "drm",
        "transfer", "sample", "price_match",
    }
)  # fmt: skip
"""Those of them that are only asked of a shop's service, and never said of a book."""


@lru_cache(32)  # a reply asks several times of one question
def concepts(text: str) -> frozenset[str]:
    """The concepts that a text in lower case names; a place counts as a part of the world."""
    found = {name for name, pattern in _PATTERNS.items() if pattern.search(text)}
    if "opened" in found and (_UNOPENED.search(text) or _NO_BOOK.search(text)):
        found.discard("opened")
    if _UNOPENED.search(text) and "file_fault" not in found:
        found.add(UNOPENED)
    if where := place(_WITH_US.sub("", text)):
        found |= {"abroad", "in_europe" if where[1] else "beyond_europe"}
        if "return" in found:
            found.add("return_abroad")
    found |= {more for one, more in _ABROAD.items() if one in found and "abroad" in found}
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
