"""Ending a request whose client has disconnected, because the answer cannot be delivered."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

from parbake.http.reading import Receive

_LOOK_AFTER_S = 0.05
"""Most requests are done by then and need no check."""


class Leaving:
    """Cancels the task that answers a request when the client closes the connection (ASGI's disconnect).

    A stored task's computation continues: its result is stored for later requests.
    """

    __slots__ = ("_answering", "_is_over", "_looking", "_receive", "_rounds", "has_left")

    def __init__(self, receive: Receive, rounds: Rounds) -> None:
        """Create the watcher. ``rounds`` start it after :meth:`look`, which is called once the body has been read."""
        self._receive, self._rounds = receive, rounds
        self._answering: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_over = False
        self.has_left = False

    def look(self) -> None:
        """Start watching, for the calling task, unless the request is done within a moment."""
        self._answering = asyncio.current_task()
        self._rounds.add(self)

    def end(self) -> None:
        """Stop watching: the request is answered or abandoned."""
        self._is_over = True
        if self._looking is not None:
            self._looking.cancel()

    def begin(self) -> None:
        """Watch from now on, unless the request is done."""
        if not self._is_over:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            """Nothing else comes after the body."""
        if self._answering is not None and not self._answering.done():
            self.has_left = True
            self._answering.cancel()


class Rounds:
    """Starts the watchers of slow requests, one event loop's, with one timer, because a timer for each costs more."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._waiting: deque[tuple[float, Leaving]] = deque()
        self._is_set = False

    def add(self, leaving: Leaving) -> None:
        """Start a watcher in a moment."""
        self._waiting.append((monotonic() + _LOOK_AFTER_S, leaving))
        if not self._is_set:
            self._is_set = True
            asyncio.get_running_loop().call_later(_LOOK_AFTER_S, self._go)

    def _go(self) -> None:
        now = monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            self._waiting.popleft()[1].begin()
        self._is_set = bool(self._waiting)
        if self._is_set:  # not at the very moment at which the next one is due: that would be a timer for each again
            asyncio.get_running_loop().call_later(_LOOK_AFTER_S, self._go)
