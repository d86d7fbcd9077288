"""``memory://``: one process, nothing durable. For examples and tests; same protocol steps as the embedded store."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Collection, Iterator, Sequence

from parbake.artifact import Record, Stamp, encode
from parbake.fence.control import Control, Promotion
from parbake.ports import Ack, Change, Lookup, Raised
from parbake.stores import _engine as engine


def open_url(url: str) -> MemoryStore:  # noqa: ARG001 - every adapter's entry point takes its URL
    """Open an empty store."""
    return MemoryStore()


class _Map:
    """An ordered byte map; every operation happens under the store's lock."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._order: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        return self._values.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self._values:
            bisect.insort(self._order, key)
        self._values[key] = value

    def delete(self, key: bytes) -> None:
        if self._values.pop(key, None) is not None:
            del self._order[bisect.bisect_left(self._order, key)]

    def items(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for key in self._order[bisect.bisect_left(self._order, max(prefix, start)) :]:
            if not key.startswith(prefix):
                return
            yield key, self._values[key]


class MemoryStore:
    """A store in this process's memory."""

    def __init__(self) -> None:
        """Start empty, in an incarnation of its own."""
        self._map = _Map()
        self._lock = threading.Lock()
        self._parsed = engine.Parsed()
        engine.initialise(self._map, time.time_ns() // 1000)

    async def read(self, task: str, key: bytes, *, generation: int = 0) -> Lookup:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return engine.read(self._map, self._parsed, task, key, generation)

    async def stamp(self) -> tuple[Stamp, Control]:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return engine.stamp(self._map, self._parsed)

    async def write(self, task: str, key: bytes, record: Record, *, now: float) -> bool:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return engine.write(self._map, self._parsed, task, key, record, now=now)

    async def write_base(
        self,
        task: str,  # noqa: ARG002 - a generation belongs to one task
        generation: int,
        rows: Sequence[tuple[bytes, Record]],
    ) -> None:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            for key, record in rows:
                self._map.put(engine.base_key(generation, key), encode(record))

    async def begin(self) -> tuple[int, Stamp, Control]:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return engine.begin_run(self._map, self._parsed)

    async def promote(self, promotion: Promotion) -> Control:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return engine.promote_run(self._map, self._parsed, promotion)

    async def rollback(self, task: str, now: float, built_with: Sequence[str] = ()) -> int:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return engine.roll_back(self._map, self._parsed, task, now, built_with)

    async def sweep(self, abandoned: Collection[int]) -> int:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return engine.sweep(self._map, self._parsed, abandoned)

    async def apply(
        self, changes: Sequence[Change], *, now: float, position: tuple[str, int, int] | None = None
    ) -> Ack:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return engine.apply(self._map, self._parsed, changes, now, position)

    async def applied(self, source: str) -> int:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return int.from_bytes(self._map.get(engine.APPLIED + source.encode()) or b"", "big")

    async def beat(self, source: str, at: float) -> None:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            engine.beat(self._map, self._parsed, source, at)

    async def log(self, after: int, limit: int) -> list[Raised]:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return engine.event_log(self._map, after, limit)

    async def get(self, name: str) -> bytes | None:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return self._map.get(engine.NAMED + name.encode())

    async def swap(self, name: str, expected: bytes | None, new: bytes) -> bool:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            return engine.swap(self._map, name, expected, new)

    def scan(self, task: str) -> Iterator[tuple[bytes, Lookup]]:
        """See :class:`parbake.ports.Store`."""
        with self._lock:
            found = list(engine.scan(self._map, self._parsed, task))
        return iter(found)

    async def close(self) -> None:
        """Forget nothing: the object may still be read."""
