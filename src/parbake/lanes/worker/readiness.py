"""Whether a server is ready for requests, and which tasks are degraded.

A server is ready once it has loaded what it needs itself. What all servers share is only reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from parbake.lanes.worker.conditions import Condition, Conditions
from parbake.lanes.worker.health_watch import HealthWatch
from parbake.ports.observers import gathered
from parbake.serving.warmup import LOADING, Warmup


class Ready(msgspec.Struct, frozen=True):
    """Why this server is not ready (``lacking``), and the ``conditions`` that degrade all servers of the store."""

    lacking: list[str]
    conditions: Sequence[Condition]

    @property
    def is_ready(self) -> bool:
        """Whether nothing is lacking."""
        return not self.lacking

    @property
    def degraded(self) -> list[str]:
        """The conditions as sentences."""
        return list(dict.fromkeys(condition.message for condition in self.conditions))

    @property
    def by_task(self) -> Mapping[str, list[str]]:
        """What degrades each task, for the tasks that anything degrades."""
        found: dict[str, list[str]] = {}
        for condition in self.conditions:
            for task in condition.tasks:
                found.setdefault(task, []).append(condition.message)
        return {task: list(dict.fromkeys(messages)) for task, messages in found.items()}

    def for_guests(self) -> Ready:
        """The same in words of parbake alone: sentences may hold addresses, paths and what an operator has written."""
        kinds = [msgspec.structs.replace(condition, message=condition.kind) for condition in self.conditions]
        return Ready([LOADING] if self.lacking else [], kinds)


class Readiness:
    """Asks the parts of this process what they lack, and the watch for the conditions."""

    def __init__(
        self,
        warmup: Warmup,
        conditions: Conditions,
        watch: HealthWatch,
        *,
        lacking: Sequence[Callable[[], Iterable[str]]] = (),
    ) -> None:
        """Keep the parts that :meth:`look` asks; ``lacking`` are those of plugins."""
        self._warmup = warmup
        self._conditions = conditions
        self._watch = watch
        self._lacking = tuple(lacking)

    async def look(self) -> Ready:
        """Return what is lacking now, and the conditions; a server does not wait for them, but tells its last look."""
        told = gathered(self._lacking)
        lacking = [*self._warmup.lacking, *(sentence for sentences in told for sentence in sentences)]
        if len(told) < len(self._lacking):
            lacking.append("a plugin could not be asked what it lacks; the log has its error")
        return Ready(lacking, (self._watch.seen or await self._conditions.look()).conditions)
