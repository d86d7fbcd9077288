"""What the store of an app tells: its workers, runs, parked events, quarantines, sources, clocks and disk."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from parbake.app.application import App
from parbake.errors import StoreError
from parbake.lanes.batch.runs import PROMOTED
from parbake.lanes.event.log_reader import SKEW_S
from parbake.ports.views import View
from parbake.process.system_clock import monotonic
from parbake.process.threads import aside
from parbake.protocol.record import Stamp
from parbake.protocol.recording import Recording
from parbake.tasks.task_types import Stored
from parbake.values.duration import humanize

_LOOKS_S, _PAUSE_S = 3.0, 0.2
"""Seconds for which a worker is waited for, which reports every second, and between two looks."""
_MOST_SHOWN = 1000
_LOW, _TOO_LOW = 2 << 30, 256 << 20
"""Free bytes of a disk below which it is a warning, and a problem."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at: how it is, what it is about, what was seen, and what to do about it."""

    state: Literal["ok", "warning", "problem"]
    about: str
    message: str
    advice: str = ""


async def examined(app: App, *, is_new: bool) -> list[Finding]:
    """Look at an app that can be opened; a store that does not answer ends the look, because others report it.

    Args:
        app: The app.
        is_new: Whether its store was made for this look only, so that it tells nothing.
    """
    found: list[Finding] = []
    looks: list[Callable[[App], AsyncIterator[Finding]]] = [_store, _workers, _runs, _events, _quarantines, _sources]
    with suppress(StoreError):
        for look in [_clocks] if is_new else [*looks, _clocks]:
            found += [one async for one in look(app)]
    return found


async def _store(app: App) -> AsyncIterator[Finding]:
    await app.stamp()
    yield Finding("ok", "store", "it answers, and its format is the present one")
    path = getattr(app.engine.store, "path", None)
    if not isinstance(path, Path):
        return
    free = shutil.disk_usage(path).free
    state: Literal["ok", "warning", "problem"] = "problem" if free < _TOO_LOW else "warning" if free < _LOW else "ok"
    advice = "" if state == "ok" else f"free some space on the disk of {path}, or move the store"
    yield Finding(state, "disk", f"{free / (1 << 30):.1f} GiB are free at the store", advice)


async def _workers(app: App) -> AsyncIterator[Finding]:
    watch = app.engine.worker_watch
    if watch.setting == "none":
        return
    state, until = await watch.look(), monotonic() + _LOOKS_S
    while state.has_reported and not state.heard and monotonic() < until:
        await asyncio.sleep(_PAUSE_S)  # a worker is heard when its count moves
        state = await watch.look()
    if state.heard:
        yield Finding("ok", "worker", f"{state.heard} reported within the last seconds")
        return
    message = "none reports now" if state.has_reported else "none has ever reported"
    yield Finding("warning", "worker", message, "start one with 'parbake worker APP', or nothing is computed ahead")


async def _runs(app: App) -> AsyncIterator[Finding]:
    is_well = True
    for task in app.tasks:
        if not isinstance(task, Stored) or task.name in app.settings.off:
            continue
        state = await app.ops.runs(task)
        again = f"correct the cause, then run 'parbake materialize APP {task.name}'"
        standing = "" if state.under_way is None else state.under_way.standing(app.settings.clock.now())
        if state.under_way is not None and standing in ("failed", "interrupted"):
            why = state.under_way.failure or "its process has ended"
            kind: Literal["problem", "warning"] = "problem" if standing == "failed" else "warning"
            yield Finding(kind, f"runs of {task.name}", f"the run {standing}: {why}", again)
        elif state.ended and state.ended[0].outcome != PROMOTED:
            yield Finding("problem", f"runs of {task.name}", f"the last one {state.ended[0].outcome}", again)
        elif task.schedule and not await app.ops.generation(task):
            advice = f"start a worker, or run 'parbake materialize APP {task.name}'"
            yield Finding("warning", f"runs of {task.name}", "none was promoted yet", advice)
        else:
            continue
        is_well = False
    if is_well:
        yield Finding("ok", "runs", "none has failed")


async def _events(app: App) -> AsyncIterator[Finding]:
    parked = await app.ops.parked(_MOST_SHOWN)
    if not parked:
        yield Finding("ok", "events", "none is parked")
        return
    count = f"{len(parked)} or more" if len(parked) == _MOST_SHOWN else f"{len(parked)}"
    advice = "see them with 'parbake events parked APP', correct the writer or the code, then 'parbake events retry'"
    yield Finding("problem", "events", f"{count} parked, the first because {parked[0].reason}", advice)


async def _quarantines(app: App) -> AsyncIterator[Finding]:
    found = await app.ops.quarantined()
    for name, entry in found.items():
        advice = f"correct the cause, then run 'parbake quarantine APP --clear {name}'"
        yield Finding("warning", f"quarantine of {name}", entry.reason, advice)
    if not found:
        yield Finding("ok", "quarantine", "no task is in it")


async def _sources(app: App) -> AsyncIterator[Finding]:
    """Whether each source was read lately, by the heartbeats in the store."""
    limit, now = app.settings.silence_limit_s, app.settings.clock.now()
    for row in await app.ops.sources():
        about = f"polling of {row.source}"
        if row.heard_at is None or row.lag_s is None:
            message, advice = "it was never read to its end", "start a server or a worker, which reads it"
            yield Finding("warning", about, message, advice)
        elif row.heard_at > now + SKEW_S:
            ahead = humanize(row.heard_at - now)
            advice = "set the clocks of all machines that use this store, such as by NTP"
            yield Finding("problem", "clock", f"the heartbeat of {row.source} is {ahead} ahead of this machine", advice)
        elif row.lag_s > limit:
            message = f"it was last read {humanize(row.lag_s)} ago, and is not trusted after {humanize(limit)}"
            yield Finding("warning", about, message, "start a server or a worker, and see its log if one runs")
        else:
            yield Finding("ok", about, f"it was read {row.lag_s:.0f} s ago")


async def _clocks(app: App) -> AsyncIterator[Finding]:
    """Whether the databases have the time of this machine."""
    for source in app.engine.binder.sources:
        with suppress(Exception):  # a source that cannot be read is reported by who asks it for its outbox
            ahead = await aside(_ahead_s, source)
            if abs(ahead) > SKEW_S:
                message = f"source {source.name} is {humanize(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'}"
                yield Finding("problem", "clock", f"{message} this machine", "set both clocks, such as by NTP")
            else:
                yield Finding("ok", "clock", f"source {source.name} and this machine agree within {SKEW_S:.0f} s")


class _Moment(View):
    """Asks a database for its time, in standard SQL."""

    families = ()


def _ahead_s(source: Any) -> float:
    """How many seconds the clock of a database is ahead of this machine's."""
    with source.open(_Moment, Recording(Stamp(0, 0))) as view:
        found = view.rows("SELECT CURRENT_TIMESTAMP")[0][0]
    at = found if isinstance(found, datetime) else datetime.fromisoformat(str(found))
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - time.time()
