"""Sentence-level release: buffer to the sentence's end, check, release. What was shown is never retracted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

_END = re.compile(  # what is rare comes first: a space
    r"\s(?:(?<=[.!?]\s)|(?<=[.!?][\"'\u201d)]\s))(?<!\bVol\.\s)(?<!\bvol\.\s)(?<!\bNo\.\s)\s*(?=\S)"
)
Check = Callable[[str], str | None]


async def release(pieces: AsyncIterator[str], check: Check, *, longest: int = 1000) -> AsyncIterator[str]:
    """Pass a stream on by whole sentences.

    ``check`` returns what may be shown instead of each, or ``None`` for nothing. A run of ``longest`` characters
    without a sentence end is checked as one.
    """
    held = ""
    async for piece in pieces:
        held += piece
        *whole, held = _END.split(held)
        if len(held) > longest:
            whole, held = [*whole, held], ""
        for sentence in whole:
            shown = check(sentence.strip())
            if shown:
                yield shown + " "
    shown = check(held.strip()) if held.strip() else None
    if shown:
        yield shown


def sentences(text: str) -> list[str]:
    """A text cut at its sentence ends."""
    return [s.strip() for s in _END.split(text) if s.strip()]
