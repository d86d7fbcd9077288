"""Token buckets: limits of a rate that let a burst pass, and not a flood."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

_MOST_NAMES = 20_000


class _Bucket(msgspec.Struct):
    left: float
    at: float


class Buckets:
    """One token bucket per name. Of more than 20,000, the one that was used longest ago is forgotten.

    Args:
        rate: Tokens that a bucket gains a second; 0 limits nothing.
        size: Tokens that a full bucket holds.
        now: The time in seconds.
    """

    def __init__(self, rate: float, size: float, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with full buckets."""
        self._rate, self._size, self._now = rate, size, now
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, name: str = "", count: float = 1.0) -> float:
        """Take tokens, if there are enough.

        Args:
            name: Whose bucket.
            count: How many tokens. A full bucket gives even more than it holds, and owes them.

        Returns:
            0 if they were taken; otherwise the seconds after which there will be enough.
        """
        if not self._rate:
            return 0.0
        now = self._now()
        bucket = self._buckets.setdefault(name, _Bucket(self._size, now))
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MOST_NAMES:
            self._buckets.popitem(last=False)
        bucket.left = min(self._size, bucket.left + max(0.0, now - bucket.at) * self._rate)
        bucket.at = now
        lacking = min(count, self._size) - bucket.left
        if lacking > 0:
            return lacking / self._rate
        bucket.left -= count
        return 0.0
