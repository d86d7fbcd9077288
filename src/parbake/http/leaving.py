"""Ending a request whose client has left: nobody would read its answer."""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakKeyDictionary

from parbake.http.reading import Receive

LOOK_AFTER_S = 0.05
"""Most requests are over by then, and cost nobody a look."""


class Leaving:
    """Cancels the task that answers a request when the connection is closed from the other side (ASGI's disconnect).

    What is being computed of a stored task goes on: it is kept for whoever asks next.
    """

    __slots__ = ("_answering", "_is_over", "_looking", "_receive", "has_left")

    def __init__(self, receive: Receive) -> None:
        """Nothing is looked at before :meth:`look`; the body has to be read by then."""
        self._receive = receive
        self._answering: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_over = False
        self.has_left = False

    def look(self) -> None:
        """Begin, for the task that calls this, unless it is over in a moment."""
        self._answering = asyncio.current_task()
        loop = asyncio.get_running_loop()
        rounds = _rounds.get(loop)
        if rounds is None:
            rounds = _rounds[loop] = _Rounds()
        rounds.add(self, loop)

    def end(self) -> None:
        """Look no more: the request is answered, or given up."""
        self._is_over = True
        if self._looking is not None:
            self._looking.cancel()

    def begin(self) -> None:
        """Look from now on, unless the request is over."""
        if not self._is_over:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            """Nothing else comes after the body."""
        if self._answering is not None and not self._answering.done():
            self.has_left = True
            self._answering.cancel()


class _Rounds:
    """Has requests looked after that take long: one timer for all of a loop's, where one for each would cost more."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Leaving]] = deque()
        self._is_set = False

    def add(self, leaving: Leaving, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting.append((loop.time() + LOOK_AFTER_S, leaving))
        if not self._is_set:
            self._is_set = True
            loop.call_later(LOOK_AFTER_S, self._go)

    def _go(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            self._waiting.popleft()[1].begin()
        self._is_set = bool(self._waiting)
        if self._is_set:
            loop.call_later(max(0.0, self._waiting[0][0] - now), self._go)


_rounds: WeakKeyDictionary[asyncio.AbstractEventLoop, _Rounds] = WeakKeyDictionary()
