"""What sees the engine at work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from parbake.fence.cause import Reason


class Hook(Protocol):
    """Sees what the engine does; called on the hot path, so it only counts."""

    def served(self, task: str, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """A read ended."""
        ...

    def computed(self, task: str, key: bytes, lane: str, seconds: float, *, outcome: str, cpu_s: float = 0.0) -> None:
        """A computation ended; ``outcome`` is ``stored``, ``rejected`` or ``failed``; ``cpu_s`` its CPU seconds."""
        ...

    def missed(self, task: str, key: bytes, verdict: str, reason: Reason) -> None:
        """A read found nothing that the contract allows."""
        ...

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """Tags were raised and acknowledged."""
        ...


Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""
