"""Sentence-level release: buffer up to the end of the sentence, check, release. Released text is never retracted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

_END = re.compile(  # what is rare comes first: a space; "No." and "Vol." before a number end no sentence
    r"\s(?:(?<=[.!?]\s)|(?<=[.!?][\"'\u201d)]\s))(?<!\bVol\.\s)(?<!\bvol\.\s)(?<!\bNo\.\s)\s*(?=\S)"
)
Check = Callable[[str], str | None]


async def release(pieces: AsyncIterator[str], check: Check, *, longest: int = 1000) -> AsyncIterator[str]:
    """Pass a stream on in whole sentences, each after a check.

    Args:
        pieces: The stream of text.
        check: Returns the text to release instead of a sentence, or ``None`` for nothing.
        longest: A run of this many characters without a sentence end is checked as one sentence.
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
    """Split a text at its sentence ends."""
    return [s.strip() for s in _END.split(text) if s.strip()]
