"""Clocks that tests move."""

from __future__ import annotations

import time
from pathlib import Path


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        """Start at an epoch second."""
        self.at = at

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move forward."""
        self.at += seconds


class FileClock:
    """Wall time plus the offset in a file (seconds), so that one test moves the time of several processes."""

    def __init__(self, path: str | Path) -> None:
        """A missing file means no offset."""
        self._path = Path(path)

    def now(self) -> float:
        """Seconds since the epoch."""
        try:
            return time.time() + float(self._path.read_text() or 0)
        except FileNotFoundError:
            return time.time()

    def advance(self, seconds: float) -> None:
        """Move every process that reads this file forward."""
        offset = self.now() - time.time() + seconds
        aside = self._path.with_suffix(".new")
        aside.write_text(repr(offset))
        aside.replace(self._path)
