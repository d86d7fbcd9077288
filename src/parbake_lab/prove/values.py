"""The values that are judged: which keys of which tasks, computed on the copies without a change."""

from __future__ import annotations

import dataclasses
import inspect
import random
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from typing import Any

import parbake as pb
from parbake.app.plugin import Parts, Plugin
from parbake.errors import ComputeFailed, ParbakeError
from parbake.protocol.record import Record
from parbake.serving.bind import NO_CONTEXT
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import Artifact, ModelTask, Task
from parbake_lab.prove.copies import Copy
from parbake_lab.prove.outside import Outside
from parbake_lab.prove.reads import Read

_MOST_KEYS = 2000
NOBODY = "no-such-key"
"""A key that is asked for in vain: what was not found has to be outdated, too."""


@dataclasses.dataclass(frozen=True, eq=False)
class ProvedValue:
    """A value that came out twice alike, with the tags that outdate it and what its task read itself."""

    bound: BoundTask
    key: Any
    record: Record
    reads: Sequence[Read]

    @property
    def tags(self) -> frozenset[str]:
        """The tags that outdate it."""
        tags = self.record.meta.tags
        return frozenset((*tags.fences, *(tag for tag, _ in tags.refreshes)))


class StandIn(Plugin[None]):
    """Stands in for the plugins of an app, of which its tasks need that they are there."""

    def open(self, parts: Parts) -> None:
        tasks = [bound.task for bound in parts.tasks.values()]
        choices = [task.schedule.choice for task in tasks if task.schedule]
        kinds = [task.kind for task in tasks if isinstance(task, Artifact)]
        for port in {*(one.port for one in choices if one), *(one.needs for one in kinds if one and one.needs)}:
            parts.offer(port, self)


class Computing:
    """Computes values of an app on the copies."""

    def __init__(
        self, app: pb.App, copies: Sequence[Copy], reads: list[Read], outside: Outside, rng: random.Random
    ) -> None:
        """Use an app whose sources are the copies.

        Args:
            app: The app.
            copies: The copies.
            reads: Where the sources note each query.
            outside: Watches them.
            rng: What draws keys.
        """
        self._app, self._copies, self._reads, self._outside, self._rng = app, copies, reads, outside, rng

    async def compute(self, bound: BoundTask, key: Any) -> tuple[Record, list[Read]]:
        """Compute one key; returns its record, and what was read for it.

        Raises:
            ParbakeError: It cannot be computed.
        """
        self._reads.clear()
        (found,) = await self._app.engine.resolver.computer.compute(bound, [key], NO_CONTEXT)
        if problem := bound.unreadable(found.record):
            raise ComputeFailed(f"{bound.name}: the value of {key!r}: {problem}", field=bound.name)
        return found.record, list(self._reads)

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
                with self._outside.of(bound.name):
                    record, reads = await self.compute(bound, key)
                if same(bound, before, record):
                    return ProvedValue(bound, key, record, reads)
                before = record
        except ParbakeError as error:
            return f"it cannot be computed: {error}"
        return "it varies by itself"

    async def keys(self, bound: BoundTask, given: Sequence[Any], most: int) -> list[Any]:
        """Keys to judge: those that were given; else of those that ``keys=`` lists, or of those that tables suggest."""
        task = bound.task
        if isinstance(task, ModelTask):
            return [""]
        if given:
            return list(given)
        listed = [key async for key in self._listed(bound)] or self._suggested(bound)
        different = list({bound.keys.encode(key): key for key in listed}.values())
        drawn = self._rng.sample(different, min(len(different), most))
        return [*drawn, *([NOBODY] if bound.keys.kind == "str" and drawn else [])]

    async def _listed(self, bound: BoundTask) -> AsyncIterator[Any]:
        """The keys that a task lists."""
        lister = bound.task.list_keys if isinstance(bound.task, Artifact) else None
        if lister is None:
            return
        found: list[Any] = []
        computer = self._app.engine.resolver.computer

        def take(keys: Any) -> None:
            found.extend(key for key, _ in zip(keys, range(_MOST_KEYS), strict=False))

        async def later(**named: Any) -> None:
            take(await lister.fn(**named))

        wrapped = later if inspect.iscoroutinefunction(lister.fn) else lambda **named: take(lister.fn(**named))
        await computer.invoke(dataclasses.replace(lister, fn=wrapped), (), await computer.begin(NO_CONTEXT), {})
        for key in found:
            yield bound.keys.check(key)

    def _suggested(self, bound: BoundTask) -> list[Any]:
        """What tables hold in columns that fill the contract's templates, or else are named like the key, or tag."""
        items = bound.contract.invalidated_by
        names = {name for key in bound.key_names for name in (key, f"{key}_id")}
        ways = (
            self._column_values(tags={f"{item.family}/{{}}" for item in items if item.is_template}),
            self._column_values(names=names),
            self._column_values(tags={f"{item.family}/{{}}" for item in items}),
        )
        found = ([k for v in way if (k := bound.keys.from_text(str(v))) is not None] for way in ways)
        return next(filter(None, found), [])

    def _column_values(self, *, tags: Collection[str] = (), names: Collection[str] = ()) -> Iterator[Any]:
        """The values of columns that have some names, or that are all that some tags are made of."""
        for copy in self._copies:
            for table in copy.tables.values():
                made = copy.templates.get(table.name, ())
                for column in table.columns:
                    if column in names or any(tag.replace(f"{{{column}}}", "{}") in tags for tag in made):
                        yield from (row[column] for row in copy.pool(table) if row[column] is not None)


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
