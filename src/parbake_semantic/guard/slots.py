"""Typed slots: artifacts and models write ``{{price:B000001}}``; the value is looked up when the reply is released.

A precompiled text therefore never contains a number that could become outdated.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from parbake.errors import ParbakeError

_SLOT = re.compile(r"\{\{([a-z_]+):([^{}\s]+)\}\}")
Lookup = Callable[[str, str], str | None]


class UnfilledSlot(ParbakeError):
    """A slot refers to something that does not exist or no longer exists; the sentence must not be released."""


class Slot(msgspec.Struct, frozen=True):
    """One slot: the kind of value and the name of its object."""

    kind: str
    name: str


def slots(text: str) -> list[Slot]:
    """The slots of a text in order."""
    return [Slot(kind, name) for kind, name in _SLOT.findall(text)]


def fill(text: str, lookup: Lookup) -> str:
    """Fill every slot; raises :class:`UnfilledSlot` for the first one that ``lookup`` has no value for."""

    def one(match: re.Match[str]) -> str:
        value = lookup(match[1], match[2])
        if value is None:
            raise UnfilledSlot(f"there is no value for {{{{{match[1]}:{match[2]}}}}}", field=match[1])
        return value

    return _SLOT.sub(one, text)
