"""Turns at the sources while the store is away, so that what the store no longer answers does not drown them.

A value that is computed without the store is in no store afterwards, and every read of it asks its sources again. So a
process computes only as many of them at once as half of its threads that read a source. Some more wait for their turn.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import replace

from parbake.errors import TooManyWithoutStore
from parbake.process.loops import PerLoop
from parbake.process.threads import task_threads
from parbake.serving.bind import Context
from parbake.tasks.task_types import Task

MOST_WAITING = 4
"""How many may wait, for each that may run: where a value takes 50 ms, the last one of the line waits for .2 s."""


class _Line:
    """The turns at one source, and who waits for them."""

    def __init__(self) -> None:
        self._most = max(1, task_threads() // 2)
        self._turns = asyncio.Semaphore(self._most)
        self._waiting = 0

    @contextlib.asynccontextmanager
    async def turn(self, task: str, source: str) -> AsyncIterator[None]:
        """Wait for a turn, or raise :class:`TooManyWithoutStore` if too many wait already."""
        if self._waiting >= self._most * MOST_WAITING:
            raise TooManyWithoutStore(
                f"{task}: the store does not answer, and {self._most} values are computed from the source {source} "
                f"already, with {self._waiting} waiting; ask again soon",
                field=task,
            )
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()


class SourceTurns:
    """The turns at all sources of an app, on each event loop of this process."""

    def __init__(self, sources_of: Callable[[Task], Collection[str]]) -> None:
        """``sources_of`` returns the names of the sources that a task reads, itself or through its inputs."""
        self._sources_of = sources_of
        self._lines: PerLoop[defaultdict[str, _Line]] = PerLoop(lambda: defaultdict(_Line))

    @contextlib.asynccontextmanager
    async def turn(self, task: Task, context: Context) -> AsyncIterator[Context]:
        """Wait for a turn at each source of a task.

        A task whose reader has a turn needs none: it would wait for its reader, and the reader for it.

        Args:
            task: The task.
            context: What it was asked within.

        Returns:
            The context to compute it in, in which its inputs need no turn.

        Raises:
            TooManyWithoutStore: Too many wait already.
        """
        lines = self._lines.here()
        async with contextlib.AsyncExitStack() as held:
            if not context.has_turn:
                for source in sorted(self._sources_of(task)):  # all take them in the same order
                    await held.enter_async_context(lines[source].turn(task.name, source))
            yield replace(context, has_turn=True)
