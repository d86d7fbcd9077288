"""How far apart the words of a pattern may stand."""

from __future__ import annotations

import re

FARTHEST = 100
"""The most characters between two words of a question that belong together."""
_GAP = re.compile(r"(?:\\w\*)?(\.|\[\^\.\?!;?\])\*")
"""A gap, and the rest of the word before it, which the gap has as well."""


def near(said: str) -> str:
    """A pattern in which ``.*`` and ``[^.?!]*`` stand for at most :data:`FARTHEST` characters.

    Otherwise a text that repeats the first word, and never has the last one, takes time with the square of its length.
    A pattern that begins with ``^(?!`` is tried only at the start of a text. It sets its own limits.
    """
    return said if said.startswith("^(?!") else _GAP.sub(rf"\1{{0,{FARTHEST}}}", said)
