"""Clocks that tests control."""

from __future__ import annotations

import time
from pathlib import Path


class FakeClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        """Start at a time in epoch seconds."""
        self.at = at

    def now(self) -> float:
        """The current time, in epoch seconds."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Advance the clock by some seconds."""
        self.at += seconds


class FileClock:
    """Wall time plus the offset in a file (seconds), so that one test controls the time of several processes."""

    def __init__(self, path: str | Path) -> None:
        """Create the clock; a missing file means no offset."""
        self._path = Path(path)

    def now(self) -> float:
        """The current time, in epoch seconds."""
        try:
            return time.time() + float(self._path.read_text() or 0)
        except FileNotFoundError:
            return time.time()

    def advance(self, seconds: float) -> None:
        """Advance the clock of every process that reads this file."""
        offset = self.now() - time.time() + seconds
        aside = self._path.with_suffix(".new")
        aside.write_text(repr(offset))
        aside.replace(self._path)
