"""Which prefixes a provider is expected to hold, by its rules for reading, refreshing and lapsing."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from parbake_llm.caching.asked import Asked
from parbake_llm.caching.pricing import ttl_s


class Mark(NamedTuple):
    """A breakpoint after so many blocks, for an hour or for minutes."""

    depth: int
    hour: bool = False


@dataclass(frozen=True, slots=True)
class Lapsing:
    """An entry that is about to lapse: the request whose first ``depth`` blocks it is, and when it lapses."""

    at: float
    request: Asked
    depth: int
    hour: bool


class HeldPrefixes:
    """Entries by the number of their prefix. A read refreshes every entry within what is read."""

    def __init__(self, *, minimum: int) -> None:
        """Hold nothing; ``minimum`` is the least number of tokens of an entry."""
        self._minimum = minimum
        self._entries: dict[int, tuple[float, bool]] = {}
        self._queue: list[tuple[float, int, int, Asked]] = []  # when, less its depth, a number to tell equals apart
        self._count = 0

    def readable(self, request: Asked, now: float, lookback: int | None = None) -> int:
        """The number of blocks of a request that would be read now.

        Args:
            request: The request.
            now: The time.
            lookback: The blocks before the prompt's end among which an entry is found; ``None`` for all.
        """
        if request.tokens < self._minimum:
            return 0
        depth = len(request.blocks)
        for at in range(depth, max(0, depth - lookback) if lookback is not None else 0, -1):
            if self.until(request.blocks[at - 1]) >= now:
                return at
        return 0

    def until(self, block: int) -> float:
        """When the entry of a prefix lapses; minus infinity if there is none."""
        entry = self._entries.get(block)
        return float("-inf") if entry is None else entry[0]

    def is_for_an_hour(self, block: int) -> bool:
        """Whether the entry of a prefix lives for an hour after each read."""
        entry = self._entries.get(block)
        return entry is not None and entry[1]

    def read(self, request: Asked, depth: int, now: float) -> None:
        """Refresh the entries within what is read.

        Args:
            request: The request.
            depth: How many of its blocks are read.
            now: The time.
        """
        for at in range(depth):
            entry = self._entries.get(request.blocks[at])
            if entry is not None and entry[0] >= now:
                self._put(request, at + 1, now, hour=entry[1])

    def write(self, request: Asked, marks: Sequence[Mark], now: float) -> None:
        """Hold the marked prefixes of a request that are long enough.

        Args:
            request: The request.
            marks: Its breakpoints.
            now: The time.
        """
        for mark in marks:
            if request.until(mark.depth) >= self._minimum:
                self._put(request, mark.depth, now, hour=mark.hour)

    def lapsing(self, now: float) -> Lapsing | None:
        """Take the next entry that lapses before a time, the deepest of several; ``None`` if none does."""
        while self._queue and self._queue[0][0] < now:
            at, less, _, request = heapq.heappop(self._queue)
            depth = -less
            entry = self._entries.get(request.blocks[depth - 1])
            if entry is not None and entry[0] == at:
                return Lapsing(at, request, depth, entry[1])
        return None

    def forget(self, block: int) -> None:
        """Drop the entry of a prefix, which is not warmed."""
        self._entries.pop(block, None)

    def _put(self, request: Asked, depth: int, now: float, *, hour: bool) -> None:
        until = now + ttl_s(hour=hour)
        block = request.blocks[depth - 1]
        found = self._entries.get(block)
        if found is not None and found[1] == hour and found[0] >= until:  # a late answer shortens nothing
            return
        self._entries[block] = (until, hour)
        self._count += 1
        heapq.heappush(self._queue, (until, -depth, self._count, request))
