"""The freshness report: for each task its SLA, the ages of its values and its runs; for each source its lag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from parbake.lanes.batch.fingerprint import is_of_other_code
from parbake.lanes.worker.conditions import NOTHING
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


class SourceRow(msgspec.Struct, frozen=True):
    """When a source was last read to its end, in epoch seconds, and how long that is ago; ``None`` before the first."""

    source: str
    families: tuple[str, ...]
    heard_at: float | None
    lag_s: float | None


async def report(engine: Any, most_keys: int = _MAX_SCANNED) -> list[FreshnessRow]:
    """One row per stored task of an engine.

    Args:
        engine: The opened engine.
        most_keys: From how many keys of a task the ages are taken, in the order of the keys.
    """
    control = await engine.schedule.look()
    return [await _row(engine, bound, control, most_keys) for bound in engine.tasks.values()]


async def heard(engine: Any) -> list[SourceRow]:
    """One row per source of an engine."""
    times, now = (await engine.store.look_again(NOTHING)).heartbeats, engine.clock.now()
    rows = [(s.name, tuple(sorted(s.families)), times.get(s.name)) for s in engine.binder.heard]
    return [SourceRow(*row, None if row[-1] is None else max(0.0, now - row[-1])) for row in rows]


async def _row(engine: Any, bound: BoundTask, control: Control, most_keys: int) -> FreshnessRow:
    now = engine.clock.now()
    ages, stale, lag = await _scan(engine.store, bound, now, most_keys)
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


async def _scan(store: Store, bound: BoundTask, now: float, most_keys: int) -> tuple[list[float], int, int]:
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
        if len(ages) == most_keys:
            break
    return ages, stale, lag
