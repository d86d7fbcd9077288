"""A thin bridge from synchronous code to one event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Portal:
    """Runs coroutines on its own loop and waits for them."""

    def __init__(self) -> None:
        """Start the loop's thread; it ends with the interpreter at the latest."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="parbake-portal", daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be run any more."""
        return self._loop.is_closed()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the portal's loop, within the caller's context variables, and return its result.

        Raises ``RuntimeError`` on the portal's own loop, which would wait for itself, and once it is closed.
        """
        if self.is_closed or threading.current_thread() is self._thread:
            work.close()
            why = "it is closed" if self.is_closed else "use 'await' in an async task"
            raise RuntimeError(f"the synchronous app cannot be used here: {why}")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Stop the loop and wait for its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
