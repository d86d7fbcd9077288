"""What belongs to one event loop, where an object is used from several: from ``await`` and from ``app.sync``, say.

Connections, locks and futures of asyncio work on the loop that they were made on, and on no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One thing for each event loop that asks for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        """``make`` is called on the loop that the new thing is for."""
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def here(self) -> T:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        found = self._made.get(loop)
        if found is None:
            self._forget_closed()
            found = self._made[loop] = self._make()
        return found

    def clear(self) -> list[tuple[asyncio.AbstractEventLoop, T]]:
        """Forget every loop's; returns what was made for loops that are not closed."""
        made, self._made = self._made, {}
        return [(loop, thing) for loop, thing in made.items() if not loop.is_closed()]

    def _forget_closed(self) -> None:
        for loop in list(self._made):
            if loop.is_closed():
                self._made.pop(loop, None)
