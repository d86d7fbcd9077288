"""Ending a request whose client has left: nobody would read its answer."""

from __future__ import annotations

import asyncio

from parbake.http.reading import Receive

LOOK_AFTER_S = 0.05
"""Most requests are over by then, and cost nobody a look."""


class Leaving:
    """Cancels the task that answers a request when the connection is closed from the other side (ASGI's disconnect).

    What is being computed of a stored task goes on: it is kept for whoever asks next.
    """

    __slots__ = ("_answering", "_looking", "_receive", "_timer", "has_left")

    def __init__(self, receive: Receive) -> None:
        """Nothing is looked at before :meth:`look`; the body has to be read by then."""
        self._receive = receive
        self._answering: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.has_left = False

    def look(self) -> None:
        """Begin, for the task that calls this."""
        self._answering = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(LOOK_AFTER_S, self._begin)

    def end(self) -> None:
        """Look no more: the request is answered, or given up."""
        if self._timer is not None:
            self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()

    def _begin(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            """Nothing else comes after the body."""
        if self._answering is not None and not self._answering.done():
            self.has_left = True
            self._answering.cancel()
