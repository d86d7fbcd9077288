"""What connects parbake to other systems: one module per system, whose client is imported where it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parbake.errors import SourceError
from parbake.values.schemes import Schemes

if TYPE_CHECKING:
    from parbake.ports.sources import Log, Topic

EVENTS = Schemes(
    "parbake.events",
    {"kafka": "parbake.adapters.kafka"},
    setting="events",
    example="kafka://127.0.0.1:9092/changes?families=policy",
    error=SourceError,
)


def open_events(url: str) -> Log | Topic:
    """Open an event source by URL; it connects at the first use.

    Other packages add schemes by entry points of the group ``parbake.events``.
    """
    found: Log | Topic = EVENTS.open(url)
    return found
