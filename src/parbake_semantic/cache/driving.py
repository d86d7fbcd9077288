"""Runs the steps of a question for both kinds of callers: on an event loop, or in a thread that may wait.

The steps are written once, as coroutines. What takes long in them goes through a driver. For synchronous code the
driver waits, so that such a coroutine ends without ever being suspended, and needs no event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Work = Coroutine[Any, Any, T]


class Driver(Protocol):
    """How a caller waits."""

    async def read(self, work: Work[T], /) -> T:
        """Read from a store."""
        ...

    async def write(self, work: Work[T], /) -> T:
        """Write to a store."""
        ...

    async def compute(self, work: Callable[[], T], /) -> T:
        """Compute what takes the processor long."""
        ...


class OnLoop:
    """Waits on the running event loop, and computes in a thread."""

    async def read(self, work: Work[T], /) -> T:
        """Read from a store."""
        return await work

    async def write(self, work: Work[T], /) -> T:
        """Write to a store."""
        return await work

    async def compute(self, work: Callable[[], T], /) -> T:
        """Compute in a thread."""
        return await asyncio.to_thread(work)


class InThread:
    """Waits in the calling thread."""

    def __init__(self, run: Callable[[Work[Any]], Any], *, reads_at_once: bool) -> None:
        """Let ``run`` wait for coroutines; with ``reads_at_once``, reads of the store end without being suspended."""
        self._run, self._reads_at_once = run, reads_at_once

    async def read(self, work: Work[T], /) -> T:
        """Read from a store."""
        return await work if self._reads_at_once else await self.write(work)

    async def write(self, work: Work[T], /) -> T:
        """Write to a store."""
        found: T = self._run(work)
        return found

    async def compute(self, work: Callable[[], T], /) -> T:
        """Compute in this thread."""
        return work()


def finish(work: Work[T]) -> T:
    """Return the result of a coroutine that a driver of the calling thread never suspends.

    Raises:
        RuntimeError: It was suspended.
    """
    try:
        work.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    work.close()
    raise RuntimeError("a step was suspended in code that does not run on an event loop")
