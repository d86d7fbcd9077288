"""A thin bridge from synchronous code to one event loop in its own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from parbake.process import forks

T = TypeVar("T")


class Portal(forks.Forkable):
    """Runs coroutines on its own loop and waits for them."""

    def __init__(self) -> None:
        """Create the portal; the thread starts at the first call and ends with the interpreter at the latest."""
        self.is_closed = False
        self._forget()
        forks.watch(self)

    def _forget(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def after_fork_in_child(self) -> None:
        """Drop the inherited loop, whose thread does not exist here. The next call starts a new one."""
        forks.abandon(self._loop, self._thread)
        self._forget()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the portal's loop, with the caller's context variables, and return its result.

        Raises ``RuntimeError`` on the portal's own loop, which would wait for itself, and after it was closed.
        """
        if self.is_closed or threading.current_thread() is self._thread:
            work.close()
            why = "it is closed" if self.is_closed else "use 'await' in an async task"
            raise RuntimeError(f"the synchronous app cannot be used here: {why}")
        return asyncio.run_coroutine_threadsafe(work, self._loop or self._started()).result()

    def close(self) -> None:
        """Stop the loop and wait for its thread."""
        with self._starting:
            self.is_closed = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=10)
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=loop.run_forever, name="parbake-portal", daemon=True)
                self._thread.start()
                self._loop = loop
            return self._loop
