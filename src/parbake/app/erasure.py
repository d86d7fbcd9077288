"""Exports and erases what an app keeps about a person: in its places, in its store, and in its models."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from parbake.app.engine import Engine
from parbake.errors import BadInput, StoreError
from parbake.ports.observers import Progress
from parbake.ports.records import Lookup
from parbake.protocol.record import encode
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import ModelTask

SHORTEST = 4
"""Fewest characters of an id. A shorter one occurs in many values that have nothing to do with the person."""


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
    before them is served. Then models that have learnt from the person are computed again, and every item of the store
    that names the person is deleted. Rounds follow until nothing more is found, because other processes write what they
    still hold. In the end the files are left without what was deleted.

    Args:
        engine: The opened app.
        subject: The person's id.
        now: The current time, in epoch seconds.
        at_once: Whether to delete the watermarks of the person's tags now. Every stored value is then computed again.
        progress: Called with the name of a model, the rows done, and the rows in all.

    Raises:
        BadInput: The id is too short to be found.
        StoreError: Other processes write values that name the person again and again.
    """
    _words(subject, ())
    rows, mentions = await _erase_places(engine, subject, (), {})
    await engine.ingest.drain(None)
    # What could only go once its change was acknowledged, such as a row of an outbox, goes now.
    rows, mentions = await _erase_places(engine, subject, mentions, rows)
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
    rows, more = await _erase_until_quiet(engine, subject, mentions, rows)
    await engine.store.compact()
    return ErasedPerson(rows, items + more, tuple(bound.name for bound in models), until)


async def _erase_until_quiet(engine: Engine, subject: str, mentions: Collection[str], rows: Rows) -> tuple[Rows, int]:
    """Erase again until nothing more is found; returns the rows of all calls, and how many items of the store went.

    Workers refresh what the events name, and servers write what they have noted, within a second or so.
    """
    items = quiet = 0
    for _ in range(_MOST_ROUNDS):
        await asyncio.sleep(PAUSE_S)
        before = items + _total(rows)
        rows, mentions = await _erase_places(engine, subject, mentions, rows)
        items += await engine.store.erase(_words(subject, mentions))
        quiet = quiet + 1 if items + _total(rows) == before else 0
        if quiet == _QUIET_ROUNDS:
            return rows, items
    raise StoreError(
        "something still writes values that name the person; end what asks for them, and erase again", field="subject"
    )


async def _erase_places(
    engine: Engine, subject: str, mentions: Collection[str], before: Rows
) -> tuple[Rows, tuple[str, ...]]:
    """Call each place once; returns the rows of all calls together, and all mentions."""
    rows, named = {}, dict.fromkeys(mentions)
    for place in engine.parts.personal:
        erased = await asyncio.to_thread(place.erase, subject, tuple(named))
        known = before.get(place.name, {})
        rows[place.name] = {
            table: known.get(table, 0) + erased.rows.get(table, 0) for table in {**known, **erased.rows}
        }
        named.update(dict.fromkeys(erased.mentions))
    return rows, tuple(named)


def _total(rows: Rows) -> int:
    return sum(sum(tables.values()) for tables in rows.values())


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
