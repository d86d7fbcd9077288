"""Exports and erases what an app keeps about a person: in its places, in its store, and in its models."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from parbake.app.engine import Engine
from parbake.errors import BadInput
from parbake.ports.observers import Progress
from parbake.ports.records import Lookup
from parbake.protocol.record import encode
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import ModelTask

SHORTEST = 4
"""Fewest characters of an id. A shorter one occurs in many values that have nothing to do with the person."""


class ErasedPerson(msgspec.Struct, frozen=True):
    """What was erased.

    Attributes:
        places: The rows that are gone or have become nobody's, by place and table.
        items: How many items of the store are gone.
        models: The models that were computed again, because they had learnt from the person.
        tags_until: When the sweep will have deleted the last watermark of the person's tags, in epoch seconds. A
            watermark is the name of a tag and a number. ``None`` if they are gone.
    """

    places: Mapping[str, Mapping[str, int]]
    items: int
    models: tuple[str, ...]
    tags_until: float | None


class KeptValue(msgspec.Struct, frozen=True):
    """A stored value that names a person: its task, its key, and the time of its computation in epoch seconds."""

    task: str
    key: Any
    value: Any
    computed_at: float


class KeptPerson(msgspec.Struct, frozen=True):
    """Everything that is kept about a person: the rows of each place by table, and the values in the store."""

    subject: str
    places: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
    values: Sequence[KeptValue]


async def export(engine: Engine, subject: str) -> KeptPerson:
    """Return everything that an app keeps about a person.

    Args:
        engine: The opened app.
        subject: The person's id.

    Raises:
        BadInput: The id is too short to be found.
    """
    words = _words(subject, ())
    places = {place.name: await asyncio.to_thread(place.export, subject) for place in engine.parts.personal}
    values = []
    for bound in engine.tasks.values():
        if not isinstance(bound.task, ModelTask):  # it was learnt from many people
            async for raw, lookup in engine.store.scan(bound.ref):
                values += _values(bound, raw, lookup, words)
    return KeptPerson(subject, places, values)


async def erase(
    engine: Engine, subject: str, *, now: float, at_once: bool = False, progress: Progress | None = None
) -> ErasedPerson:
    """Erase what an app keeps about a person. A second call finds nothing.

    The places come first, because values are computed from them. Once their changes are acknowledged, no value from
    before them is served. Then models that have learnt from the person are computed again, every item of the store that
    names the person is deleted, and the files are left without what was deleted.

    Args:
        engine: The opened app.
        subject: The person's id.
        now: The current time, in epoch seconds.
        at_once: Whether to delete the watermarks of the person's tags now. Every stored value is then computed again.
        progress: Called with the name of a model, the rows done, and the rows in all.

    Raises:
        BadInput: The id is too short to be found.
    """
    _words(subject, ())
    first, mentions = await _erase_places(engine, subject, ())
    await engine.ingest.drain(None)
    # What could only go once its change was acknowledged, such as a row of an outbox, goes now.
    later, mentions = await _erase_places(engine, subject, mentions)
    words = _words(subject, mentions)
    until: float | None = now + engine.housekeeping.longest_s
    if at_once:
        await engine.store.raise_floor((await engine.store.stamp()).stamp)
        until = None
    # Below a new floor every model is dead; otherwise those that name the person are.
    models = [bound for bound in engine.tasks.values() if await _is_to_forget(engine, bound, () if at_once else words)]
    for bound in models:
        async for run in engine.batch.materialize(bound, progress=progress, anew=True):
            engine.note(run)
    items = await engine.store.erase(words)
    await engine.store.compact()
    await engine.ingest.drain(None)  # a store that was rewritten is served from again once this was read
    return ErasedPerson(_added(first, later), items, tuple(bound.name for bound in models), until)


async def _erase_places(
    engine: Engine, subject: str, mentions: Collection[str]
) -> tuple[dict[str, Mapping[str, int]], tuple[str, ...]]:
    rows, named = {}, dict.fromkeys(mentions)
    for place in engine.parts.personal:
        erased = await asyncio.to_thread(place.erase, subject, tuple(named))
        rows[place.name] = erased.rows
        named.update(dict.fromkeys(erased.mentions))
    return rows, tuple(named)


def _added(first: Mapping[str, Mapping[str, int]], later: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {
        place: {table: rows.get(table, 0) + later[place].get(table, 0) for table in {**rows, **later[place]}}
        for place, rows in first.items()
    }


async def _is_to_forget(engine: Engine, bound: BoundTask, words: Collection[bytes]) -> bool:
    """Whether the current generation of a model names one of some words; without words, whether there is one."""
    if not isinstance(bound.task, ModelTask):
        return False
    async for _, lookup in engine.store.scan(bound.ref):
        if not words or any(_names(encode(record), words) for record in lookup.records):
            return True
    return False


def _values(bound: BoundTask, raw: bytes, lookup: Lookup, words: Collection[bytes]) -> list[KeptValue]:
    found = []
    for record in lookup.records:
        if _names(raw + encode(record), words):
            key = bound.keys.decode(raw, record.meta.key)
            value = msgspec.msgpack.decode(record.payload, ext_hook=lambda _, data: f"{len(data)} bytes")
            found.append(KeptValue(bound.name, key, value, record.computed_at))
    return found


def _words(subject: str, mentions: Collection[str]) -> tuple[bytes, ...]:
    if not isinstance(subject, str) or len(subject) < SHORTEST:
        raise BadInput(
            f"subject={subject!r}: expected an id of at least {SHORTEST} characters, because values are found by it",
            field="subject",
        )
    return tuple(word.encode() for word in (subject, *mentions) if len(word) >= SHORTEST)


def _names(raw: bytes, words: Collection[bytes]) -> bool:
    return any(word in raw for word in words)
