"""The page *Events*: what has changed, what could not be read, and what operators have done."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from parbake.errors import StoreError
from parbake.ports.event_log import Parked, Raised
from parbake.process import actions
from parbake.protocol.tags import family
from parbake.values.redaction import one_line, visible
from parbake_console.history import History
from parbake_console.newest_changes import NewestChanges
from parbake_console.wording import lane, span
from parbake_planner.ledger.costs import BATCH

if TYPE_CHECKING:
    from parbake.app.application import App

_SHOWN, _PARKED_SHOWN, _NAME_SHOWN = 100, 50, 80


class EventsPage(msgspec.Struct, frozen=True):
    """What the page shows, as of ``now``: changes with their sources and when a value was fresh again, and the rest."""

    now: float
    done: Sequence[actions.Action]
    actions_file: str
    changes: Sequence[tuple[Raised, str, str]] = ()
    parked: Sequence[Parked] = ()
    summary: str = ""
    trouble: str = ""


async def events_page(app: App, history: History) -> EventsPage:
    """Read the newest changes, the parked events, and the actions in the file of this server.

    Args:
        app: The app.
        history: What this server has seen.
    """
    now, file = app.settings.clock.now(), os.environ.get(actions.ACTIONS_FILE, "")
    done = await asyncio.to_thread(actions.read, Path(file), _SHOWN) if file else []
    try:
        await history.fresh()
        raised = (await history.changes.newest())[::-1]
        parked = await app.ops.parked(_PARKED_SHOWN)
    except StoreError as error:
        return EventsPage(now, done, file, trouble=one_line(error))
    told = [(one, _source(one, history), _fresh(one, history.changes)) for one in raised]
    return EventsPage(now, done, file, told, parked, _summary(history.changes))


def _source(one: Raised, history: History) -> str:
    """Where a change came from: as this server has applied it, or by its families, if another process did."""
    families = {family(tag) for tag in one.tags}
    told = history.changes.sources.get(one.stamp.sequence)
    if told is not None:
        return visible(told, _NAME_SHOWN) or "touched, by no source"
    names = [row.source for row in history.sources if families.intersection(row.families)]
    return f"another process; probably {' or '.join(names)}" if names else "another process"


def _fresh(one: Raised, changes: NewestChanges) -> str:
    if (fresh := changes.fresh.get(one.stamp)) is not None:
        return f"after {_took(fresh.after_s)}: {fresh.task}, {'by a run' if fresh.lane == BATCH else lane(fresh.lane)}"
    if one.at < changes.began:
        return "from before this server"
    waits = changes.waiting.get(one.stamp)
    return f"not yet: {waits} waits for a read or its refresh" if waits else "nothing stored depends on it"


def _took(after_s: float) -> str:
    return f"{1000 * after_s:,.0f} ms" if after_s < 1 else span(after_s)


def _summary(changes: NewestChanges) -> str:
    took = [one.after_s for one in changes.fresh.values()]
    return (
        f"Of {len(took)} changes a first value is fresh again, half of them within {_took(median(took))}."
        if took
        else ""
    )
