"""Ending a request whose client has disconnected, because the answer cannot be delivered."""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakKeyDictionary

from parbake.http.reading import Receive

_LOOK_AFTER_S = 0.05
"""Most requests are done by then and need no check."""


class Leaving:
    """Cancels the task that answers a request when the client closes the connection (ASGI's disconnect).

    A stored task's computation continues: its result is stored for later requests.
    """

    __slots__ = ("_answering", "_is_over", "_looking", "_receive", "has_left")

    def __init__(self, receive: Receive) -> None:
        """Create the watcher. It starts with :meth:`look`, after the body has been read."""
        self._receive = receive
        self._answering: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_over = False
        self.has_left = False

    def look(self) -> None:
        """Start watching, for the calling task, unless the request is done within a moment."""
        self._answering = asyncio.current_task()
        loop = asyncio.get_running_loop()
        rounds = _rounds.get(loop)
        if rounds is None:
            rounds = _rounds[loop] = _Rounds()
        rounds.add(self, loop)

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


class _Rounds:
    """Starts the watchers of slow requests with one timer per loop, because one timer per request would cost more."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Leaving]] = deque()
        self._is_set = False

    def add(self, leaving: Leaving, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting.append((loop.time() + _LOOK_AFTER_S, leaving))
        if not self._is_set:
            self._is_set = True
            loop.call_later(_LOOK_AFTER_S, self._go)

    def _go(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            self._waiting.popleft()[1].begin()
        self._is_set = bool(self._waiting)
        if self._is_set:
            loop.call_later(max(0.0, self._waiting[0][0] - now), self._go)


_rounds: WeakKeyDictionary[asyncio.AbstractEventLoop, _Rounds] = WeakKeyDictionary()
