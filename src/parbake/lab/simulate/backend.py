"""The simulated store: a map that takes time, can go back to an earlier state, and is reached over a network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, TypeVar

from parbake.fence.record import Record
from parbake.lab.simulate.virtual_loop import sleep
from parbake.ports.records import Lookup, Snapshot
from parbake.stores.memory import ByteMap
from parbake.stores.steps import engine
from parbake.stores.steps.base import EngineStore
from parbake.stores.steps.items import Commit

if TYPE_CHECKING:
    from parbake.lab.simulate.sim_process import Process

T = TypeVar("T")
REMEMBERED = 400
GENERAL = 0.3
"""The share of reads of an embedded store that go the general way."""
SLOW_ITEM = 0.15
"""The share of single items that are read noticeably later than those before."""


class Disk:
    """The data, with what it takes to undo the last commits: a failover to a copy that had not got them yet."""

    def __init__(self, watch: Callable[[bytes, bytes | None, bytes | None], None]) -> None:
        """Start empty, on the first host; ``watch`` sees every item that a commit changes, as it was and as it is."""
        self.items = ByteMap()
        self._watch = watch
        self.host = "host 1"
        self._undo: list[dict[bytes, bytes | None]] = []
        self._open: dict[bytes, bytes | None] = {}
        self.get = self.peek = self.items.get

    def put(self, key: bytes, value: bytes) -> None:
        """Write one item of the commit that is being made."""
        self._open.setdefault(key, self.items.get(key))
        self.items.put(key, value)

    def delete(self, key: bytes) -> None:
        """Remove one item in the commit that is being made."""
        self._open.setdefault(key, self.items.get(key))
        self.items.delete(key)

    def end_commit(self) -> None:
        """What was written since the last end is one commit."""
        if self._open:
            for key, before in self._open.items():
                self._watch(key, before, self.items.get(key))
            self._undo.append(self._open)
            del self._undo[:-REMEMBERED]
            self._open = {}

    def fail_over(self, commits: int) -> int:
        """Lose the last commits and be another host; returns how many were lost."""
        lost = 0
        while lost < commits and self._undo:
            for key, value in self._undo.pop().items():
                if value is None:
                    self.items.delete(key)
                else:
                    self.items.put(key, value)
            lost += 1
        self.host = f"host {int(self.host.split()[1]) + 1}"
        return lost


class SimItems:
    """One process's connection to a store of single items; a driver like that of any server."""

    commit_limit = 100

    def __init__(self, disk: Disk, process: Process, *, is_snapshot: bool) -> None:
        """Without ``is_snapshot`` every item of a fetch is read at a moment of its own."""
        self._disk = disk
        self._process = process
        self.is_snapshot = is_snapshot
        self.host = ""

    async def open(self) -> None:
        """Learn which copy of the data this is."""
        await self._process.reach_store()
        self.host = self._disk.host

    async def fetch(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Read, in one moment or each item in its own, in an order of chance."""
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
                await sleep(draw() * self._process.world.slow_items_s * self._process.network.takes)
        self.host = self._disk.host
        await self._process.hear_store()
        return [values[name] for name in names]

    async def commit(self, commit: Commit) -> bool:
        """One atomic step on the server, then the way back."""
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
        """Write rows, each a commit of its own."""
        await self._process.reach_store()
        for name, value in rows:
            self._disk.put(name, value)
            self._disk.end_commit()
        await self._process.hear_store()

    async def remove(self, names: Collection[bytes]) -> None:
        """Delete rows, each a commit of its own."""
        await self._process.reach_store()
        for name in names:
            self._disk.delete(name)
            self._disk.end_commit()
        await self._process.hear_store()

    async def range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """List what is there at one moment."""
        await self._process.reach_store()
        found = self._disk.items.range(prefix, start, limit)
        await self._process.hear_store()
        return found

    async def close(self) -> None:
        """Nothing to release."""


class SimStore(EngineStore):
    """A store whose steps are atomic where the data is, as in an embedded one."""

    def __init__(self, disk: Disk, process: Process) -> None:
        """Reached by one process."""
        super().__init__()
        self._disk = disk
        self._process = process
        self._host = ""

    async def read(self, task: str, key: bytes, *, generation: int = 0) -> Lookup:
        """See :class:`parbake.ports.store.Store`."""
        return await self._look(lambda txn: engine.read(txn, self._parsed, task, key, generation))

    def glimpse(self, task: str, key: bytes) -> Snapshot | None:
        """See :class:`parbake.ports.records.Snapshots`; sometimes the general way is taken, as in stores without it."""
        if not self._answers_at_once():
            return None
        get = self._disk.get
        return engine.glimpse(get, self._parsed.common(get, self._disk.items.version), task, key)

    def review(self, record: Record) -> Lookup | None:
        """See :class:`parbake.ports.records.Snapshots`."""
        if not self._answers_at_once():
            return None
        get = self._disk.get
        return engine.review(get, self._parsed.common(get, self._disk.items.version), record)

    def _answers_at_once(self) -> bool:
        process = self._process
        if process.paused_until or process.is_cut_from_store or process.rng.random() < GENERAL:
            return False
        self._settle()
        return True

    async def close(self) -> None:
        """Nothing to release."""

    async def _look(self, step: Callable[[engine.ReadTxn], T]) -> T:
        await self._process.reach_store()
        self._settle()
        found = step(self._disk)
        await self._process.hear_store()
        return found

    async def _step(self, step: Callable[[engine.Txn], T]) -> T:
        await self._process.reach_store()
        self._settle()
        found = step(self._disk)
        self._disk.end_commit()
        await self._process.hear_store()
        return found

    def _settle(self) -> None:
        """An embedded store settles when it is opened; here, when its file has changed underneath."""
        if self._host != self._disk.host:
            engine.settle(self._disk, self._parsed, self._disk.host, self._process.number)
            self._disk.end_commit()
            self._host = self._disk.host

    async def _range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return await self._look(lambda _: self._disk.items.range(prefix, start, limit))

    async def _put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        def put(txn: engine.Txn) -> None:
            for name, value in rows:
                txn.put(name, value)

        await self._step(put)

    async def _remove(self, names: Collection[bytes]) -> None:
        def remove(txn: engine.Txn) -> None:
            for name in names:
                txn.delete(name)

        await self._step(remove)
