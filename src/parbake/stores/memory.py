"""``memory://``: one process, nothing durable. For examples and tests; the protocol steps are those of every store.

A forked process has a copy: neither process sees what the other writes after the fork.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from parbake.ports.records import Lookup, RecordSnapshot
from parbake.process import forks
from parbake.protocol.record import Record
from parbake.stores.steps import lookups
from parbake.stores.steps.base_store import EngineStore
from parbake.stores.steps.event_steps import StoreSteps
from parbake.stores.steps.item_names import APPLIED
from parbake.stores.steps.lookups import Get
from parbake.stores.steps.record_steps import RecordSteps, Txn, numbers

T = TypeVar("T")


def open_url(url: str) -> MemoryStore:  # noqa: ARG001 - every adapter's entry point takes its URL
    """Open an empty store."""
    return MemoryStore()


class ByteMap:
    """An ordered byte map. It is also its own transaction, for the holder of the lock."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self._order: list[bytes] = []
        self.version = 0
        self.get = self.peek = self.values.get

    def put(self, key: bytes, value: bytes) -> None:
        """Write one item."""
        self.version += 1
        if key not in self.values:
            bisect.insort(self._order, key)
        self.values[key] = value

    def delete(self, key: bytes) -> None:
        """Remove one item if it exists."""
        self.version += 1
        if self.values.pop(key, None) is not None:
            del self._order[bisect.bisect_left(self._order, key)]

    def range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """List items with a prefix in byte order.

        Args:
            prefix: The prefix of the names.
            start: The first name.
            limit: The greatest number of items.
        """
        found: list[tuple[bytes, bytes]] = []
        at = bisect.bisect_left(self._order, max(prefix, start))
        for key in self._order[at : at + limit]:
            if not key.startswith(prefix):
                break
            found.append((key, self.values[key]))
        return found

    def count(self, prefix: bytes) -> int:
        """Count the items with a prefix."""
        return sum(name.startswith(prefix) for name in self.values)


class MemoryStore(EngineStore, forks.Forkable):
    """A store in this process's memory. It has snapshots; see :class:`parbake.ports.records.RecordSnapshots`."""

    is_local = True

    def __init__(self) -> None:
        """Create an empty store with its own incarnation."""
        super().__init__()
        self._map = ByteMap()
        self._lock = threading.Lock()
        RecordSteps(self._map, self._parsed).settle("", numbers())
        forks.watch(self)

    def before_fork(self) -> None:
        """Wait for a step in another thread to end, because a half-done step must not be copied."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Release the lock."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Release the lock of the copy, and read sources without an order anew.

        The parent goes on reporting to their databases under the name in the cursor, and writers wait for it. This
        copy takes a name of its own, and trusts nothing that such a source fences before it has reported.
        """
        self._lock = threading.Lock()
        StoreSteps(self._map, self._parsed).forget_cursors(self._map.range(APPLIED, APPLIED, len(self._map.values)))

    async def read(self, task: str, key: bytes, *, generation: int = 0) -> Lookup:
        with self._lock:
            return lookups.read(self._map.get, self._parsed, task, key, generation)

    def glimpse(self, task: str, key: bytes) -> RecordSnapshot | None:
        with self._lock:
            get = self._map.get
            return lookups.glimpse(get, self._parsed.common(get, self._map.version), task, key)

    def review(self, record: Record) -> Lookup:
        with self._lock:
            get = self._map.get
            return lookups.review(get, self._parsed.common(get, self._map.version), record)

    async def close(self) -> None:
        """Do nothing, so that the object can still be read."""

    async def _look(self, step: Callable[[Get], T]) -> T:
        with self._lock:
            return step(self._map.get)

    async def _step(self, step: Callable[[Txn], T]) -> T:
        with self._lock:
            return step(self._map)

    async def _range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        with self._lock:
            return self._map.range(prefix, start, limit)

    async def _count(self, prefix: bytes) -> int:
        with self._lock:
            return self._map.count(prefix)

    async def _put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        with self._lock:
            for name, value in rows:
                self._map.put(name, value)

    async def _remove(self, names: Collection[bytes]) -> None:
        with self._lock:
            for name in names:
                self._map.delete(name)
