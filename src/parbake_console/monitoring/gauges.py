"""Gauges of ages, runs and sources, as the console saw them last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from parbake.lanes.batch.runs import PROMOTED, State
from parbake.lanes.worker.freshness import FreshnessRow, SourceRow

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

OUTCOMES = (PROMOTED, "refused", "failed")
"""How the newest run of a task ended: a gate or another run refused it, or it has failed and will be continued."""


def _outcome(state: State) -> str:
    """One of :data:`OUTCOMES`; empty before the first run."""
    if state.under_way is not None and state.under_way.failure:
        return "failed"
    return (PROMOTED if state.ended[0].outcome == PROMOTED else "refused") if state.ended else ""


def _failures(state: State) -> int:
    return sum(run.outcome != PROMOTED for run in state.ended) + (_outcome(state) == "failed")


_OF_TASKS: Mapping[str, tuple[str, Callable[[FreshnessRow], float | None]]] = {
    "parbake_sla_seconds": ("The SLA of the contract.", lambda row: row.freshness_sla_s),
    "parbake_age_half_seconds": ("The age that half of the values do not exceed.", lambda row: row.age_p50_s),
    "parbake_age_oldest_seconds": ("The age of the oldest value.", lambda row: row.age_max_s),
    "parbake_stale_share": ("The share of values that may not be served, 0 to 1.", lambda row: row.stale_share),
    "parbake_keys_seen": ("Keys that the last look was taken at, at most 300.", lambda row: row.keys),
    "parbake_generation_timestamp_seconds": (
        "When the run of the current generation began, in epoch seconds.", lambda row: row.last_run
    ),
}  # fmt: skip
_OF_RUNS: Mapping[str, tuple[str, Callable[[State], float | None]]] = {
    "parbake_run_last_success_timestamp_seconds": (
        "When the newest promoted run ended, in epoch seconds.",
        lambda state: next((run.ended_at for run in state.ended if run.outcome == PROMOTED), None),
    ),
    "parbake_run_duration_seconds": (
        "How long the newest ended run took.",
        lambda state: state.ended[0].ended_at - state.ended[0].started_at if state.ended else None,
    ),
    "parbake_run_rows": ("Rows of the newest ended run.", lambda state: state.ended[0].rows if state.ended else None),
    "parbake_run_failures": ("Recorded runs that were not promoted, one that has stopped included.", _failures),
}


def gauges(
    rows: Iterable[FreshnessRow], sources: Iterable[SourceRow], runs: Mapping[str, State]
) -> Iterator[GaugeMetricFamily]:
    """Return what the console saw last.

    Args:
        rows: The freshness of each task.
        sources: When each source was read to its end.
        runs: The runs of each task that has a schedule.
    """
    from prometheus_client.core import GaugeMetricFamily

    def of(name: str, says: str, label: str, values: Iterable[tuple[str, float | None]]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, says, labels=[label])
        for value, number in values:
            if number is not None:
                family.add_metric([value], number)
        return family

    for name, (says, pick) in _OF_TASKS.items():
        yield of(name, says, "task", ((row.task, pick(row)) for row in rows))
    for name, (says, choose) in _OF_RUNS.items():
        yield of(name, says, "task", ((task, choose(state)) for task, state in runs.items()))
    ended = GaugeMetricFamily(
        "parbake_run_outcome", "How the newest run ended: 1 for that outcome.", labels=["task", "outcome"]
    )
    for task, state in runs.items():
        for outcome in OUTCOMES:
            ended.add_metric([task, outcome], outcome == _outcome(state))
    yield ended
    says = "Seconds from when a source was last read to its end until the last look."
    yield of("parbake_source_lag_seconds", says, "source", ((row.source, row.lag_s) for row in sources))
