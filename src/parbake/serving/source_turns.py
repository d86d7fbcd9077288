"""Turns at the sources while the store is away, so that what the store no longer answers does not drown them.

A value that is computed without the store is in no store afterwards, and every read of it asks its sources again. So a
process computes only as many of them at once as half of its threads that read a source. Some more wait for their turn:
a few in any case, and as many as will have it within about a second, by how long such values took before. Everybody
else is told at once when to ask again, at different times if many are told.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import replace

from parbake.errors import TooManyWithoutStore
from parbake.process.loops import PerLoop
from parbake.process.threads import task_threads
from parbake.serving.bind import Context
from parbake.tasks.task_types import Task

FEW = 4
"""How many may wait for each turn, however long it takes."""
PATIENT_S = 1.0
"""Of more than those, who would wait for a turn for longer is told to ask again."""
UNKNOWN_S = 0.25
"""How long a value is expected to take whose task was not computed yet."""
_WEIGHT = 0.2
"""How much the last computation counts for the usual time of its task."""
_LATEST_S = 3
"""The most seconds after which somebody is told to ask again."""


class _Line:
    """The turns at one source, and who waits for them."""

    def __init__(self) -> None:
        self._most = max(1, task_threads() // 2)
        self._turns = asyncio.Semaphore(self._most)
        self._waiting = 0
        self._ahead_s = self._later_s = 0.0
        """What those who wait will take together, and what those will take who were told to ask again."""
        self._told_at = 0.0

    @contextlib.asynccontextmanager
    async def turn(self, task: str, source: str, usual_s: float) -> AsyncIterator[None]:
        """Wait for a turn, or raise :class:`TooManyWithoutStore` if that would take too long.

        Args:
            task: The name of the task.
            source: The name of the source.
            usual_s: How long a value of the task usually takes.
        """
        if self._waiting >= FEW * self._most and self._ahead_s > PATIENT_S * self._most:
            raise self._refusal(task, source, usual_s)
        self._waiting += 1
        self._ahead_s += usual_s
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
            self._ahead_s = self._ahead_s - usual_s if self._waiting else 0.0
        try:
            yield
        finally:
            self._turns.release()

    def _refusal(self, task: str, source: str, usual_s: float) -> TooManyWithoutStore:
        """Say when to ask again: at random, until there is room for all who were told so."""
        now = asyncio.get_running_loop().time()
        # Each second since the last refusal had a second of each turn for those who were told before.
        self._later_s = max(0.0, self._later_s - (now - self._told_at) * self._most) + usual_s
        self._told_at = now
        seconds = math.ceil((self._ahead_s + self._later_s) / self._most - PATIENT_S)
        return TooManyWithoutStore(
            f"{task}: the store does not answer, and {self._most} values are computed from the source {source} "
            f"already, with {self._waiting} waiting; ask again soon",
            field=task,
            after_s=random.randint(1, min(_LATEST_S, max(1, seconds))),  # noqa: S311 - spreads clients
        )


class SourceTurns:
    """The turns at all sources of an app, on each event loop of this process."""

    def __init__(self, sources_of: Callable[[Task], Collection[str]]) -> None:
        """``sources_of`` returns the names of the sources that a task reads, itself or through its inputs."""
        self._sources_of = sources_of
        self._lines: PerLoop[defaultdict[str, _Line]] = PerLoop(lambda: defaultdict(_Line))
        self._usual_s: dict[str, float] = {}

    def took(self, task: Task, seconds: float) -> None:
        """Note how long a value of a task took, from its turn on, or while the store was there."""
        usual_s = self._usual_s.get(task.name, seconds)
        self._usual_s[task.name] = usual_s + _WEIGHT * (seconds - usual_s)

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
        lines, usual_s = self._lines.here(), self._usual_s.get(task.name, UNKNOWN_S)
        async with contextlib.AsyncExitStack() as held:
            if not context.has_turn:
                for source in sorted(self._sources_of(task)):  # all take them in the same order
                    await held.enter_async_context(lines[source].turn(task.name, source, usual_s))
            yield replace(context, has_turn=True)
