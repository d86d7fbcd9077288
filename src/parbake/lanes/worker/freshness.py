"""The freshness report: for each task its SLA, the ages of its values, the stale share, and the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from parbake.lanes.batch.fingerprint import is_of_other_code
from parbake.protocol.check import is_pending, killed_by
from parbake.protocol.record import unpack_stamp
from parbake.values.statistics import percentile

if TYPE_CHECKING:
    from parbake.ports.store import Store
    from parbake.protocol.control import Control
    from parbake.serving.bound import BoundTask

_MAX_SCANNED = 20_000


class FreshnessRow(msgspec.Struct, frozen=True):
    """What one task's values are worth now: ages in seconds, other times in epoch seconds, the share from 0 to 1."""

    task: str
    owner: str
    freshness_sla_s: float
    keys: int
    age_p50_s: float | None
    age_p99_s: float | None
    age_max_s: float | None
    stale_share: float
    watermark_lag: int
    generation: int | None
    other_code: bool
    last_run: float | None
    next_run: float | None
    next_run_why: str | None
    breached_since: float | None


async def report(engine: Any) -> list[FreshnessRow]:
    """One row per stored task of an engine; ages in seconds, from at most 20,000 of its keys."""
    control = await engine.schedule.look()
    return [await _row(engine, bound, control) for bound in engine.tasks.values()]


async def _row(engine: Any, bound: BoundTask, control: Control) -> FreshnessRow:
    now = engine.clock.now()
    ages, stale, lag = await _scan(engine.store, bound, now)
    pointer = control.pointers.get(bound.ref)
    slot = engine.schedule.next_run(control, bound) if bound.task.schedule else None
    breached = pointer is not None and now - pointer.started_at > bound.contract.freshness_sla_s
    return FreshnessRow(
        task=bound.name,
        owner=bound.contract.owner,
        freshness_sla_s=bound.contract.freshness_sla_s,
        keys=len(ages),
        age_p50_s=percentile(ages, 50),
        age_p99_s=percentile(ages, 99),
        age_max_s=percentile(ages, 100),
        stale_share=stale / len(ages) if ages else 0.0,
        watermark_lag=lag,
        generation=pointer.generation if pointer else None,
        other_code=is_of_other_code(bound, control),
        last_run=pointer.started_at if pointer else None,
        next_run=max(slot.at, now) if slot else None,
        next_run_why=slot.why if slot else None,
        breached_since=pointer.started_at + bound.contract.freshness_sla_s if pointer and breached else None,
    )


async def _scan(store: Store, bound: BoundTask, now: float) -> tuple[list[float], int, int]:
    """Sorted ages, how many keys have no servable record, and how many tag raises the worst one is behind."""
    ages: list[float] = []
    stale = lag = 0
    async for _, lookup in store.scan(bound.ref):
        if not lookup.records:  # damaged
            continue
        alive = [r for r in lookup.records if killed_by(r, lookup.control, lookup.marks, now=now) is None]
        newest = max(alive or lookup.records, key=lambda r: r.stamp)
        age = now - newest.computed_at
        ages.append(age)
        stale += not alive or age > bound.contract.freshness_sla_s
        if not alive or is_pending(newest, lookup.marks):
            behind = max((unpack_stamp(m).sequence for m in lookup.marks.values()), default=0)
            lag = max(lag, behind - newest.as_of.sequence)
        if len(ages) == _MAX_SCANNED:
            break
    return ages, stale, lag
