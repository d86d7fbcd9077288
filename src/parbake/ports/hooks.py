"""The port of hooks, which observe the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from parbake.fence.cause import Reason


class Hook(Protocol):
    """Observes the engine. Its methods run on the hot path, so they should only count."""

    def served(self, task: str, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """Observe the end of a read.

        Args:
            task: The task's name.
            key: The key's bytes in the store.
            verdict: ``fresh``, ``degraded``, ``stale``, ``missing`` or ``unknown``.
            lane: The lane that made the value: ``batch``, ``event`` or ``realtime``.
            seconds: How long the read took.
        """
        ...

    def computed(self, task: str, key: bytes, lane: str, seconds: float, *, outcome: str, cpu_s: float = 0.0) -> None:
        """Observe the end of a computation.

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
        """Observe a read that found no value that the contract allows.

        Args:
            task: The task's name.
            key: The key's bytes in the store.
            verdict: ``stale``, ``missing`` or ``unknown``.
            reason: Why, with a cause for programs.
        """
        ...

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """Observe that tags were raised and acknowledged.

        Args:
            tags: The tags.
            duplicates: How many of the events the store had already applied.
            seconds: How long the commit took.
        """
        ...


Progress = Callable[[str, int, int], None]
"""Called with the name of the work, the amount done, and the total."""
