"""Exports and erases what an app keeps about a person: in its places, in its store, and in its models."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from parbake.app.engine import Engine
from parbake.errors import BadInput, StoreError
from parbake.ports.named_values import NamedValue
from parbake.ports.observers import Progress
from parbake.ports.offers import Mentions
from parbake.ports.records import Lookup
from parbake.protocol.record import Stamp, encode
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import ModelTask
from parbake.values.words import Words

_SHORTEST = 4
"""Fewest characters of what is looked for in bytes. Something shorter occurs in many values of others."""
PAUSE_S = 1.0
"""Seconds between two rounds of an erasure."""
_QUIET_ROUNDS, _MOST_ROUNDS = 2, 20
"""How many rounds in a row must find nothing, and how many there are at most."""
Rows = Mapping[str, Mapping[str, int]]
"""Numbers of rows by place and table."""


class ErasedPerson(msgspec.Struct, frozen=True):
    """What was erased.

    Attributes:
        places: The rows that are gone or have become nobody's, by place and table.
        items: How many items of the store are gone.
        models: The models that were computed again, because they had learnt from the person.
        tags_until: When the sweep will have deleted the last watermark of the person's tags, in epoch seconds. A
            watermark is the name of a tag and a number. ``None`` if they are gone.
        discarded: What had been set aside of the store because it was damaged, and is deleted as a whole.
    """

    places: Mapping[str, Mapping[str, int]]
    items: int
    models: tuple[str, ...]
    tags_until: float | None
    discarded: tuple[str, ...] = ()


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
        BadInput: The id is too short, or names something else.
    """
    _check(engine, subject)
    words, values = Words((subject,)), list[KeptValue]()
    places = {place.name: await asyncio.to_thread(place.export, subject) for place in engine.parts.personal}
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
    before them is served. Then models that have learnt from the person are computed again, and every item of the store
    that names the person is deleted. Rounds follow until nothing more is found, because other processes write what they
    still hold. In the end the files are left without what was deleted. What was set aside of the store because it was
    damaged is deleted as a whole, since it cannot be searched.

    Args:
        engine: The opened app.
        subject: The person's id.
        now: The current time, in epoch seconds.
        at_once: Whether to delete the watermarks of the person's tags now. Every stored value is then computed again.
        progress: Called with the name of a model, the rows done, and the rows in all.

    Raises:
        BadInput: The id is too short, or names something else.
        StoreError: Other processes write values that name the person again and again.
    """
    _check(engine, subject)
    # What stands for the person is kept until the end: after an interruption nothing else would know it.
    kept = NamedValue(engine.store, f"erasing/{_digest(subject)}", Mentions, Mentions((subject,)))
    found = await _mentioned(engine, subject)
    mentions = await kept.change(lambda known: known | found)
    rows = await _erase_places(engine, subject, mentions, {})
    await engine.ingest.drain(None)
    # What could only go once its change was acknowledged, such as a row of an outbox, goes now.
    rows = await _erase_places(engine, subject, mentions, rows)
    await engine.store.withdraw(())  # the counter advances: what is computed from now on has a higher stamp
    await engine.replayability.end()  # what a loss of the store brought back would name the person again
    before = (await engine.store.stamp()).stamp
    until: float | None = now + engine.housekeeping.longest_s
    if at_once:
        await engine.store.raise_floor(before)
        until = None
    # Below a new floor every model is dead; otherwise those that name the person are.
    words = () if at_once else _long((*mentions.ids, *mentions.texts))
    models = [bound for bound in engine.tasks.values() if await _is_to_forget(engine, bound, words)]
    for bound in models:
        async for run in engine.batch.materialize(bound, progress=progress, anew=True):
            engine.note(run)
    rows, items = await _erase_until_quiet(engine, subject, mentions, before, rows)
    await engine.store.swap(kept.name, await engine.store.get(kept.name), None)
    await engine.store.compact()
    discarded = tuple(await engine.store.discard())
    return ErasedPerson(rows, items, tuple(bound.name for bound in models), until, discarded)


async def _mentioned(engine: Engine, subject: str) -> Mentions:
    """What all places know to stand for a person."""
    found = Mentions((subject,))
    for place in engine.parts.personal:
        found |= await asyncio.to_thread(place.mentions, subject)
    return found


async def _erase_until_quiet(
    engine: Engine, subject: str, mentions: Mentions, before: Stamp, rows: Rows
) -> tuple[Rows, int]:
    """Erase until nothing more is found; returns the rows of all calls, and how many items of the store went.

    Workers refresh what the events name, and servers write what they have noted, within a second or so.
    """
    ids: tuple[str | bytes, ...] = (*_long(mentions.ids), *_number_keys(engine, subject))
    texts = _long(mentions.texts)
    items, quiet = await engine.store.erase(ids, texts, before), 0
    for _ in range(_MOST_ROUNDS):
        await asyncio.sleep(PAUSE_S)
        known = items + _total(rows)
        rows = await _erase_places(engine, subject, mentions, rows)
        items += await engine.store.erase(ids, texts, before)
        quiet = quiet + 1 if items + _total(rows) == known else 0
        if quiet == _QUIET_ROUNDS:
            return rows, items
    raise StoreError(
        "something still writes values that name the person; end what asks for them, and erase again", field="subject"
    )


async def _erase_places(engine: Engine, subject: str, mentions: Mentions, before: Rows) -> Rows:
    """Call each place once; returns the rows of all calls together."""
    rows = {}
    for place in engine.parts.personal:
        erased, known = await asyncio.to_thread(place.erase, subject, mentions), before.get(place.name, {})
        rows[place.name] = {table: known.get(table, 0) + erased.get(table, 0) for table in {**known, **erased}}
    return rows


def _total(rows: Rows) -> int:
    return sum(sum(tables.values()) for tables in rows.values())


async def _is_to_forget(engine: Engine, bound: BoundTask, words: Collection[str]) -> bool:
    """Whether the current generation of a model names one of some words; without words, whether there is one."""
    if not isinstance(bound.task, ModelTask):
        return False
    async for _, lookup in engine.store.scan(bound.ref):
        if not words or any(word.encode() in encode(record) for record in lookup.records for word in words):
            return True
    return False


def _values(bound: BoundTask, raw: bytes, lookup: Lookup, words: Words) -> list[KeptValue]:
    found = []
    for record in lookup.records:
        key = bound.keys.decode(raw, record.meta.key)
        value = msgspec.msgpack.decode(record.payload, ext_hook=lambda _, data: f"{len(data)} bytes")
        tags = [tag for tag, _ in record.meta.tags.named]
        if words.in_value([str(key), value, tags]):
            found.append(KeptValue(bound.name, key, value, record.computed_at))
    return found


def _check(engine: Engine, subject: str) -> None:
    """Raise :class:`BadInput` for an id that cannot be one, or that would erase what concerns nobody."""
    if not (isinstance(subject, str) and subject.isprintable() and len(subject) >= _SHORTEST):
        raise BadInput(
            f"subject={subject!r}: expected an id of at least {_SHORTEST} printable characters, because values are "
            "found by it",
            field="subject",
        )
    if subject in engine.known or subject in engine.tasks:
        raise BadInput(f"subject={subject!r} is the name of a family or a task, and of no person", field="subject")


def _number_keys(engine: Engine, subject: str) -> set[bytes]:
    """The bytes of the person's key in tasks whose keys are not texts, such as numbers."""
    keys = ((bound.keys, bound.keys.from_text(subject)) for bound in engine.tasks.values())
    return {codec.encode(key) for codec, key in keys if key is not None and not isinstance(key, str)}


def _long(words: Collection[str]) -> tuple[str, ...]:
    return tuple(word for word in words if len(word) >= _SHORTEST)


def _digest(subject: str) -> str:
    return blake2b(subject.encode(), digest_size=16).hexdigest()
