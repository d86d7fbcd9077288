"""The port of clocks."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time. The fence does not use it; ages, schedules and ``valid_until`` do."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...
