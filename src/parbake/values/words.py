"""Finds words in texts and in nested values: whole words, so that ``u1`` is not found in ``u10``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any


class Words:
    """Some words that are looked for. A word ends where neither a letter, a digit, ``_`` nor ``-`` goes on."""

    def __init__(self, words: Iterable[str]) -> None:
        """Look for ``words``; empty ones are left out."""
        kept = sorted({word for word in words if word}, key=len, reverse=True)
        either = "|".join(map(re.escape, kept))
        self._pattern = re.compile(rf"(?<![\w-])(?:{either})(?![\w-])") if kept else None

    def in_text(self, text: str) -> bool:
        """Whether a text has one of the words."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def in_value(self, value: Any) -> bool:
        """Whether a value has one of the words in any text within it: a struct of lists, mappings and texts."""
        if isinstance(value, str):
            return self.in_text(value)
        if isinstance(value, Mapping):
            return any(self.in_value(one) for pair in value.items() for one in pair)
        return isinstance(value, list | tuple) and any(map(self.in_value, value))
