"""The values that are judged, computed on the copies without a change."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import parbake as pb
from parbake.errors import ComputeFailed, ParbakeError
from parbake.protocol.record import Record
from parbake.serving.bind import NO_CONTEXT
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import ModelTask, Task
from parbake_lab.prove.outside import Outside
from parbake_lab.prove.reads import Read

VARIES = "it varies by itself"


@dataclasses.dataclass(frozen=True, eq=False)
class ProvedValue:
    """A value that came out twice alike, with what its task read itself."""

    bound: BoundTask
    key: Any
    record: Record
    reads: Sequence[Read]
    together: Record | None = None
    """Its record from a call with other keys, which may be bound by other tags."""

    @functools.cached_property
    def tags(self) -> list[frozenset[str]]:
        """The tags that outdate it, for each way in which it was computed."""
        found = [record.meta.tags for record in (self.record, self.together) if record]
        return [frozenset((*one.fences, *(tag for tag, _ in one.refreshes))) for one in found]

    def is_outdated(self, raised: Collection[str]) -> bool:
        """Whether tags outdate it, whichever way it was computed."""
        return all(tags.intersection(raised) for tags in self.tags)


class Computing:
    """Computes values of an app on the copies."""

    def __init__(self, app: pb.App, reads: list[Read], outside: Outside | None = None) -> None:
        """Use an app whose sources are the copies.

        Args:
            app: The app.
            reads: Where the sources note each query.
            outside: Watches what tasks read without a view.
        """
        self._app, self._reads, self._outside = app, reads, outside

    def bound(self, name: str) -> BoundTask:
        """The app's task of a name."""
        return self._app.engine.tasks[name]

    async def compute(self, bound: BoundTask, key: Any) -> tuple[Record, list[Read]]:
        """Compute one key; returns its record, and what was read for it.

        Raises:
            ParbakeError: It cannot be computed.
        """
        (record,) = await self.together(bound, [key])
        return record, list(self._reads)

    async def together(self, bound: BoundTask, keys: Sequence[Any]) -> list[Record]:
        """Compute some keys, in one call if the task takes several; returns their records.

        Raises:
            ParbakeError: They cannot be computed.
        """
        self._reads.clear()
        computed = await self._app.engine.resolver.computer.compute(bound, keys, NO_CONTEXT)
        for one in computed:
            if problem := bound.unreadable(one.record):
                raise ComputeFailed(f"{bound.name}: the value of {one.key!r}: {problem}", field=bound.name)
        return [one.record for one in computed]

    async def probe(self, bound: BoundTask, key: Any) -> list[Read]:
        """What is read for a key, until that fails; nothing if the key is ``None``."""
        self._reads.clear()
        if key is not None:
            with contextlib.suppress(ParbakeError):
                await self.together(bound, [key])
        return list(self._reads)

    async def train(self, tasks: Sequence[Task]) -> None:
        """Train the models that tasks read."""
        for task in tasks:
            for model in _models(task):
                await self._app.materialize(model)

    async def value(self, bound: BoundTask, key: Any) -> ProvedValue | str:
        """A value that comes out twice alike; or why it cannot be judged.

        From the second time on its inputs are in the store, so that only what its own task reads is noted. What was
        loaded once is in memory then, like the text of modules. An input may be of another type before it was stored,
        so there is a third time.
        """
        try:
            before, _ = await self.compute(bound, key)
            for _ in range(2):
                with self._outside.of(bound.name) if self._outside else contextlib.nullcontext():
                    record, reads = await self.compute(bound, key)
                if same(bound, before, record):
                    return ProvedValue(bound, key, record, reads)
                before = record
        except ParbakeError as error:
            return f"it cannot be computed: {error}"
        return VARIES


def same(bound: BoundTask, one: Record, other: Record) -> bool:
    """Whether two records hold the same value."""
    if one.absent or other.absent:
        return one.absent and other.absent
    if one.payload == other.payload:
        return True
    try:
        return bool(bound.decode(one.payload) == bound.decode(other.payload))
    except ValueError:  # such as that of arrays, which are compared element by element
        return False


def shown(bound: BoundTask, record: Record | None) -> str:
    """A value as a person reads it, cut short."""
    if record is None:
        return "none: it cannot be computed"
    text = "none" if record.absent else repr(bound.decode(record.payload))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_SHOWN = 120


def _models(task: Task) -> Iterator[ModelTask[Any]]:
    """The models that a task needs, those first that others need."""
    for other in task.may_read:
        yield from _models(other)
        if isinstance(other, ModelTask):
            yield other
