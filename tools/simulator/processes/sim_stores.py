"""The connections of a simulated process to the store: over a network that takes time and loses messages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from parbake.ports.records import Lookup, RecordSnapshot
from parbake.protocol.record import Record
from parbake.stores.steps import lookups
from parbake.stores.steps.base_store import EngineStore
from parbake.stores.steps.item_steps import Commit
from parbake.stores.steps.lookups import Get
from parbake.stores.steps.record_steps import RecordSteps, Txn
from simulator.world.disk import Disk
from simulator.world.process_state import ProcessState
from simulator.world.virtual_loop import sleep

T = TypeVar("T")
GENERAL = 0.3
"""The share of reads of an embedded store that use ``read`` although ``glimpse`` could answer."""
SLOW_ITEM = 0.15
"""The share of single items that are read noticeably later than the items before them."""


class SimItems:
    """One process's connection to a store of single items, like the driver of a real server."""

    commit_limit = 100

    def __init__(self, disk: Disk, process: ProcessState, *, is_snapshot: bool) -> None:
        """Create the connection. Without ``is_snapshot``, a fetch reads every item at a different moment."""
        self._disk = disk
        self._process = process
        self.is_snapshot = is_snapshot
        self.host = ""

    async def open(self) -> None:
        """Learn the host of the data."""
        await self._process.reach_store()
        self.host = self._disk.host

    async def fetch(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Read all items at one moment, or each at its own moment and in random order."""
        if self.is_snapshot:
            await self._process.reach_store()
            self.host = self._disk.host
            found = [self._disk.get(name) for name in names]
            await self._process.hear_store()
            return found
        values: dict[bytes, bytes | None] = {}
        await self._process.reach_store()
        draw = self._process.rng.random
        for name in names if len(names) == 1 else sorted(names, key=lambda _: draw()):
            values[name] = self._disk.get(name)
            if draw() < SLOW_ITEM:
                await sleep(draw() * self._process.world.slow_items_s * self._process.network.slowdown)
        self.host = self._disk.host
        await self._process.hear_store()
        return [values[name] for name in names]

    async def commit(self, commit: Commit) -> bool:
        """Commit in one atomic step on the server, then wait for the answer."""
        await self._process.reach_store()
        done = self._commit(commit)
        await self._process.hear_store()
        return done

    def _commit(self, commit: Commit) -> bool:
        disk = self._disk
        if len({*commit.expected, *commit.writes}) > self.commit_limit:
            raise AssertionError("a commit names more items than the store takes")
        if commit.host and commit.host != disk.host:
            self.host = disk.host
            return False
        if any(disk.get(name) != value for name, value in commit.expected.items()):
            return False
        for name, new in commit.writes.items():
            if new is None:
                disk.delete(name)
            else:
                disk.put(name, new)
        disk.end_commit()
        return True

    async def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write rows, each in a commit of its own."""
        await self._process.reach_store()
        for name, value in rows:
            self._disk.put(name, value)
            self._disk.end_commit()
        await self._process.hear_store()

    async def remove(self, names: Collection[bytes]) -> None:
        """Delete rows, each in a commit of its own."""
        await self._process.reach_store()
        for name in names:
            self._disk.delete(name)
            self._disk.end_commit()
        await self._process.hear_store()

    async def range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """List the rows at one moment.

        Args:
            prefix: The prefix of the names.
            start: The first name.
            limit: The greatest number of rows.
        """
        await self._process.reach_store()
        found = self._disk.items.range(prefix, start, limit)
        await self._process.hear_store()
        return found

    async def count(self, prefix: bytes) -> int:
        """Count the rows at one moment."""
        await self._process.reach_store()
        found = self._disk.items.count(prefix)
        await self._process.hear_store()
        return found

    async def close(self) -> None:
        """Do nothing: a simulated connection holds no resource."""


class SimStore(EngineStore):
    """One process's connection to an embedded store, whose steps are atomic."""

    def __init__(self, disk: Disk, process: ProcessState) -> None:
        """Connect a process to the disk."""
        super().__init__()
        self._disk = disk
        self._process = process
        self._host = ""

    async def read(self, task: str, key: bytes, *, generation: int = 0) -> Lookup:
        """See :class:`parbake.ports.store.Store`."""
        return await self._look(lambda get: lookups.read(get, self._parsed, task, key, generation))

    def glimpse(self, task: str, key: bytes) -> RecordSnapshot | None:
        """See :class:`parbake.ports.records.Snapshots`. Sometimes ``None``, like a store that cannot answer."""
        if not self._answers_at_once():
            return None
        get = self._disk.get
        return lookups.glimpse(get, self._parsed.common(get, self._disk.items.version), task, key)

    def review(self, record: Record) -> Lookup | None:
        """See :class:`parbake.ports.records.RecordSnapshots`."""
        if not self._answers_at_once():
            return None
        get = self._disk.get
        return lookups.review(get, self._parsed.common(get, self._disk.items.version), record)

    def _answers_at_once(self) -> bool:
        process = self._process
        if process.paused_until or process.is_cut_from_store or process.rng.random() < GENERAL:
            return False
        self._settle()
        return True

    async def close(self) -> None:
        """Do nothing: a simulated connection holds no resource."""

    async def _look(self, step: Callable[[Get], T]) -> T:
        await self._process.reach_store()
        self._settle()
        found = step(self._disk.get)
        await self._process.hear_store()
        return found

    async def _step(self, step: Callable[[Txn], T]) -> T:
        await self._process.reach_store()
        self._settle()
        found = step(self._disk)
        self._end_commit()
        await self._process.hear_store()
        return found

    def _end_commit(self) -> None:
        self._disk.end_commit()

    def _settle(self) -> None:
        """Settle after a failover, when the data is another host's; a real embedded store settles when it is opened."""
        if self._host != self._disk.host:
            RecordSteps(self._disk, self._parsed).settle(self._disk.host, self._new_number)
            self._disk.end_commit()
            self._host = self._disk.host

    def _new_number(self, above: int) -> int:
        return self._process.number(above)

    async def _range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return await self._look(lambda _: self._disk.items.range(prefix, start, limit))

    async def _count(self, prefix: bytes) -> int:
        return await self._look(lambda _: self._disk.items.count(prefix))

    async def _put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        def put(txn: Txn) -> None:
            for name, value in rows:
                txn.put(name, value)

        await self._step(put)

    async def _remove(self, names: Collection[bytes]) -> None:
        def remove(txn: Txn) -> None:
            for name in names:
                txn.delete(name)

        await self._step(remove)
