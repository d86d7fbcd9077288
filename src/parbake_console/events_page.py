"""The page *Events*: what has changed, what could not be read, and what operators have done."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from parbake.errors import StoreError
from parbake.process import actions
from parbake.protocol.record import Stamp
from parbake.values.redaction import one_line
from parbake_console.wording import clock_time, span

if TYPE_CHECKING:
    from parbake.app.application import App

_SHOWN, _PARKED_SHOWN, _TEXT_SHOWN = 100, 50, 200


class EventLine(msgspec.Struct, frozen=True):
    """One change that was applied: when, its number, and the tags that it raised."""

    at: str
    number: int
    tags: Sequence[str]


class ParkedLine(msgspec.Struct, frozen=True):
    """One event that could not be read: since when, where it stands, why, and its beginning."""

    at: str
    source: str
    position: int
    reason: str
    text: str


class ActionLine(msgspec.Struct, frozen=True):
    """One action of an operator, in words."""

    at: str
    who: str
    what: str
    about: str
    before: str
    after: str


class EventsPage(msgspec.Struct, frozen=True):
    """What the page shows."""

    events: Sequence[EventLine] = ()
    parked: Sequence[ParkedLine] = ()
    actions: Sequence[ActionLine] = ()
    actions_file: str = ""
    last: str = ""
    trouble: str = ""


async def events_page(app: App) -> EventsPage:
    """Read the newest changes, the parked events, and the actions in the file of this server.

    Args:
        app: The app.
    """
    now = app.settings.clock.now()
    file = os.environ.get(actions.ACTIONS_FILE, "")
    done = await asyncio.to_thread(actions.read, Path(file), _SHOWN) if file else []
    lines = [ActionLine(clock_time(a.at, now), a.who, a.what, a.about, a.before, a.after) for a in done]
    try:
        stamp = await app.stamp()
        since = Stamp(stamp.incarnation, max(0, stamp.sequence - _SHOWN))
        raised = (await app.ops.raised_since(since, limit=_SHOWN))[::-1]
        parked = await app.ops.parked(_PARKED_SHOWN)
    except StoreError as error:
        return EventsPage(actions=lines, actions_file=file, trouble=one_line(error))
    return EventsPage(
        events=[EventLine(clock_time(one.at, now), one.stamp.sequence, one.tags) for one in raised],
        parked=[ParkedLine(clock_time(p.at, now), p.source, p.position, p.reason, _text(p.event)) for p in parked],
        actions=lines,
        actions_file=file,
        last=span(now - raised[0].at) if raised else "",
    )


def _text(event: bytes) -> str:
    return event[:_TEXT_SHOWN].decode(errors="replace")
