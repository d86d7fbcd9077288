"""A limit on lines of the log that clients cause, such as one for each request that is not HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable

_EACH_S = 60.0
"""The least time between two lines of one kind, in seconds."""


class LineLimit(logging.Filter):
    """Passes one warning of a kind a minute, which says how many were left out before it. Errors all pass."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Limit lines by a clock.

        Args:
            now: Returns the time, in seconds from any moment.
        """
        super().__init__()
        self._now = now
        self._passed_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; kinds are told apart by their messages without arguments."""
        if record.levelno != logging.WARNING:
            return True
        kind, now = str(record.msg), self._now()
        if now < self._passed_at.get(kind, float("-inf")) + _EACH_S:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return False
        self._passed_at[kind] = now
        if count := self._left_out.pop(kind, 0):
            record.msg = f"{record.getMessage()} ({count:,} more like it since the last such line)"
            record.args = ()
        return True
