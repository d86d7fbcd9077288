"""Typed slots: artifacts and models write ``{{price:B000001}}``; the value is looked up when the reply is released.

So a stale number cannot exist in a precompiled text: it never held the number.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from parbake.errors import ParbakeError

_SLOT = re.compile(r"\{\{([a-z_]+):([^{}\s]+)\}\}")
Lookup = Callable[[str, str], str | None]


class UnfilledSlot(ParbakeError):
    """A slot names something that does not exist (any more); the sentence must not be released."""

    title = "Unfilled slot"


class Slot(msgspec.Struct, frozen=True):
    """One slot: what kind of value, and of what."""

    kind: str
    name: str


def slots(text: str) -> list[Slot]:
    """The slots of a text in order."""
    return [Slot(kind, name) for kind, name in _SLOT.findall(text)]


def fill(text: str, lookup: Lookup) -> str:
    """Fill every slot; raises :class:`UnfilledSlot` naming the first that ``lookup`` knows nothing of."""

    def one(match: re.Match[str]) -> str:
        value = lookup(match[1], match[2])
        if value is None:
            raise UnfilledSlot(f"nothing fills {{{{{match[1]}:{match[2]}}}}}", field=match[1])
        return value

    return _SLOT.sub(one, text)
