"""The page *Freshness*: is every task within its SLA, is every source heard, and what is being done about it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from parbake.lanes.batch.runs import PROMOTED, State
from parbake.lanes.worker.freshness import FreshnessRow, SourceRow
from parbake_console.charts import Band, Reading, band, line
from parbake_console.history import KEPT_S, History, Incident
from parbake_console.wording import clock_time, count, share, span

if TYPE_CHECKING:
    from parbake.app.application import App

_ORDER = ("breach", "quarantined", "failed", "stale", "empty", "fresh")
_LEAST_LAG_S = 10.0
"""The top of the picture of a source's lag is at least this, so that the usual one is flat."""


class TaskBand(msgspec.Struct, frozen=True):
    """One task: its state and what it means, its ages, their picture, and its runs, in words."""

    task: str
    owner: str
    state: str
    sentence: str
    sla: str
    half: str
    most: str
    keys: str
    band: Band
    last_run: str
    next_run: str
    next_why: str
    rows_done: str


class SourceLine(msgspec.Struct, frozen=True):
    """One source: the families that it tells of, its lag, the greatest lag of the hour, and their picture."""

    source: str
    families: str
    lag: str
    most: str
    points: str
    is_silent: bool


class IncidentLine(msgspec.Struct, frozen=True):
    """Something that was not as it should be, in words; ``ended`` is empty while it goes on.

    ``reads`` is what reads got meanwhile: the task, what happened, and how often.
    """

    sentence: str
    began: str
    ended: str
    lasted: str
    until: float
    reads: Sequence[tuple[str, str, int]]


class FreshnessPage(msgspec.Struct, frozen=True):
    """What the page shows."""

    at: str
    counts: Sequence[tuple[str, int]]
    tasks: Sequence[TaskBand]
    sources: Sequence[SourceLine]
    sentences: Sequence[str]
    incidents: Sequence[IncidentLine]
    trouble: str
    covers: str
    pause: str


async def freshness_page(app: App, history: History) -> FreshnessPage:
    """Look at an app and what is known of its last hour.

    Args:
        app: The app.
        history: What was seen in the last hour.
    """
    await history.fresh()
    now = app.settings.clock.now()
    in_quarantine = {one.about for one in history.conditions if one.kind == "quarantined"}
    bands = [_task(row, history, now, is_in_quarantine=row.task in in_quarantine) for row in history.rows]
    silent = {one.about for one in history.conditions if one.kind == "source_silent"}
    covers = now - history.samples[0].at if history.samples else 0.0
    return FreshnessPage(
        at=clock_time(history.at, now),
        counts=[(state, found) for state in _ORDER if (found := sum(one.state == state for one in bands))],
        tasks=sorted(bands, key=lambda one: (_ORDER.index(one.state), one.task)),
        sources=[_source(row, history, now, is_silent=row.source in silent) for row in history.sources],
        sentences=[one.message for one in history.conditions],
        incidents=[_incident(one, now) for one in sorted(history.incidents, key=lambda one: one.ended is not None)],
        trouble=history.trouble,
        covers=span(min(covers, KEPT_S)),
        pause=span(history.pause_s),
    )


def _incident(one: Incident, now: float) -> IncidentLine:
    ended = "" if one.ended is None else clock_time(one.ended, now)
    until = one.ended or now
    return IncidentLine(one.sentence, clock_time(one.began, now), ended, span(until - one.began), until, one.reads)


def _task(row: FreshnessRow, history: History, now: float, *, is_in_quarantine: bool) -> TaskBand:
    runs = history.runs.get(row.task, State())
    readings = [
        Reading(now - sample.at, age.half_s, age.most_s)
        for sample in history.samples
        if (age := sample.ages.get(row.task)) is not None
    ]
    state, sentence = _state(row, runs, now, is_in_quarantine=is_in_quarantine)
    under_way = runs.under_way
    done = sum(part.rows for part in under_way.finished.values()) if under_way else 0
    return TaskBand(
        task=row.task,
        owner=row.owner,
        state=state,
        sentence=sentence,
        sla=span(row.freshness_sla_s),
        half=span(row.age_p50_s),
        most=span(row.age_max_s),
        keys=count(row.keys),
        band=band(readings, sla_s=row.freshness_sla_s, past_s=KEPT_S),
        last_run=clock_time(row.last_run, now),
        next_run="due" if row.next_run is not None and row.next_run <= now else clock_time(row.next_run, now),
        next_why=row.next_run_why or "" if row.next_run is not None and row.next_run <= now else "",
        rows_done=f"a run goes on: {count(done)} rows so far" if under_way and not under_way.failure else "",
    )


def _state(row: FreshnessRow, runs: State, now: float, *, is_in_quarantine: bool) -> tuple[str, str]:
    """The state of a task, and what it means for who reads its values."""
    failed = _failure(runs)
    if is_in_quarantine:
        return "quarantined", "somebody complained: nothing stored is served until it is cleared"
    if row.breached_since is not None:
        late = span(now - row.breached_since)
        return "breach", f"the last run is {late} over the SLA" + (f"; {failed}" if failed else "")
    if failed:
        due = "" if row.last_run is None else clock_time(row.last_run + row.freshness_sla_s, now)
        return "failed", f"{failed}; in breach of its SLA at {due} unless a run succeeds" if due else failed
    if not row.keys:
        return "empty", "nothing is stored: every read computes"
    if row.stale_share:
        return "stale", f"{share(row.stale_share)} of its values must be computed again before they are served"
    return "fresh", ""


def _failure(runs: State) -> str:
    """Why the newest run has failed; empty if it has not."""
    if runs.under_way is not None:
        return f"its run fails: {runs.under_way.failure}" if runs.under_way.failure else ""
    newest = runs.ended[0] if runs.ended else None
    return f"its last run was not promoted: {newest.outcome}" if newest and newest.outcome != PROMOTED else ""


def _source(row: SourceRow, history: History, now: float, *, is_silent: bool) -> SourceLine:
    lags = [(now - s.at, s.lags[row.source]) for s in history.samples if row.source in s.lags]
    most = max((lag for _, lag in lags), default=0.0)
    return SourceLine(
        source=row.source,
        families=", ".join(row.families),
        lag=span(row.lag_s),
        most=span(most),
        points=line(lags, most=max(most, _LEAST_LAG_S), past_s=KEPT_S),
        is_silent=is_silent,
    )
