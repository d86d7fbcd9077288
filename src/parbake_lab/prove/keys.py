"""Which keys of a task are judged: listed ones, those that others read, and those that find rows."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import inspect
import itertools
import json
import random
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from typing import Any

import parbake as pb
from parbake.serving.bind import NO_CONTEXT
from parbake.serving.bound import BoundTask
from parbake.tasks.roles import Role
from parbake.tasks.task_types import Artifact, ModelTask
from parbake_lab.prove.reads import Read
from parbake_lab.prove.statements import reads_of
from parbake_lab.prove.values import Computing

_MOST_KEYS = 2000
_NOBODY: Mapping[str, Any] = {"str": "no-such-key", "int": 987_654_321}
"""Keys that are asked for in vain: what was not found has to be outdated, too."""
_CHOICE = 4
"""How many times more keys are looked at than are judged."""
_MARKS = ("1", "2", "nobody", "nothing")
_PROBES, _CANDIDATES, _HITS, _ORPHANS = 4, 200, 30, 4
"""Keys that are computed to learn what their parts stand for; rows of a view that are looked at, and values kept."""
_NUMBER = "987654321"
"""A value that no query finds anything for."""
_SPLITTING = {"partition", "rpartition", "split", "rsplit"}


class Keys:
    """Finds keys of an app's tasks."""

    def __init__(self, app: pb.App, computing: Computing, rng: random.Random) -> None:
        """Use an app whose sources are the copies.

        Args:
            app: The app.
            computing: Computes keys, to learn what they stand for.
            rng: What draws keys.
        """
        self._app, self._computing, self._rng = app, computing, rng

    async def of(self, bound: BoundTask, given: Sequence[Any], most: int) -> list[Any]:
        """Keys to judge: those that were given; else of those that ``keys=`` lists, or of those that tables suggest.

        Args:
            bound: The task.
            given: The keys that were given.
            most: How many to draw.
        """
        if isinstance(bound.task, ModelTask):
            return [""]
        if given:
            return list(given)
        listed = [key async for key in self._listed(bound)] or await self._learnt(bound)
        drawn = await self._different(bound, self._drawn(bound, listed, _CHOICE * most), most)
        nobody = _NOBODY.get(bound.keys.kind)
        return [*drawn, *([nobody] if nobody is not None and drawn else [])]

    async def _different(self, bound: BoundTask, keys: list[Any], most: int) -> list[Any]:
        """Keys that let a task ask different queries, or ask them in vain. Resources are not called to choose."""
        if len(keys) <= most or bound.task.of(Role.RESOURCE):
            return keys[:most]
        groups: dict[frozenset[Any], list[Any]] = {}
        for key in keys:
            asked = await self._computing.probe(bound, key)
            groups.setdefault(frozenset(map(_shape, asked)), []).append(key)
        rounds = itertools.zip_longest(*groups.values())
        return [key for one in rounds for key in one if key is not None][:most]

    async def read_by_others(self, bound: BoundTask, known: Collection[Any], most: int) -> list[Any]:
        """Keys that were computed because another task reads them.

        Args:
            bound: The task.
            known: Keys that are judged already.
            most: How many to draw.
        """
        if isinstance(bound.task, ModelTask):
            return []
        stored = [raw async for raw, _ in self._app.engine.store.scan(bound.ref)]
        found = [bound.keys.decode(raw, b"") for raw in stored if raw[:1] != b"h"]  # long ones are hashed
        return self._drawn(bound, [key for key in found if key not in known], most)

    def partners(self, bound: BoundTask, key: Any, tags: Collection[str]) -> list[Any]:
        """Other keys whose own tags bind the value of a key.

        Args:
            bound: The task.
            key: The key.
            tags: The tags that bind its value.
        """
        families = {item.family for item in bound.contract.binding if item.is_template}
        words = [word for name, _, word in (tag.partition("/") for tag in tags) if name in families]
        return [other for other in map(bound.keys.from_word, words) if other is not None and other != key]

    def _drawn(self, bound: BoundTask, keys: Sequence[Any], most: int) -> list[Any]:
        different = list({bound.keys.encode(key): key for key in keys}.values())
        return self._rng.sample(different, min(len(different), most))

    async def _learnt(self, bound: BoundTask) -> list[Any]:
        """Keys for which the queries of a task find something; just some key if it cannot be learnt.

        A key may consist of two parts, which the task takes apart. What a part stands for is seen in the queries: a
        parameter that equals it is set to values of the tables that the query reads.
        """
        task = bound.task
        found: list[str] = []
        if isinstance(task, Artifact) and bound.keys.kind in ("str", "int"):
            for mark in ("", *_marks_of(task)):
                found = await self._composed(bound, mark) or found
        return [key for key in map(bound.keys.from_text, found or _MARKS[:1]) if key is not None]

    async def _composed(self, bound: BoundTask, mark: str) -> list[str]:
        """Keys of one part, or of two parts with a mark between them; none if nothing is learnt."""
        parts = [[_MARKS[0], _MARKS[2]], [_MARKS[1], _MARKS[3]]][: 2 if mark else 1]
        learnt: set[int] = set()
        pairs: list[str] = []
        for _ in range(2 * len(parts)):
            before = len(learnt)
            combined = list(itertools.product(*(part[:_PROBES] for part in parts)))
            for chosen in self._rng.sample(combined, min(len(combined), 2 * _PROBES)):
                for read in await self._computing.probe(bound, bound.keys.from_text(mark.join(chosen))):
                    for place in {0, len(parts) - 1} - learnt:
                        if hits := self._hits(read, chosen[place]):
                            parts[place] = hits
                            learnt.add(place)
                    if learnt == {0} and mark:
                        pairs += [mark.join((chosen[0], leaf)) for row in read.rows for leaf in _leaves(row)]
            if len(learnt) in (before, len(parts)):
                break
        if len(learnt) < len(parts):
            return pairs if 0 in learnt else []
        return [mark.join(self._rng.choice(part) for part in parts) for _ in range(_HITS)] if mark else parts[0]

    def _hits(self, read: Read, part: str) -> list[str]:
        """The values for which a query finds something, in place of a part of a key that is its parameter.

        At the end stand a few to which columns refer, and for which it finds nothing yet.
        """
        name = next((name for name, value in read.parameters.items() if str(value) == part), "")
        kind = type(read.parameters.get(name))
        if kind not in (str, int):
            return []
        vain = self._found(read, name, kind(_NUMBER))
        values = (value for value in self._candidates(read) if kind is str or value.lstrip("-").isdigit())
        found = (value for value in values if self._found(read, name, kind(value)) not in (vain, None))
        hits = list(itertools.islice(found, _HITS))
        referred = sorted(self._referred(read)) if hits else []
        values = (value for value in self._rng.sample(referred, len(referred)) if kind is str or value.isdigit())
        orphans = (value for value in values if self._found(read, name, kind(value)) == vain)
        return [*hits, *itertools.islice(orphans, _ORPHANS)]

    def _candidates(self, read: Read) -> list[str]:
        """Values of each column of the tables and views that a query reads, also within JSON."""
        copy, found = read.copy, dict[str, None]()
        pools = [[row.values() for row in copy.pool(p.table)] for p in reads_of(read.statement, copy) if not p.is_guess]
        named = [name for name in copy.views if name in read.statement]
        pools += [list(copy.rows(f"SELECT * FROM {name} LIMIT {_CANDIDATES}", {})) for name in named]
        for pool in pools:
            for values in zip(*pool, strict=True):
                different = list(dict.fromkeys(leaf for value in values for leaf in _leaves(value)))
                found.update(dict.fromkeys(self._rng.sample(different, min(len(different), _HITS))))
        return list(found)

    @staticmethod
    def _referred(read: Read) -> set[str]:
        """Values to which the columns that a query compares may refer, so that it may find nothing for them yet."""
        parts = reads_of(read.statement, read.copy)
        columns = [part.table.columns.get(one.column) for part in parts for one in part.compared if one.parameter]
        parents = [column.parent for column in columns if column and column.parent]
        pools = [(read.copy.tables.get(name.lower()), place) for name, place in parents]
        rows = [(row, place) for table, place in pools if table for row in read.copy.pool(table)]
        return {str(row[place]) for row, place in rows if place in row}

    @staticmethod
    def _found(read: Read, name: str, value: Any) -> Any:
        try:
            return list(read.copy.rows(read.statement, {**read.parameters, name: value}))
        except read.copy.refusals:
            return None

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


