"""A store that runs the protocol's steps. A driver adds its way to run a transaction and to list items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import TypeVar

import msgspec

from parbake.errors import StoreError
from parbake.ports.event_log import Ack, Applied, Change, Parked, Raised, Step
from parbake.ports.generations import NewGeneration
from parbake.ports.records import Lookup, StoreState
from parbake.ports.store import Store
from parbake.protocol import control as rules
from parbake.protocol.control import Control, JournalMark, Promotion, Quarantine
from parbake.protocol.record import STAMP_AT, Record, Stamp, encode, unpack_stamp
from parbake.stores.steps import event_steps as events
from parbake.stores.steps import item_names as names
from parbake.stores.steps import lookups
from parbake.stores.steps.event_steps import StoreSteps
from parbake.stores.steps.lookups import Get, Parsed
from parbake.stores.steps.record_steps import Txn, numbers
from parbake.values.words import Words

T = TypeVar("T")
PAGE = 500
_number = numbers()
READ_TRIES = 12
"""How often a read begins again because the store was settled or blessed during it."""


def changed_too_often(meanwhile: str) -> StoreError:
    """The error for a read that began again too often. ``meanwhile`` says what was read."""
    return StoreError(f"the store changed too often while {meanwhile}; try again", field="store")


class EngineStore(Store, ABC):
    """Implements a store on transactions. Subclasses implement transactions, :meth:`read` and :meth:`close`."""

    commit_limit = 1_000_000
    """How many items one commit can write."""

    def __init__(self) -> None:
        self._parsed = Parsed()

    @abstractmethod
    async def _look(self, step: Callable[[Get], T]) -> T:
        """Run a read-only step."""

    @abstractmethod
    async def _step(self, step: Callable[[Txn], T]) -> T:
        """Run and commit a step; durable when it returns. The step may run again and must have no other effect."""

    @abstractmethod
    async def _range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most ``limit`` items with a prefix in byte order, from ``start`` on."""

    @abstractmethod
    async def _count(self, prefix: bytes) -> int:
        """How many items have a prefix."""

    @abstractmethod
    async def _put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write many items, durably but not necessarily atomically."""

    @abstractmethod
    async def _remove(self, names: Collection[bytes]) -> None:
        """Delete many items, not necessarily atomically."""

    async def _take(self, step: Callable[[StoreSteps], T]) -> T:
        return await self._step(lambda txn: step(StoreSteps(txn, self._parsed)))

    async def stamp(self) -> StoreState:
        return await self._look(lambda get: lookups.stamp(get, self._parsed))

    async def write(self, task: str, key: bytes, record: Record, *, now: float) -> bool:
        return await self._take(lambda steps: steps.write(task, key, record, now=now))

    async def write_base(
        self,
        task: str,  # noqa: ARG002 - a generation belongs to one task
        generation: int,
        rows: Sequence[tuple[bytes, Record]],
    ) -> None:
        prefix = names.base_key(generation, b"")
        await self._put([(prefix + key, encode(record)) for key, record in rows])

    async def rows(self, generation: int) -> int:
        return await self._count(names.base_of(generation))

    async def begin(self) -> NewGeneration:
        return await self._take(lambda steps: steps.begin())

    async def promote(self, promotion: Promotion) -> Control:
        return await self._take(lambda steps: steps.promote(promotion))

    async def rollback(self, task: str, now: float, built_with: Sequence[str] = ()) -> int:
        return await self._take(lambda steps: steps.rollback(task, now, built_with))

    async def withdraw(self, generations: Collection[int]) -> None:
        await self._take(lambda steps: steps.withdraw(generations))

    async def quarantine(self, task: str, entry: Quarantine | None) -> Control:
        return await self._take(lambda steps: steps.quarantine(task, entry))

    async def mark_journal(self, expected: JournalMark | None, new: JournalMark | None) -> Control:
        return await self._take(lambda steps: steps.mark_journal(expected, new))

    async def bless(self, seen: int, *, raise_floor: bool) -> Control:
        return await self._take(lambda steps: steps.bless(seen, raise_floor=raise_floor))

    async def distrust_store(self, seen: int) -> Control:
        return await self._take(lambda steps: steps.distrust(seen, self._new_number))

    def _new_number(self, above: int) -> int:
        """Create a number for an incarnation; see :data:`parbake.protocol.control.Number`."""
        return _number(above)

    async def sweep(self, abandoned: Collection[int], retired: Collection[str] = ()) -> int:
        kept, end = await self._take(lambda steps: steps.abandon(abandoned, retired))
        removed = 0
        async for number in self._generations():
            if number >= end:  # it has begun since
                break
            if number not in kept:
                removed += await self._drop_generation(number)
        return removed

    async def _generations(self) -> AsyncIterator[int]:
        """The numbers of all generations that have rows, ascending."""
        start = names.BASE
        while rows := await self._range(names.BASE, start, 1):
            number = names.generation_of(rows[0][0])
            start = names.base_of(number + 1)
            yield number

    async def erase(self, ids: Collection[str | bytes], texts: Collection[str], before: Stamp) -> int:
        since, removed = before.pack(), 0
        named, told = names.as_bytes(ids), names.as_bytes((*ids, *texts))
        rows = [names.base_of(number) async for number in self._generations()]
        for prefix in (*rows, names.OVERLAY, names.ENTRY, names.PARKED):
            is_record = prefix not in (names.ENTRY, names.PARKED)
            async for page in self._pages(prefix):
                doomed = [
                    name
                    for name, raw in page
                    if names.mentions(name + raw, named if is_record and raw[STAMP_AT] >= since else told)
                ]
                await self._remove(doomed)
                removed += len(doomed)
        words = Words(one for one in ids if isinstance(one, str))
        async for page in self._pages(names.LOG):
            kept = [(name, events.without(raw, words)) for name, raw in page if names.mentions(raw, named)]
            changed = [(name, entry) for name, entry in kept if entry is not None]
            await self._put(changed)
            removed += len(changed)
        return removed

    async def _drop_generation(self, generation: int) -> int:
        removed = 0
        async for page in self._pages(names.base_of(generation)):
            await self._remove([name for name, _ in page])
            removed += len(page)
        await self._remove([names.base_of(generation)])  # a driver may keep an item of its own under this name
        return removed

    async def raise_floor(self, to: Stamp) -> int:
        """Raise the floor, recheck each item below it, and return how many were removed."""
        floor, size, removed = to.pack(), max(1, min(PAGE, self.commit_limit // 2)), 0
        await self._take(lambda steps: steps.raise_floor(floor))
        for prefix in (names.MARK, names.OVERLAY):
            async for page in self._pages(prefix):
                doomed = [name for name, raw in page if names.is_below(name, raw, floor)]
                for start in range(0, len(doomed), size):
                    removed += await self._drop(doomed[start : start + size])
        return removed

    async def _drop(self, doomed: Sequence[bytes]) -> int:
        return await self._take(lambda steps: steps.drop_below(doomed))

    async def apply(self, changes: Sequence[Change], *, now: float, advance: Step | None = None) -> Ack:
        parts = events.split(changes, advance, self.commit_limit - events.COMMON_ITEMS)
        return Ack.together([await self._apply(part, now, at) for part, at in parts]) or Ack(Stamp(0, 0), {})

    async def _apply(self, changes: Sequence[Change], now: float, advance: Step | None) -> Ack:
        return await self._take(lambda steps: steps.apply(changes, now, advance))

    async def applied(self, source: str) -> Applied:
        return await self._look(lambda get: events.applied(get, source))

    async def beat(self, source: str, at: float, *, now: float) -> bool:
        return await self._take(lambda steps: steps.beat(source, at, now))

    async def park(self, parked: Parked) -> None:
        await self._take(lambda steps: steps.park(parked))

    async def parked(self, limit: int, after: tuple[str, int] = ("", 0)) -> list[Parked]:
        start = names.parked_key(*after) + b"\0" if after[0] else names.PARKED
        found: list[Parked] = []
        while len(found) < limit:
            size = min(PAGE, limit - len(found))
            page = await self._range(names.PARKED, start, size)
            found += [msgspec.msgpack.decode(raw, type=Parked) for _, raw in page]
            if len(page) < size:
                break
            start = page[-1][0] + b"\0"
        return found

    async def unpark(self, source: str, position: int) -> bool:
        return await self._take(lambda steps: steps.unpark(source, position))

    async def rewind(self, source: str, tags: Sequence[str], *, now: float) -> Ack:
        return await self._take(lambda steps: steps.rewind(source, tags, now))

    async def log(self, after: Stamp, limit: int) -> list[Raised]:
        first = names.LOG + Stamp(after.incarnation, after.sequence + 1).pack()
        rows = await self._range(names.LOG, first, limit)
        return [msgspec.msgpack.decode(raw, type=Raised) for _, raw in rows]

    async def get(self, name: str) -> bytes | None:
        return await self._look(lambda get: get(names.NAMED + name.encode()))

    async def swap(self, name: str, expected: bytes | None, new: bytes | None) -> bool:
        return await self._take(lambda steps: steps.swap(name, expected, new))

    async def append(self, name: str, key: bytes, entry: bytes) -> None:
        await self._put([(names.entries_of(name) + key, entry)])

    async def entries(self, name: str) -> dict[bytes, bytes]:
        prefix = names.entries_of(name)
        return {item[len(prefix) :]: entry async for page in self._pages(prefix) for item, entry in page}

    async def clear(self, name: str) -> None:
        async for page in self._pages(names.entries_of(name)):
            await self._remove([item for item, _ in page])

    async def note(self, name: str, entry: bytes) -> Stamp:
        return await self._take(lambda steps: steps.note(name, entry))

    async def noted(self, name: str, after: Stamp, limit: int) -> list[tuple[Stamp, bytes]]:
        prefix = names.entries_of(name)
        rows = await self._range(prefix, prefix + after.pack() + b"\0", limit)
        return [(unpack_stamp(item[len(prefix) :]), entry) for item, entry in rows]

    async def forget(self, task: str, keys: Collection[bytes]) -> None:
        await self._remove([names.overlay_key(task, key) for key in keys])

    async def look_again(self, record: Record) -> Lookup:
        return await self._look(lambda get: lookups.look_again(get, self._parsed, record))

    async def scan(self, task: str) -> AsyncIterator[tuple[bytes, Lookup]]:
        """Yield each key with its overlay and current base together, one page of keys at a time.

        Keys are found under the control record at the begin of the scan, and judged under a later one.
        """
        _, control = await self.stamp()
        current = control.pointer(task)
        seen: set[bytes] = set()
        for prefix in (names.overlay_of(task), *([names.base_key(current, b"")] if current else [])):
            async for page in self._pages(prefix):
                keys = [key for name, _ in page if (key := name[len(prefix) :]) not in seen]
                seen.update(keys)
                if not keys:
                    continue
                control, found = await self._lookups(task, keys, current, control)
                for one in found:
                    yield one

    async def _lookups(
        self, task: str, keys: Sequence[bytes], current: int, before: Control
    ) -> tuple[Control, list[tuple[bytes, Lookup]]]:
        """Read the current state of some keys, again if the store was settled or blessed since ``before`` was read."""
        places = {key: (names.overlay_key(task, key), names.base_key(current, key)) for key in keys}
        for _ in range(READ_TRIES):
            raws = await self._several([names.BEATS, *(name for both in places.values() for name in both)])
            beats = self._parsed.beats(raws.pop(names.BEATS, None))
            there = {key: [raws[name] for name in both if name in raws] for key, both in places.items()}
            read = {key: lookups.whole(those) for key, those in there.items()}
            tags = lookups.tags_of([record for records, _ in read.values() for record in records])
            raised = await self._several([names.mark_key(tag) for tag in tags])
            control = (await self.stamp()).control
            if rules.is_same_trust(before, control):
                return control, [
                    (key, Lookup(control, records, lookups.marks_of(raised.get, records), beats, damaged))
                    for key, (records, damaged) in read.items()
                ]
            before = control
        raise changed_too_often("a page of keys was read")

    async def _several(self, items: Collection[bytes]) -> dict[bytes, bytes]:
        """The existing ones among some items."""
        return await self._look(lambda get: {name: raw for name in items if (raw := get(name)) is not None})

    async def _pages(self, prefix: bytes) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """All items with a prefix, page by page."""
        start = prefix
        while page := await self._range(prefix, start, PAGE):
            yield page
            if len(page) < PAGE:
                return
            start = page[-1][0] + b"\0"
