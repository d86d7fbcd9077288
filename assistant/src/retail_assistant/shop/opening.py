"""How much of a customer's text is read."""

from __future__ import annotations

MOST_READ = 1_000
"""A message, a wish or a review is understood from its first characters, at most so many."""

MOST_REMEMBERED = 3_000
"""A conversation is read back until the shopper's messages have so many characters together."""


def opening(text: str) -> str:
    """The part of a customer's text from which it is understood, so that a long one takes no longer."""
    return text[:MOST_READ]
