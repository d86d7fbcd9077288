"""The batch lane: one run computes a chain of tasks ahead, checks it, and promotes it all at once.

A model and what is built with it are one chain: moving the model's pointer alone would make everything built with the
earlier one stale, so their generations are promoted together, by one compare-and-swap.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from parbake.artifact import Record, Stamp
from parbake.errors import BadInput, ComputeFailed, GateFailed, StoreError
from parbake.fence.control import Control, Pointer, Promotion
from parbake.ports import Clock, Progress, Store
from parbake.serving.binding import NO_CONTEXT, Context
from parbake.serving.compute import Computed, Computer
from parbake.serving.plan import Plan
from parbake.tasks import Artifact, ModelTask

FLUSH_ROWS, FLUSH_BYTES = 8192, 8 << 20
"""What one commit of a run holds: enough to be worth its sync, so little that an event does not wait long for it."""


class Built(msgspec.Struct, frozen=True):
    """One task's part of a run. Times in seconds."""

    task: str
    generation: int
    rows: int
    absent: int
    took_s: float


class Run(msgspec.Struct, frozen=True):
    """The report of a promoted run."""

    trigger: str
    started_at: float
    took_s: float
    stamp: Stamp
    built: tuple[Built, ...]


RunHook = Callable[[Run], Awaitable[None]]


def _silent(_task: str, _done: int, _total: int) -> None:
    """No progress is shown."""


class BatchLane:
    """Materializes tasks."""

    def __init__(self, store: Store, computer: Computer, plans: Iterable[Plan], clock: Clock) -> None:
        """Plans come in the order of declaration, so that inputs stand before what reads them."""
        self._store = store
        self._computer = computer
        self._plans = list(plans)
        self._clock = clock

    def chain(self, plan: Plan) -> list[Plan]:
        """The plans that are promoted with one: for a model all scheduled tasks built with it, transitively."""
        chain = [plan]
        for other in self._plans:
            models = [p.task for p in chain if isinstance(p.task, ModelTask)]
            if (
                other not in chain
                and other.task.schedule
                and not other.off
                and any(m in other.task.inputs for m in models)
            ):
                chain.append(other)
        return chain

    async def materialize(
        self,
        plan: Plan,
        *,
        keys: Sequence[Any] | None = None,
        trigger: str = "manual",
        progress: Progress | None = None,
    ) -> Run:
        """Run a task's chain and promote it; raises :class:`GateFailed` (the previous generation stays)."""
        chain, progress = self.chain(plan), progress or _silent
        if keys is not None and len(chain) > 1:
            raise BadInput(
                f"{plan.name} is promoted together with what is built from it; keys cannot be chosen", field="keys"
            )
        started, before = self._clock.now(), time.perf_counter()
        generations, stamp, control = {}, None, None
        for member in chain:
            generations[member.ref], at, found = await self._store.begin()
            stamp, control = stamp or at, control or found
        try:
            built = await self._promote(chain, keys, generations, (started, control), progress)
        except BaseException:
            with contextlib.suppress(StoreError):
                await self._store.sweep(generations.values())
            raise
        await self._store.sweep(())
        return Run(trigger, started, time.perf_counter() - before, stamp or Stamp(0, 0), built)

    async def _promote(
        self,
        chain: Sequence[Plan],
        keys: Sequence[Any] | None,
        generations: Mapping[str, int],
        start: tuple[float, Control | None],
        progress: Progress,
    ) -> tuple[Built, ...]:
        """Build each member from the unpromoted output of those before it, then move all pointers at once."""
        started, control = start
        pointers: dict[str, Pointer] = {}
        built: list[Built] = []
        for member in chain:
            earlier = {ref: generations[ref] for ref in pointers}
            context = Context(pointers=earlier, lane="batch")
            part = await self._build(member, keys, context, generations[member.ref], progress)
            _check_rows(member, part, control.pointers.get(member.ref) if control else None)
            pointers[member.ref] = Pointer(part.generation, self._clock.now(), started, part.rows)
            built.append(part)
        expected = {ref: control.pointer(ref) if control else 0 for ref in (*pointers, *_models_read(chain))}
        await self._store.promote(Promotion(pointers, expected, control.incarnation if control else 0))
        return tuple(built)

    async def keys(self, plan: Plan, context: Context = NO_CONTEXT) -> Sequence[Any]:
        """The keys of a run: what ``keys=`` lists; a model has one, the empty key."""
        if isinstance(plan.task, ModelTask):
            return [""]
        if not isinstance(plan.task, Artifact) or plan.task.list_keys is None:
            raise BadInput(f"{plan.name} declares no keys=; name the keys to materialize", field="keys")
        found = await self._computer.run(plan.task.list_keys, (), context, {})
        return [plan.keys.check(key) for key in found]

    async def _build(
        self, plan: Plan, keys: Sequence[Any] | None, context: Context, generation: int, progress: Progress
    ) -> Built:
        before = time.perf_counter()
        wanted = await self.keys(plan, context) if keys is None else [plan.keys.check(k) for k in keys]
        chunk = plan.task.chunk if isinstance(plan.task, Artifact) and plan.batched else 1
        rows, pending, size = {"present": 0, "absent": 0}, [], 0
        progress(plan.name, 0, len(wanted))
        for start in range(0, len(wanted), chunk):
            for computed in await self._computer.compute(plan, wanted[start : start + chunk], context):
                if not computed.storable:
                    raise ComputeFailed(f"{plan.name}: an input of {computed.key!r} refused to answer", field=plan.name)
                decodable(plan, computed)
                rows["absent" if computed.record.absent else "present"] += 1
                pending.append((plan.keys.encode(computed.key), _in_generation(computed, generation)))
                size += len(computed.record.payload)
            if len(pending) >= FLUSH_ROWS or size >= FLUSH_BYTES:
                await self._store.write_base(plan.ref, generation, pending)
                pending, size = [], 0
            progress(plan.name, min(start + chunk, len(wanted)), len(wanted))
            await asyncio.sleep(0)
        await self._store.write_base(plan.ref, generation, pending)
        return Built(plan.name, generation, rows["present"], rows["absent"], time.perf_counter() - before)


def _check_rows(plan: Plan, part: Built, previous: Pointer | None) -> None:
    """The row-count gate, against the previous generation."""
    before = previous.rows if previous else 0
    if part.rows < plan.task.min_rows_ratio * before:
        raise GateFailed(
            f"{plan.name}: {part.rows} rows, fewer than {plan.task.min_rows_ratio:.0%} of the previous {before}; the "
            "previous generation stays",
            field=plan.name,
        )


def _in_generation(computed: Computed, generation: int) -> Record:
    record = computed.record
    return msgspec.structs.replace(record, meta=msgspec.structs.replace(record.meta, generation=generation))


def decodable(plan: Plan, computed: Computed) -> None:
    """The decodability gate: what is about to be stored must read back as the task's type."""
    if problem := plan.unreadable(computed.record):
        raise GateFailed(f"{plan.name}: the value of {computed.key!r} does not decode ({problem})", field=plan.name)


def _models_read(chain: Sequence[Plan]) -> list[str]:
    """The models a chain reads but does not replace: they must not move before the promotion."""
    own = {plan.task for plan in chain}
    return [t.ref for plan in chain for t in plan.task.inputs if isinstance(t, ModelTask) and t not in own]
