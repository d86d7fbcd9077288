"""The protocol on a server with single items and one conditional commit (:mod:`parbake.stores.steps.item_steps`).

A step runs on the items that have been fetched so far. If it asks for another item, it gets nothing, and runs again
after that item has been fetched. A run that asked for nothing new is committed on the condition that the items it read
have not changed. A read fetches a key's records together with the watermarks that bound it last time. Only if the
store's fetch is not a snapshot, the control record is read once more at the end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from parbake.errors import StoreError
from parbake.ports.event_log import Ack, Change, Step
from parbake.ports.records import Lookup
from parbake.process import forks
from parbake.process.loops import PerLoop
from parbake.protocol import control as rules
from parbake.protocol.control import Control, Number
from parbake.protocol.record import Record
from parbake.stores.steps import lookups
from parbake.stores.steps.answering_items import AnsweringItems
from parbake.stores.steps.base_store import READ_TRIES, EngineStore, changed_too_often
from parbake.stores.steps.item_names import BEATS, CONTROL, SEQUENCE, base_key, overlay_key
from parbake.stores.steps.item_steps import Commit, Items
from parbake.stores.steps.lookups import Get
from parbake.stores.steps.record_steps import RecordSteps, Txn, numbers
from parbake.values.backoff import Backoff

T = TypeVar("T")
TRIES = 60
BACKOFF = Backoff(0.002, 0.02)
_HEARD_S = 0.5
"""Greatest age, in seconds, of heartbeats that were read before the records they apply to."""
REMEMBERED = 100_000
_FIRST = (CONTROL, SEQUENCE)
_COMMON = (CONTROL, BEATS)


class _Attempt:
    """One run of a step: what it read, what it still needs, and what it would write."""

    def __init__(self, fetched: Mapping[bytes, bytes | None]) -> None:
        self._fetched = fetched
        self.wanted: dict[bytes, None] = {}
        self.expected: dict[bytes, bytes | None] = {}
        self.writes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        if key not in self.writes:
            self.expected[key] = self._fetched.get(key)
        return self.peek(key)

    def peek(self, key: bytes) -> bytes | None:
        if key in self.writes:
            return self.writes[key]
        if key not in self._fetched:
            self.wanted[key] = None
        return self._fetched.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.writes[key] = value

    def delete(self, key: bytes) -> None:
        self.writes[key] = None


class OptimisticStore(EngineStore, forks.Forkable):
    """A store on a driver's items."""

    def __init__(
        self, items: Items, *, number: Number | None = None, random: Callable[[], float] = random.random
    ) -> None:
        """Create the store; it connects at the first use.

        Args:
            items: The driver.
            number: Creates numbers for new incarnations.
            random: Returns a number from 0 to 1; spreads the retries of writers that contend for one item.
        """
        self._random = random
        super().__init__()
        self.items = items
        self.commit_limit = items.commit_limit
        self._number = number or numbers()
        self._highest = 0
        self._bound_by: dict[bytes, tuple[bytes, ...]] = {}
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._server = AnsweringItems(self.items)
        self._known: Control | None = None
        self._applying = PerLoop(asyncio.Lock)
        self._heard: bytes | None = None
        self._heard_at = float("-inf")

    def after_fork_in_child(self) -> None:
        """Reconnect at the next use; the driver drops the parent's connections itself."""
        self._begin()

    async def read(self, task: str, key: bytes, *, generation: int = 0) -> Lookup:
        name = overlay_key(task, key)
        for _ in range(READ_TRIES):
            known = self._known or await self._settle()
            current = generation or known.pointer(task)
            places = [name, base_key(current, key)] if current else [name]
            got, beats = await self._fetch_between([*places, *self._bound_by.get(name, ())])
            control = await self._accept(got[CONTROL])
            if control is None or not self._is_one_state(known, control, "" if generation else task):
                continue
            records, damaged = lookups.whole(got[place] for place in places)
            marks = self._marks(name, records, got)
            if marks is not None:
                return Lookup(control, records, marks, self._parsed.beats(beats), damaged)
        raise changed_too_often("one key was read")

    async def look_again(self, record: Record) -> Lookup:
        places = [place for _, place in record.meta.tags.named]
        for _ in range(READ_TRIES):
            known = self._known or await self._settle()
            got, beats = await self._fetch_between(places)
            control = await self._accept(got[CONTROL])
            if control is not None and self._is_one_state(known, control):
                marks = lookups.marks_of(got.get, (record,))
                return Lookup(control, (record,), marks, self._parsed.beats(beats))
        raise changed_too_often("one record was checked")

    async def _fetch_between(self, names: Sequence[bytes]) -> tuple[dict[bytes, bytes | None], bytes | None]:
        """Fetch items and the control record, with heartbeats that are no newer than any of them.

        A heartbeat says that all events until its time have been applied. A watermark that was read before the
        heartbeat may lack some of them. If a fetch is not a snapshot, the heartbeats therefore come from an earlier
        fetch, and the control record is read last.
        """
        if self.items.is_snapshot:
            got = await self._fetch([*_COMMON, *names])
            return got, got[BEATS]
        now = asyncio.get_running_loop().time()
        if now > self._heard_at + _HEARD_S:
            (self._heard,), self._heard_at = await self._server.fetch([BEATS]), now
        before = self._heard
        got = await self._fetch(names)
        now = asyncio.get_running_loop().time()
        got |= await self._fetch(_COMMON)
        self._heard, self._heard_at = got[BEATS], now
        return got, before

    async def _accept(self, raw: bytes | None) -> Control | None:
        """Decode the fetched control record; ``None`` if the store had to be settled first."""
        control = None if raw is None else self._parsed.control(raw)
        if control is None or control.host != self.items.host:
            await self._settle()
            return None
        self._highest = max(self._highest, control.incarnation)
        self._known = control
        return control

    def _marks(
        self, name: bytes, records: Sequence[Record], got: Mapping[bytes, bytes | None]
    ) -> dict[str, bytes] | None:
        """The watermarks of the records' tags; ``None`` if some were not fetched. The next fetch then includes them."""
        tags = {place: tag for record in records for tag, place in record.meta.tags.named}
        if not tags.keys() <= got.keys():
            if len(self._bound_by) >= REMEMBERED:
                self._bound_by.clear()
            self._bound_by[name] = tuple(tags)
            return None
        return {tag: raw for place, tag in tags.items() if (raw := got[place]) is not None}

    def _is_one_state(self, before: Control, after: Control, task: str = "") -> bool:
        """Whether what was fetched between two control records can be judged by the second.

        Args:
            before: The control record by which the items were chosen.
            after: The control record that was fetched with them, or after them.
            task: The task whose current generation was read, if one was.
        """
        if after is before:
            return True
        if task and before.pointer(task) != after.pointer(task):
            return False
        if self.items.is_snapshot:
            return True
        is_moved = task and (before.floor, before.pointers) != (after.floor, after.pointers)
        return not is_moved and rules.is_same_trust(before, after)

    async def close(self) -> None:
        await self._server.close()

    async def _settle(self) -> Control:
        """Connect, start an empty store, and detect that the data is on another host."""
        await self._server.open()
        self._known = await self._run(
            lambda txn: RecordSteps(txn, self._parsed).settle(self.items.host, self._new_number), settled=False
        )
        self._highest = max(self._highest, self._known.incarnation)
        return self._known

    def _new_number(self, above: int) -> int:
        return self._number(max(above, self._highest))  # it may have seen higher ones than a store that was wiped

    async def _look(self, step: Callable[[Get], T]) -> T:
        return await self._run(lambda txn: step(txn.get))

    async def _step(self, step: Callable[[Txn], T]) -> T:
        return await self._run(step)

    async def _apply(self, changes: Sequence[Change], now: float, advance: Step | None) -> Ack:
        """Apply one at a time per event loop, because all of them would contend for the counter."""
        async with self._applying.here():
            return await super()._apply(changes, now, advance)

    async def _run(self, step: Callable[[_Attempt], T], *, settled: bool = True) -> T:
        for n in range(TRIES):
            host = self.items.host
            attempt, result = await self._attempt(step, settled=settled)
            if not attempt.writes:
                return result
            if await self._server.commit(Commit(attempt.expected, attempt.writes, host)):
                return result
            await asyncio.sleep(BACKOFF.pause_s(n) * self._random())
        raise StoreError(f"a write conflicted with a newer one {TRIES} times in a row; try again", field="store")

    async def _attempt(self, step: Callable[[_Attempt], T], *, settled: bool) -> tuple[_Attempt, T]:
        """Run a step until everything that it needs has been fetched."""
        fetched: dict[bytes, bytes | None] = {}
        if settled and self.items.is_snapshot and self._known is not None:
            fetched = await self._fetch(_FIRST)
        while True:
            if settled and self._known is None:
                await self._settle()
            if settled and CONTROL in fetched and await self._accept(fetched[CONTROL]) is None:
                fetched = {}
            attempt = _Attempt(fetched)
            try:
                result = step(attempt)
            except Exception:
                if not attempt.wanted:
                    raise
            else:
                if not attempt.wanted:
                    return attempt, result
            if self.items.is_snapshot:  # fetch everything again, so that the step sees one snapshot
                fetched = await self._fetch(list({**fetched, **attempt.wanted}))
            else:  # in the order of the step's requests
                fetched |= await self._fetch(list(attempt.wanted)[:1])

    async def _fetch(self, names: Sequence[bytes]) -> dict[bytes, bytes | None]:
        return dict(zip(names, await self._server.fetch(names), strict=True))

    async def _several(self, items: Collection[bytes]) -> dict[bytes, bytes]:
        """Read with one fetch, on every kind of store: no item depends on another."""
        if self._known is None:
            await self._settle()
        found = await self._fetch(list(items)) if items else {}
        return {name: raw for name, raw in found.items() if raw is not None}

    async def _range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        if self._known is None:
            await self._settle()
        return await self._server.range(prefix, start, limit)

    async def _count(self, prefix: bytes) -> int:
        if self._known is None:
            await self._settle()
        return await self._server.count(prefix)

    async def _put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        if rows:
            await self._server.put(rows)

    async def _remove(self, names: Collection[bytes]) -> None:
        if names:
            await self._server.remove(names)