def _shape(read: Read) -> tuple[str, bool, frozenset[str]]:
    """A query, whether it found something, and the tables whose rows its result is made of."""
    parts = [part for part in reads_of(read.statement, read.copy) if part.rows]
    used = {part.rows for part in parts if read.copy.found(part.table, part.rows, read.parameters)}
    return read.statement, bool(read.rows), frozenset(used)


def _marks_of(task: Artifact[Any, Any]) -> list[str]:
    """The signs at which a task, what it calls in its module, or one of its views may take a key apart."""
    fn: Any = inspect.unwrap(task.fn)
    called = [fn.__globals__.get(name) for name in fn.__code__.co_names]
    methods = [method for one in task.of(Role.SOURCE) for method in vars(one.type).values()]
    functions: list[Any] = [inspect.unwrap(one) for one in (fn, *called, *methods) if inspect.isfunction(one)]
    splitting = [one.__code__ for one in functions if _SPLITTING.intersection(one.__code__.co_names)]
    texts = [one for code in splitting for one in code.co_consts if isinstance(one, str)]
    return list(dict.fromkeys(text for text in texts if len(text) == 1 and not text.isalnum()))


def _leaves(value: Any) -> Iterator[str]:
    """The texts, whole numbers and dates within a value."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, dt.date):
        yield value.isoformat()
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield str(value)
