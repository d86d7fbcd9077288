"""One partition of a run: compute its keys chunk by chunk, and write what is done while the next is computed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from parbake import errors
from parbake.declare.gates import Profile
from parbake.declare.tasks import Artifact, ModelTask
from parbake.errors import BadInput, ComputeFailed, GateFailed
from parbake.fence.record import Record
from parbake.ports.store import Store
from parbake.serving.bind import Context
from parbake.serving.bound import BoundTask
from parbake.serving.compute import Computed, Computer
from parbake.values.redaction import one_line

_log = logging.getLogger("parbake.batch")
FLUSH_ROWS, FLUSH_BYTES = 8192, 8 << 20
"""What one commit of a run holds at most: so little that an event does not wait long for it."""
WORTH_ROWS, WORTH_BYTES = 1024, 1 << 20
"""What is worth a commit of its own where no other is under way, so that little is left for the end to wait for."""
Moved = Callable[[int, float], Awaitable[None]]
"""Hears how many keys more are done, and how many seconds they took."""


class PartitionWork(msgspec.Struct, frozen=True):
    """What another process needs to know to compute a partition: names, numbers and keys, and no object.

    ``is_urgent`` work gives way to nothing.
    """

    task: str
    generation: int
    pointers: dict[str, int]
    keys: list[bytes]
    is_urgent: bool = False


class PartitionDone(msgspec.Struct, frozen=True):
    """What came of it; its rows lie in the store. ``cpu_s`` are CPU seconds of the process, ``took_s`` of the wall."""

    profile: Profile
    took_s: float
    cpu_s: float


class PartitionAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What another process says of a partition: what came of it, or the error by its class, message and field."""

    done: PartitionDone | None = None
    kind: str = ""
    message: str = ""
    field: str = ""

    def unwrap(self) -> PartitionDone:
        """What came of the partition, or the error that was met there, raised again."""
        if self.done is not None:
            return self.done
        raise getattr(errors, self.kind, ComputeFailed)(self.message, field=self.field)


@dataclass(frozen=True, slots=True)
class PartitionWorker:
    """Computes partitions in this process."""

    store: Store
    computer: Computer

    async def perform(self, bound: BoundTask, work: PartitionWork, moved: Moved) -> PartitionDone:
        """Compute and write all keys of a partition.

        Args:
            bound: The task.
            work: The partition: its keys, and the generations of the run.
            moved: Called after each chunk with the rows done.

        Raises:
            ComputeFailed: The task's function failed.
            GateFailed: Too few rows can pass the gates, whatever else is computed.
        """
        began, cpu = time.perf_counter(), time.process_time()
        keys = [_key(bound, raw) for raw in work.keys]
        chunk = bound.task.chunk if isinstance(bound.task, Artifact) and bound.batched else 1
        context = Context(pointers=work.pointers, lane="batch")
        profile = Profile()
        rows = _Rows(self.store, bound.ref, work.generation)
        try:
            for start in range(0, len(keys), chunk):
                before, some = time.perf_counter(), keys[start : start + chunk]
                for computed in await self.computer.compute(bound, some, context):
                    _check(bound, computed)
                    profile.note(computed.record.payload, absent=computed.record.absent)
                    rows.add(bound.keys.encode(computed.key), computed.record)
                await rows.flush_when_full()
                await moved(len(some), time.perf_counter() - before)
            await rows.flush()
        finally:
            await rows.settle()
        return PartitionDone(profile, time.perf_counter() - began, time.process_time() - cpu)


class _Rows:
    """Rows on their way to the store: at most one write is under way while the next rows are computed."""

    def __init__(self, store: Store, ref: str, generation: int) -> None:
        self._store, self._ref, self._generation = store, ref, generation
        self._pending: list[tuple[bytes, Record]] = []
        self._size = 0
        self._writing: asyncio.Task[None] | None = None

    def add(self, key: bytes, record: Record) -> None:
        """Take a row."""
        meta = msgspec.structs.replace(record.meta, generation=self._generation)
        self._pending.append((key, msgspec.structs.replace(record, meta=meta)))
        self._size += len(record.payload)

    async def flush_when_full(self) -> None:
        """Begin to write once there is enough for a commit, which is less where no other is under way."""
        is_worth_it = len(self._pending) >= WORTH_ROWS or self._size >= WORTH_BYTES
        if len(self._pending) >= FLUSH_ROWS or self._size >= FLUSH_BYTES or (is_worth_it and self._is_idle()):
            await self._begin()

    async def flush(self) -> None:
        """Write all that is left; it is durable when this returns."""
        await self._begin()
        await self._written()

    async def settle(self) -> None:
        """Wait for a write that nobody waits for any more, because something else failed meanwhile."""
        if self._writing is not None:
            (error,) = await asyncio.gather(self._writing, return_exceptions=True)
            if isinstance(error, Exception):
                _log.error("%s: a write of the failed partition failed, too: %s", self._ref, one_line(error))

    def _is_idle(self) -> bool:
        return self._writing is None or self._writing.done()

    async def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def _begin(self) -> None:
        await self._written()
        if self._pending:
            write = self._store.write_base(self._ref, self._generation, self._pending)
            self._writing = asyncio.ensure_future(write)
            self._pending, self._size = [], 0


def key_bytes(bound: BoundTask, key: Any) -> bytes:
    """A key as a partition carries it; raises :class:`BadInput` naming a value that is not a key, and who lists it."""
    try:
        return msgspec.msgpack.encode(bound.keys.check(key))
    except (BadInput, TypeError, ValueError, OverflowError) as error:
        raise BadInput(
            f"{bound.name}: keys= lists {repr(key)[:80]}, which is not a key: {error}", field="keys"
        ) from error


def _key(bound: BoundTask, raw: bytes) -> Any:
    return "" if isinstance(bound.task, ModelTask) else bound.keys.check(msgspec.msgpack.decode(raw))


def _check(bound: BoundTask, computed: Computed) -> None:
    """What was computed is whole, and reads back as the task's type."""
    if not computed.storable:
        raise ComputeFailed(f"{bound.name}: an input of {computed.key!r} refused to answer", field=bound.name)
    if problem := bound.unreadable(computed.record):
        raise GateFailed(f"{bound.name}: the value of {computed.key!r} does not decode ({problem})", field=bound.name)
