"""The tokens of the box: one for every four characters, so that a test can count them in its head."""

from __future__ import annotations

_CHARACTERS = 4
"""The length of a token in characters; the last token of a text may be shorter."""


def split(text: str) -> list[str]:
    """Split a text into its tokens."""
    return [text[at : at + _CHARACTERS] for at in range(0, len(text), _CHARACTERS)]


def counted(text: str) -> int:
    """The number of tokens of a text."""
    return -(-len(text) // _CHARACTERS)
