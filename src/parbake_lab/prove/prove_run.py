"""Changes a copy row by row, and looks which values that are served on would come out differently."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import parbake as pb
from parbake.errors import BadInput, ParbakeError
from parbake.protocol.record import Record
from parbake.protocol.tags import family
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import ModelTask
from parbake.values.redaction import described
from parbake_capture.tables import Captured
from parbake_lab.prove.changes import Change, Changes
from parbake_lab.prove.copied_app import app_over, copied
from parbake_lab.prove.copies import Copy
from parbake_lab.prove.kept import Anew, Keeping
from parbake_lab.prove.keys import Keys
from parbake_lab.prove.outside import Outside
from parbake_lab.prove.proof import Finding, Ignored, Proof
from parbake_lab.prove.reads import Read
from parbake_lab.prove.statements import TableRead, reads_of, sqlglot
from parbake_lab.prove.values import VARIES, Computing, ProvedValue, same, shown

_VALUES = 8
"""The values of one task whose same query is put to the test in full; for more, only a few changes are made."""
_VAIN = 6
"""The changes of one column that change what a query finds, but not the value, after which it is left alone."""

_AGAIN = 20
"""How often a value is computed again after changes, at most, on average."""
_IGNORED = 48
"""The changes of one column that a contract ignores, for one task, after which it is taken not to matter."""
_TOGETHER = 60
"""The keys that a task which takes several is called with, at most."""


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

    sample: int = 300
    seed: int = 0
    tasks: Sequence[str] = ()
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tables: Sequence[Captured] = ()
    copy: str = ""


async def prove(
    app: pb.App, limits: ProveLimits, *, progress: Callable[[int, int], None], anew: Anew | None = None
) -> Proof:
    """Find what the contracts and views of an app leave out.

    Args:
        app: The app; nothing of it is opened but its resources.
        limits: What is judged.
        progress: Called with the values done and their number.
        anew: Loads the program anew and returns its app, to find what the program keeps; ``None`` to leave that out.

    Raises:
        BadInput: There is no such task; or a source cannot be copied.
        MissingDependency: The parser of SQL is not installed.
        SourceError: A database cannot be copied.
    """
    sqlglot()
    with ExitStack() as stack:
        copies = copied(app.settings, limits.tables, limits.copy, stack)
        reads: list[Read] = []
        proved = app_over(app.settings, copies, reads, app.settings.clock.now())
        engine = proved.engine
        try:
            await proved.drain()
            run = _Run(proved, copies, reads, limits)
            proof = await run.judge(progress)
            if anew is not None:
                await run.compare(Keeping(app.settings, anew, copies, run.values))
            return proof
        finally:
            await engine.close()


class _Run:
    """One run over an app."""

    def __init__(self, app: pb.App, copies: Sequence[Copy], reads: list[Read], limits: ProveLimits) -> None:
        self._app, self._copies, self._limits = app, copies, limits
        self._rng = random.Random(limits.seed)  # noqa: S311 - a sample must be drawn again the same way
        self._bounds = self._chosen()
        self._outside = Outside()
        self._computing = Computing(app, reads, self._outside)
        self._keys = Keys(app, self._computing, self._rng)
        self.values: list[ProvedValue] = []
        self._proof = Proof()
        self._seen: dict[tuple[Any, ...], int] = {}
        self._found: set[tuple[str, ...]] = set()
        self._vain: dict[tuple[str, ...], int] = {}
        self._again_left = _AGAIN * limits.sample

    async def judge(self, progress: Callable[[int, int], None]) -> Proof:
        """Judge a sample of the values of each task."""
        values, most = self.values, max(2, self._limits.sample // max(1, len(self._bounds)))
        for number, bound in enumerate(self._bounds, 1):
            values += await self._values(bound, most)
            progress(number, len(self._bounds))
        for bound in self._bounds:
            known = [value.key for value in values if value.bound is bound]
            values += await self._computed(bound, await self._keys.read_by_others(bound, known, most // 2))
        self._proof.values = len(values)
        for name, what in self._outside.found:
            self._note_outside(self._app.engine.tasks[name], what)
        for number, value in enumerate(values):
            progress(number, len(values))
            for read in value.reads:
                await self._try(value, read)
        progress(len(values), len(values))
        return self._proof

    async def compare(self, keeping: Keeping) -> None:
        """Compare the program with one that is loaded anew; afterwards the copies are not used any more."""
        try:
            async for finding in keeping.findings():
                if not self._is_accounted(self._app.engine.tasks[finding.task], {"ignore"}):
                    self._proof.findings.append(finding)
        except Exception as error:  # noqa: BLE001 - a program may refuse to be loaded twice in any way
            self._proof.unproved["what the program keeps"] = f"it cannot be loaded anew: {described(error)}"

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
            keys = await self._keys.of(bound, given, most)
        except ParbakeError as error:
            self._proof.unproved[bound.name] = f"it cannot be computed: {error}"
            return []
        kept = await self._computed(bound, keys)
        if not keys:
            self._proof.unproved[bound.name] = f"it lists no keys: name some by --key {bound.name}=..."
        return kept

    async def _computed(self, bound: BoundTask, keys: Sequence[Any]) -> list[ProvedValue]:
        """The values of some keys that can be judged; why others cannot is noted once for the task."""
        found = [await self._computing.value(bound, key) for key in keys]
        kept = [value for value in found if isinstance(value, ProvedValue)]
        reasons = [value for value in found if isinstance(value, str)]
        if reasons and not kept:
            self._proof.unproved.setdefault(bound.name, reasons[0])
        elif VARIES in reasons:
            self._proof.unproved.setdefault(bound.name, "some of its values vary by themselves")
        return await self._together(bound, kept) if bound.batched else kept

    async def _together(self, bound: BoundTask, values: Sequence[ProvedValue]) -> list[ProvedValue]:
        """The values with the records of one call for all their keys, and for the keys that these read."""
        others = [key for value in values for key in self._keys.partners(bound, value.key, value.tags[0])]
        keys = list({bound.keys.encode(key): key for key in (*(value.key for value in values), *others)}.values())
        try:
            records = await self._computing.together(bound, keys[:_TOGETHER])
        except ParbakeError:
            return list(values)
        made = {bound.keys.encode(key): record for key, record in zip(keys, records, strict=False)}
        return [replace(value, together=made.get(bound.keys.encode(value.key))) for value in values]

    def _is_accounted(self, bound: BoundTask, by: Collection[str] = ("fence", "refresh", "ignore")) -> bool:
        """Whether the contract has a family, of some strengths, that may stand for what no view reads."""
        told = {name for one in self._app.engine.tasks.values() for name in one.reach.viewed}
        told.update(name for copy in self._copies for name in copy.families)
        unviewed = [i for i in bound.contract.invalidated_by if i.family not in bound.reach.viewed]
        return any(item.family not in told and item.strength in by for item in unviewed)

    def _note_outside(self, bound: BoundTask, what: str) -> None:
        """Note what a task reads without a view, unless its contract accounts for it."""
        if self._is_accounted(bound):
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
        if self._again_left <= 0:
            self._proof.unproved[read.place] = "other changes took all computations: raise --sample, or name a --task"
            return
        parts = reads_of(read.statement, read.copy)
        changes = Changes(read, value.is_outdated, self._rng)
        for part in parts:
            if self._is_told(value, read, part):
                vain: dict[str, int] = {}
                for change in changes.of(part, parts, is_brief=self._seen[shape] > _VALUES):
                    place = (read.place, change.table.name, change.what)
                    if place not in self._found and vain.get(change.what, 0) < _VAIN:
                        vain[change.what] = vain.get(change.what, 0) + await self._change(value, read, change)

    def _is_told(self, value: ProvedValue, read: Read, part: TableRead) -> bool:
        """Whether something tells of a table; if not, that is noted once."""
        copy, name = read.copy, part.table.name
        if copy.tells_of(part.table):
            return True
        is_declared = not read.view.families or self._ignored(value.bound, read.view.families, read)
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
            if value.is_outdated(raised):
                return False
            seen = next((one for one in value.reads if one.copy is copy and one.differs()), None)
            ignored = self._ignored(value.bound, raised, seen) if seen else frozenset()
            if seen is None or (seen.place, change.table.name, change.what) in self._found:
                return False
            if ignored and not self._may_matter(value.bound, ignored, change):
                return False
            new = await self._again(value)
            if (new is None and change.kind != "deleted") or (new and same(value.bound, value.record, new)):
                return True
        if await self._is_shown(value, seen, change):
            self._note(value, seen, change, raised, new=new, ignored=ignored)
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
                read.copy.rewrite(change.table, row, change.column or next(iter(change.values)))
            again = await self._again(value)
        return again is not None and same(value.bound, again, value.record)

    def _ignored(self, bound: BoundTask, tags: Iterable[str], read: Read) -> frozenset[str]:
        """The families of some tags, of those that the view has if there are any, if the contract ignores them all."""
        families = frozenset(map(family, tags))
        own = families.intersection(read.view.families) or families
        ignored = {item.family for item in bound.contract.invalidated_by if item.strength == "ignore"}
        return own if own <= ignored else frozenset()

    def _may_matter(self, bound: BoundTask, ignored: frozenset[str], change: Change) -> bool:
        """Whether families that a contract ignores are still to be tried."""
        place = (bound.name, change.table.name, change.what)
        self._vain[place] = self._vain.get(place, 0) + 1
        return self._vain[place] <= _IGNORED and any((bound.name, name) not in self._found for name in ignored)

    def _note(
        self, value: ProvedValue, read: Read, change: Change, raised: frozenset[str], *, new: Record | None,
        ignored: frozenset[str],
    ) -> None:  # fmt: skip
        """Note an omission, or that a value depends on families that its contract ignores."""
        bound = value.bound
        old, later = shown(bound, value.record), shown(bound, new)
        what, row = _what(change)
        told = (bound.name, str(value.key), read.place, what)
        if not ignored:
            self._found.add((read.place, change.table.name, change.what))
            self._proof.findings.append(Finding(*told, _fix(bound, read, change, raised), row, old, later))
        reasons = {item.family: item.reason for item in bound.contract.invalidated_by}
        for name in sorted(ignored):
            self._found.add((bound.name, name))
            self._proof.ignored.append(Ignored(*told, "", row, old, later, name, reasons[name]))


def _what(change: Change) -> tuple[str, str]:
    """What was changed, and the row."""
    table, row = change.table, dict(change.rows[0] if change.rows else {})
    row.update(change.values if change.kind == "inserted" else {})
    what = f"{table.name}.{change.what}" if change.column else f"{table.name} {change.what}"
    return what, ", ".join(f"{name}={row[name]}" for name in table.key if name in row)


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
