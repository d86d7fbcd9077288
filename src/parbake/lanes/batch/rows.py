"""How the rows of a run are computed, if not by calling the task's function: see the setting ``via=``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from parbake.errors import RunInProgress
from parbake.lanes.batch.keys import KeyList
from parbake.lanes.batch.open_run import OpenRun
from parbake.lanes.batch.partition import Computes
from parbake.lanes.batch.throttle import Pacer
from parbake.ports.clock import Clock
from parbake.ports.store import Store
from parbake.serving.bind import Context
from parbake.serving.bound import BoundTask
from parbake.serving.compute import Computer
from parbake.tasks.task_types import Artifact, RowComputer


class RowsPending(RunInProgress):
    """A run waits for somebody else's answer; ``next_look`` is when it makes sense to look again, in epoch seconds."""

    def __init__(self, message: str, *, field: str = "", next_look: float = 0.0) -> None:
        """Create the error."""
        super().__init__(message, field=field)
        self.next_look = next_look


@dataclass(frozen=True)
class RowParts:
    """What a computer of rows works with.

    Attributes:
        store: The store.
        computer: The app's computer.
        clock: The source of wall time.
        breathe: Awaited between pieces of work, so that batch work gives way to requests; ``None`` if it does not.
    """

    store: Store
    computer: Computer
    clock: Clock
    breathe: Pacer | None


class RowRuns(Protocol):
    """Computes the rows of the tasks that share one setting ``via=``."""

    async def refuse_early(self, bound: BoundTask) -> None:
        """Raise :class:`RowsPending` if a run of the task would only wait; called before a scheduled run opens."""
        ...

    async def computer_for(self, run: OpenRun, bound: BoundTask, keys: KeyList, context: Context) -> Computes:
        """Return what computes the rows of a task in a run.

        Args:
            run: The run.
            bound: The task.
            keys: The keys to compute.
            context: What they are computed within.

        Raises:
            RowsPending: The rows cannot be computed yet; the run is continued later.
        """
        ...

    async def built(self, bound: BoundTask) -> None:
        """Hear that all rows of a task were computed and stored."""
        ...

    async def promoted(self, bound: BoundTask) -> None:
        """Hear that the generation of a task was promoted."""
        ...


class RowsOf:
    """Finds how the rows of each task are computed."""

    def __init__(self, parts: RowParts) -> None:
        """Open nothing yet; ``parts`` are handed to each setting ``via=`` at its first run."""
        self._parts = parts
        self._opened: dict[int, tuple[RowComputer, RowRuns]] = {}

    def of(self, bound: BoundTask) -> RowRuns | None:
        """Return what computes the rows of a task; ``None`` if its function is called."""
        via = bound.task.via if isinstance(bound.task, Artifact) else None
        if via is None:
            return None
        if id(via) not in self._opened:
            self._opened[id(via)] = via, via.open(self._parts)
        return self._opened[id(via)][1]

    async def refuse_early(self, chain: Sequence[BoundTask]) -> None:
        """Raise :class:`RowsPending` if a run of one of the tasks would only wait."""
        for bound in chain:
            if (rows := self.of(bound)) is not None:
                await rows.refuse_early(bound)
