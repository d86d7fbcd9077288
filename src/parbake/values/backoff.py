"""How long to wait before another attempt: longer after each one, up to a limit."""

from __future__ import annotations

import msgspec

_MOST = 64
"""The pause stops growing after this many attempts, because a float overflows at a high power."""


class Backoff(msgspec.Struct, frozen=True):
    """Growing pauses. The caller spreads them by chance where many would wait for the same.

    Attributes:
        first_s: The pause after the first attempt, in seconds.
        longest_s: The longest pause, in seconds.
        factor: By how much each pause is longer than the one before.
    """

    first_s: float
    longest_s: float
    factor: float = 2.0

    def pause_s(self, attempt: int) -> float:
        """The pause in seconds after an attempt; the first is attempt 0."""
        return min(self.longest_s, self.first_s * self.factor ** min(attempt, _MOST))
