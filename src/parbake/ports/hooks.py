"""What sees the engine at work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from parbake.fence.cause import Reason


class Hook(Protocol):
    """Sees what the engine does; called on the hot path, so it only counts."""

    def served(self, task: str, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """A read ended.

        Args:
            task: The task's name.
            key: The key's bytes in the store.
            verdict: ``fresh``, ``degraded``, ``stale``, ``missing`` or ``unknown``.
            lane: The lane that made the value: ``batch``, ``event`` or ``realtime``.
            seconds: How long the read took.
        """
        ...

    def computed(self, task: str, key: bytes, lane: str, seconds: float, *, outcome: str, cpu_s: float = 0.0) -> None:
        """A computation ended.

        Args:
            task: The task's name.
            key: The key's bytes in the store.
            lane: The lane that it ran in.
            seconds: How long it took.
            outcome: ``stored``, ``rejected`` or ``failed``.
            cpu_s: Its CPU seconds.
        """
        ...

    def missed(self, task: str, key: bytes, verdict: str, reason: Reason) -> None:
        """A read found nothing that the contract allows.

        Args:
            task: The task's name.
            key: The key's bytes in the store.
            verdict: ``stale``, ``missing`` or ``unknown``.
            reason: Why, as data.
        """
        ...

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """Tags were raised and acknowledged.

        Args:
            tags: The tags.
            duplicates: How many of the events the store had seen before.
            seconds: How long the commit took.
        """
        ...


Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""
