"""The questions of each answer that are hits to the letter only, because its room for vectors is taken.

They are small: a question, its answer, and no vector. Their number per answer has a limit all the same, so that one
answer that is asked for in ever new words does not take the room of all others.
"""

from __future__ import annotations

from parbake_semantic.text.audience import Scope

MAX_EXACT_WORDINGS = 1_000
"""How many questions of an answer are kept to the letter, beside those that are found by their vectors."""
_Answer = tuple[Scope, str]


class ExactWordings:
    """The keys of such questions by answer, those that were used least recently first. Not thread-safe."""

    def __init__(self, limit: int | None) -> None:
        """Create an empty list.

        Args:
            limit: The greatest number of questions per answer; ``None`` for no limit, and then none is noted.
        """
        self._limit = limit
        self._keys: dict[_Answer, dict[bytes, None]] = {}
        self._full: set[_Answer] = set()

    def use(self, answer: _Answer, key: bytes) -> None:
        """Note a question as the one that was used last.

        Args:
            answer: The answer's scope and group.
            key: The question's key.
        """
        if self._limit is None:
            return
        keys = self._keys.setdefault(answer, {})
        keys.pop(key, None)
        keys[key] = None
        if len(keys) > self._limit:
            self._full.add(answer)

    def remove(self, answer: _Answer, key: bytes) -> None:
        """Remove a question; one that is not noted is passed over.

        Args:
            answer: The answer's scope and group.
            key: The question's key.
        """
        keys = self._keys.get(answer, {})
        keys.pop(key, None)
        if not keys:
            self._keys.pop(answer, None)

    def surplus(self) -> list[bytes]:
        """The keys beyond the limits, which were used least recently."""
        full, self._full = self._full, set()
        if self._limit is None:
            return []
        noted = [list(self._keys.get(answer, ())) for answer in full]
        return [key for keys in noted for key in keys[: max(0, len(keys) - self._limit)]]
