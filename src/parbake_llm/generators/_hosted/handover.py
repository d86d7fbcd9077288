"""Events from a thread to the event loop, a bounded number at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from contextvars import copy_context
from typing import Any

AHEAD = 64
"""A thread may be so many events ahead of the loop."""
_LOOK_S = 0.5
"""How often a thread that waits looks whether its reader has left, in seconds."""


class _End:
    """The thread is done: it read everything, or it raised."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Handover:
    """A queue into a loop that a thread fills."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.room = threading.Semaphore(AHEAD)
        self.has_left = threading.Event()
        self._loop = loop

    def run(self, read: Callable[[], Iterable[Any]]) -> None:
        """Put everything into the queue, and then the end; in the thread."""
        try:
            for item in read():
                if not self._waited():
                    return
                self._put(item)
        except BaseException as error:  # noqa: BLE001 - it is raised in the loop
            self._put(_End(error))
        else:
            self._put(_End(None))

    def _waited(self) -> bool:
        """Wait for room; ``False`` if the reader has left."""
        while not self.room.acquire(timeout=_LOOK_S):
            if self.has_left.is_set():
                return False
        return not self.has_left.is_set()

    def _put(self, item: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed, so nobody reads
            self._loop.call_soon_threadsafe(self.queue.put_nowait, item)


async def handed_over(read: Callable[[], Iterable[Any]]) -> AsyncGenerator[Any, None]:
    """Iterate in a thread of its own over what ``read`` returns, and yield each item in the loop.

    The thread has the caller's context variables. When the reader leaves, it ends at its next item. It is a daemon: a
    silent peer does not hold up an exit.
    An error in the thread is raised here.
    """
    handover = _Handover(asyncio.get_running_loop())
    threading.Thread(target=copy_context().run, args=(handover.run, read), name="parbake-bedrock", daemon=True).start()
    try:
        while not isinstance(item := await handover.queue.get(), _End):
            handover.room.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        handover.has_left.set()
