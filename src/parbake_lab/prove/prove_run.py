"""Changes a copy row by row, and looks which values that are served on would come out differently."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import msgspec

import parbake as pb
from parbake.adapters import open_events
from parbake.adapters.postgresql import PostgresqlSource
from parbake.adapters.sqlite import SqliteSource
from parbake.app.settings import Settings
from parbake.errors import BadInput, ParbakeError
from parbake.protocol.record import Record
from parbake.protocol.tags import family
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import ModelTask
from parbake.testing import FakeClock
from parbake_capture.tables import Captured
from parbake_lab.prove.changes import Change, Changes
from parbake_lab.prove.copies import Copy
from parbake_lab.prove.outside import Outside
from parbake_lab.prove.reads import CopySource, Read
from parbake_lab.prove.sqlite_copy import SqliteCopy
from parbake_lab.prove.statements import TableRead, reads_of, sqlglot
from parbake_lab.prove.values import Computing, ProvedValue, StandIn, same, shown

_VALUES = 8
"""The values of one task whose same query is put to the test."""
_VAIN = 6
"""The changes of one column that change what a query finds, but not the value, after which it is left alone."""

_AGAIN = 20
"""How often a value is computed again after changes, at most, on average."""


class Finding(msgspec.Struct, frozen=True):
    """An omission: what changes untold, for which value it was seen, and the line that tells of it.

    Attributes:
        task: The task.
        key: The key of the value.
        where: The view with its method; empty for what a task reads without a view.
        what: What was changed, or read.
        row: The row that was changed.
        old: The value that is served on.
        new: The value as it is computed after the change.
        fix: What to add.
    """

    task: str
    key: str
    where: str
    what: str
    fix: str
    row: str = ""
    old: str = ""
    new: str = ""


@dataclass
class Proof:
    """What was found.

    Attributes:
        findings: The omissions.
        unproved: What could not be judged, with the reason.
        values: How many values were judged.
        changes: How many changes were made.
    """

    findings: list[Finding] = field(default_factory=list)
    unproved: dict[str, str] = field(default_factory=dict)
    values: int = 0
    changes: int = 0


@dataclass(frozen=True)
class ProveLimits:
    """What is judged, and how much.

    Attributes:
        sample: How many values are judged, at most; it also bounds how many are computed again.
        seed: What decides which keys and rows are drawn.
        tasks: The names of the tasks; all stored ones if there are none.
        keys: The keys of some tasks, as a person writes them.
        tables: Tables that no trigger tells of, with their tags.
        copy: The address of a copy of the app's PostgreSQL database; empty to make one.
    """

    sample: int = 200
    seed: int = 0
    tasks: Sequence[str] = ()
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tables: Sequence[Captured] = ()
    copy: str = ""


async def prove(app: pb.App, limits: ProveLimits, *, progress: Callable[[int, int], None]) -> Proof:
    """Find what the contracts and views of an app leave out.

    Args:
        app: The app; nothing of it is opened but its resources.
        limits: What is judged.
        progress: Called with the values done and their number.

    Raises:
        BadInput: There is no such task; or a source cannot be copied.
        MissingDependency: The parser of SQL is not installed.
        SourceError: A database cannot be copied.
    """
    sqlglot()
    with ExitStack() as stack:
        copies = _copies(app.settings, limits, stack)
        reads: list[Read] = []
        sources = [CopySource(s, c, reads) for s, c in zip(app.settings.sources, copies, strict=True)]
        proved = _proved(app.settings, sources)
        engine = proved.engine
        try:
            await proved.drain()
            return await _Run(proved, copies, reads, limits).judge(progress)
        finally:
            await engine.close()


def _copies(settings: Settings, limits: ProveLimits, stack: ExitStack) -> list[Copy]:
    found: list[Copy] = []
    servers = sum(isinstance(source, PostgresqlSource) for source in settings.sources)
    if limits.copy and servers != 1:
        raise BadInput(f"--copy: it stands for one PostgreSQL source, and the app has {servers}; omit it", field="copy")
    for source in settings.sources:
        if isinstance(source, SqliteSource):
            found.append(SqliteCopy(source, limits.tables))
        elif isinstance(source, PostgresqlSource):
            from parbake_lab.prove.postgresql_copy import PostgresqlCopy

            found.append(PostgresqlCopy(source, limits.tables, limits.copy))
        else:
            kind = type(source).__name__
            raise BadInput(f"APP: the source {source.name!r} is a {kind}, which cannot be copied", field="APP")
        stack.callback(found[-1].close)
    known = {name for copy in found for name in copy.tables}
    for table in limits.tables:
        if table.relation.rpartition(".")[2].lower() not in known:
            raise BadInput(f"--table {table.relation}: no source has such a table", field="table")
    return found


def _proved(settings: Settings, sources: Sequence[CopySource]) -> pb.App:
    """The app over the copies, with a store of its own, at a time that stands still."""
    heard = [open_events(one) if isinstance(one, str) else one for one in settings.events]
    return pb.App(
        settings.tasks,
        sources=sources,
        resources=settings.resources,
        plugins=[StandIn()],
        open=[*settings.open, *(name for one in heard for name in one.families)],
        clock=FakeClock(settings.clock.now()),
        off=settings.off,
        worker="none",
        batch=pb.Batch(throttle=None),
    )


class _Run:
    """One run over an app."""

    def __init__(self, app: pb.App, copies: Sequence[Copy], reads: list[Read], limits: ProveLimits) -> None:
        self._app, self._copies, self._limits = app, copies, limits
        self._rng = random.Random(limits.seed)  # noqa: S311 - a sample must be drawn again the same way
        self._bounds = self._chosen()
        self._outside = Outside()
        self._computing = Computing(app, copies, reads, self._outside, self._rng)
        self._proof = Proof()
        self._seen: dict[tuple[Any, ...], int] = {}
        self._found: set[tuple[str, ...]] = set()
        self._again_left = _AGAIN * limits.sample

    async def judge(self, progress: Callable[[int, int], None]) -> Proof:
        """Judge a sample of the values of each task."""
        values: list[ProvedValue] = []
        for number, bound in enumerate(self._bounds, 1):
            values += await self._values(bound, max(2, self._limits.sample // len(self._bounds)))
            progress(number, len(self._bounds))
        self._proof.values = len(values)
        for name, what in self._outside.found:
            self._note_outside(self._app.engine.tasks[name], what)
        for number, value in enumerate(values):
            progress(number, len(values))
            for read in value.reads:
                await self._try(value, read)
        progress(len(values), len(values))
        return self._proof

    def _chosen(self) -> list[BoundTask]:
        tasks = self._app.engine.tasks
        for name in (*self._limits.tasks, *self._limits.keys):
            if name not in tasks:
                raise BadInput(f"--task {name}: the app stores no such task ({', '.join(tasks)})", field="task")
        chosen = [tasks[name] for name in self._limits.tasks] or list(tasks.values())
        return sorted((bound for bound in chosen if not bound.off), key=lambda bound: bound.task.height)

    async def _values(self, bound: BoundTask, most: int) -> list[ProvedValue]:
        """Values of a task that can be judged; why others cannot is noted once for the task."""
        written = self._limits.keys.get(bound.name, ())
        given = [bound.keys.from_text(key) for key in written]
        if None in given:
            raise BadInput(f"--key {bound.name}={written[given.index(None)]}: it is no {bound.keys.kind}", field="key")
        if given and isinstance(bound.task, ModelTask):
            raise BadInput(f"--key {bound.name}={written[0]}: a model has no key", field="key")
        try:
            await self._computing.train([bound.task])
            keys = await self._computing.keys(bound, given, most)
        except ParbakeError as error:
            self._proof.unproved[bound.name] = f"it cannot be computed: {error}"
            return []
        found = [await self._computing.value(bound, key) for key in keys]
        kept = [value for value in found if isinstance(value, ProvedValue)]
        reasons = [value for value in found if isinstance(value, str)]
        if not keys:
            self._proof.unproved[bound.name] = f"it lists no keys: name some by --key {bound.name}=..."
        elif not kept:
            self._proof.unproved[bound.name] = reasons[0]
        elif "it varies by itself" in reasons:
            self._proof.unproved[bound.name] = "some of its values vary by themselves"
        return kept

    def _note_outside(self, bound: BoundTask, what: str) -> None:
        """Note what a task reads without a view, unless its contract has a family that may stand for it."""
        told = {name for one in self._app.engine.tasks.values() for name in one.reach.viewed}
        told.update(name for copy in self._copies for name in copy.families)
        unviewed = [i for i in bound.contract.invalidated_by if i.family not in bound.reach.viewed]
        if any(item.family not in told for item in unviewed):
            return
        fix = (
            "declare a family for it: pb.fence('config') in invalidated_by, 'config' in App(open=...), and "
            "app.touch('config') after a change; or pb.ignore('config', 'why a change does not matter')"
        )
        self._proof.findings.append(Finding(bound.name, "", "", f"reads {what}", fix))

    async def _try(self, value: ProvedValue, read: Read) -> None:
        """Change what a query of a value reads."""
        shape = (value.bound.name, read.place, read.statement, bool(read.rows))
        self._seen[shape] = self._seen.get(shape, 0) + 1
        if self._seen[shape] > _VALUES:
            return
        if self._again_left <= 0:
            self._proof.unproved[read.place] = "other changes took all computations: raise --sample, or name a --task"
            return
        parts = reads_of(read.statement, read.copy)
        changes = Changes(read, value.tags, self._rng)
        for part in parts:
            if self._is_told(value, read, part):
                vain: dict[str, int] = {}
                for change in changes.of(part, parts):
                    place = (read.place, change.table.name, change.what)
                    if place not in self._found and vain.get(change.what, 0) < _VAIN:
                        vain[change.what] = vain.get(change.what, 0) + await self._change(value, read, change)

    def _is_told(self, value: ProvedValue, read: Read, part: TableRead) -> bool:
        """Whether something tells of a table; if not, that is noted once."""
        copy, name = read.copy, part.table.name
        if name in copy.templates or (part.table.is_told and name not in copy.uncaptured):
            return True
        is_declared = not read.view.families or self._ignores(value.bound, read.view.families, read)
        if not is_declared and name not in copy.uncaptured and not part.is_guess:
            self._note_untold(value, read, part)
        return False

    def _note_untold(self, value: ProvedValue, read: Read, part: TableRead) -> None:
        name = part.table.name
        tag = f"{name}:{next(iter(read.view.families), name)}/{{{part.table.key[0]}}}"
        if not read.copy.templates:
            self._proof.unproved[f"table {name}"] = f"no trigger tells of it: name its tags by --table {tag}"
        elif ("", name) not in self._found:
            self._found.add(("", name))
            fix = (
                f"capture it: parbake capture install DATABASE --table {tag} --apply; or, if its writers emit or no "
                f"change matters, uncaptured=[{name!r}]"
            )
            what = f"{name}: nobody tells of it"
            self._proof.findings.append(Finding(value.bound.name, str(value.key), read.place, what, fix))

    async def _change(self, value: ProvedValue, read: Read, change: Change) -> bool:
        """Make one change; returns whether the query then finds something else, but the value stays the same."""
        self._proof.changes += 1
        copy = read.copy
        with copy.undone():
            try:
                change.apply(copy)
                raised = copy.raised()
            except copy.refusals:
                return False
            if raised.intersection(value.tags):
                return False
            seen = next((one for one in value.reads if one.copy is copy and one.differs()), None)
            if seen is None or self._ignores(value.bound, raised, seen):
                return False
            new = await self._again(value)
            if (new is None and change.kind != "deleted") or (new and same(value.bound, value.record, new)):
                return True
        if await self._is_shown(value, seen, change):
            self._note(value, seen, change, raised, new)
        return True

    async def _again(self, value: ProvedValue) -> Record | None:
        self._again_left -= 1
        try:
            return (await self._computing.compute(value.bound, value.key))[0]
        except ParbakeError:
            return None

    async def _is_shown(self, value: ProvedValue, read: Read, change: Change) -> bool:
        """Whether it was the change: without it, or if the rows are written as they are, the value is the same.

        Otherwise it changes with the time, or with the order of rows, which a row that is written leaves.
        """
        with read.copy.undone():
            for row in change.rows if change.kind == "updated" else ():
                read.copy.rewrite(change.table, row, change.column)
            again = await self._again(value)
        return again is not None and same(value.bound, again, value.record)

    def _ignores(self, bound: BoundTask, tags: Iterable[str], read: Read) -> bool:
        """Whether the contract ignores the families of some tags that the view has, or all of them if it has none."""
        families = set(map(family, tags))
        own = families.intersection(read.view.families) or families
        ignored = {item.family for item in bound.contract.invalidated_by if item.strength == "ignore"}
        return bool(own) and own <= ignored

    def _note(self, value: ProvedValue, read: Read, change: Change, raised: frozenset[str], new: Record | None) -> None:
        table = change.table
        self._found.add((read.place, table.name, change.what))
        row = {**(change.rows[0] if change.rows else {}), **change.values}
        finding = Finding(
            value.bound.name,
            str(value.key),
            read.place,
            f"{table.name}.{change.what}" if change.column else f"{table.name} {change.what}",
            _fix(value.bound, read, change, raised),
            ", ".join(f"{name}={row[name]}" for name in table.key if name in row),
            shown(value.bound, value.record),
            shown(value.bound, new),
        )
        self._proof.findings.append(finding)


def _fix(bound: BoundTask, read: Read, change: Change, raised: frozenset[str]) -> str:
    """The line that would have outdated the value."""
    if not raised:
        return f"capture {change.table.name}, or emit an event wherever it is written"
    families = sorted(set(map(family, raised)), key=lambda name: (name not in read.view.families, name))
    name = families[0]
    template = next((t for t in read.copy.templates.get(change.table.name, ()) if family(t) == name), name)
    is_one = change.is_within and change.kind == "updated" and "/" in template
    line = f'self.entity(f"{template}")' if is_one else f'self.whole_set("{name}")'
    found = f"{line} in {read.place}"
    if name not in read.view.families:
        found += f', with "{name}" in {read.view.__qualname__}.families'
    if name not in bound.contract.declared:
        found += f' and pb.fence("{name}") in the contract of {bound.name}'
    return found
