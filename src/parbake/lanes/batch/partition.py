"""One partition of a run: compute its keys chunk by chunk, and write one chunk while the next is computed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from parbake import errors
from parbake.errors import BadInput, ComputeFailed, GateFailed, OtherStore, RunLost
from parbake.ports.store import Store
from parbake.protocol.record import Record
from parbake.serving.bind import Context
from parbake.serving.bound import BoundTask
from parbake.serving.compute import Computed
from parbake.tasks.gates import Profile
from parbake.tasks.task_types import Artifact, ModelTask
from parbake.values.redaction import one_line

_log = logging.getLogger("parbake.batch")
FLUSH_ROWS, _FLUSH_BYTES = 8192, 8 << 20
"""The most that one commit of a run holds: little enough that an event does not wait long for it."""
WORTH_ROWS, _WORTH_BYTES = 1024, 1 << 20
"""The least that a commit holds while no other is under way, so that little is left to write at the end."""
Moved = Callable[[int, float], Awaitable[None]]
"""Called with the number of keys just done, and the seconds that they took."""


class Computes(Protocol):
    """Computes the values of tasks, as :class:`parbake.serving.compute.Computer` does."""

    async def compute(self, bound: BoundTask, keys: Sequence[Any], context: Context) -> list[Computed]:
        """Compute some keys of an artifact, or the one value of a model.

        Args:
            bound: The task.
            keys: The keys.
            context: What the computation was asked within.
        """
        ...


class PartitionWork(msgspec.Struct, frozen=True):
    """What another process needs in order to compute a partition: names, numbers and keys, without Python objects.

    ``incarnation`` is that of the run's store. ``is_urgent`` work gives way to nothing.
    """

    task: str
    generation: int
    incarnation: int
    pointers: dict[str, int]
    keys: list[bytes]
    is_urgent: bool = False


class PartitionDone(msgspec.Struct, frozen=True):
    """A computed partition, whose rows are in the store; ``cpu_s`` is CPU time of the process, ``took_s`` wall time."""

    profile: Profile
    took_s: float
    cpu_s: float


class PartitionAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Another process's answer: the computed partition, or the error by its class, message and field."""

    done: PartitionDone | None = None
    kind: str = ""
    message: str = ""
    field: str = ""

    def unwrap(self) -> PartitionDone:
        """Return the computed partition, or raise the other process's error here."""
        if self.done is not None:
            return self.done
        raise getattr(errors, self.kind, ComputeFailed)(self.message, field=self.field)


@dataclass(frozen=True, slots=True)
class PartitionWorker:
    """Computes partitions in this process."""

    store: Store
    computer: Computes

    async def perform(self, bound: BoundTask, work: PartitionWork, moved: Moved) -> PartitionDone:
        """Compute and write all keys of a partition.

        Args:
            bound: The task.
            work: The partition: its keys, and the generations of the run.
            moved: Called after each chunk with the rows done.

        Raises:
            ComputeFailed: The task's function failed, or one of its inputs refused to answer.
            GateFailed: A value does not decode as the task's type.
            OtherStore: The store of this process is not the run's.
        """
        await self._refuse_other_store(work)
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

    async def refuse_lost(self, incarnation: int) -> None:
        """Raise :class:`RunLost` if the run's own store is in another incarnation than the run."""
        if (await self.store.stamp()).control.incarnation != incarnation:
            raise RunLost("the store has lost rows of this run; the next run begins again", field="store")

    async def _refuse_other_store(self, work: PartitionWork) -> None:
        found = (await self.store.stamp()).control.incarnation
        if found != work.incarnation:
            raise OtherStore(
                f"{work.task}: the run is in incarnation {work.incarnation} of its store, but a process that computes "
                f"for it finds incarnation {found}; let each process open the same store under the same URL",
                field="store",
            )


class _Rows:
    """Rows on their way to the store: at most one write is under way while the next rows are computed."""

    def __init__(self, store: Store, ref: str, generation: int) -> None:
        self._store, self._ref, self._generation = store, ref, generation
        self._pending: list[tuple[bytes, Record]] = []
        self._size = 0
        self._writing: asyncio.Task[None] | None = None

    def add(self, key: bytes, record: Record) -> None:
        """Add a row to the next write."""
        meta = msgspec.structs.replace(record.meta, generation=self._generation)
        self._pending.append((key, msgspec.structs.replace(record, meta=meta)))
        self._size += len(record.payload)

    async def flush_when_full(self) -> None:
        """Begin to write once there is enough for a commit; less is enough while no other write is under way."""
        is_worth_it = len(self._pending) >= WORTH_ROWS or self._size >= _WORTH_BYTES
        if len(self._pending) >= FLUSH_ROWS or self._size >= _FLUSH_BYTES or (is_worth_it and self._is_idle()):
            await self._begin()

    async def flush(self) -> None:
        """Write all remaining rows; they are durable when this returns."""
        await self._begin()
        await self._written()

    async def settle(self) -> None:
        """Wait for a write that is still under way after the partition has failed, and log it if it fails, too."""
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
    """Encode a key for a partition; raises :class:`BadInput` that names the task and the value if it is not a key."""
    try:
        return msgspec.msgpack.encode(bound.keys.check(key))
    except (BadInput, TypeError, ValueError, OverflowError) as error:
        raise BadInput(
            f"{bound.name}: keys= lists {repr(key)[:80]}, which is not a key: {error}", field="keys"
        ) from error


def _key(bound: BoundTask, raw: bytes) -> Any:
    return "" if isinstance(bound.task, ModelTask) else bound.keys.check(msgspec.msgpack.decode(raw))


def _check(bound: BoundTask, computed: Computed) -> None:
    """Raise an error unless every input answered and the value decodes as the task's type."""
    if not computed.storable:
        raise ComputeFailed(f"{bound.name}: an input of a key refused to answer", field=bound.name)
    if problem := bound.unreadable(computed.record):
        raise GateFailed(f"{bound.name}: the value of a key does not decode ({problem})", field=bound.name)
