"""Event sources that are not databases, one module per URL scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from parbake.errors import SourceError
from parbake.values.adapters import adapter

if TYPE_CHECKING:
    from parbake.ports.sources import EventSource, Topic

EXAMPLE = "kafka://127.0.0.1:9092/changes?families=policy"


def open_events(url: str) -> EventSource | Topic:
    """Open an event source by URL. The scheme is the name of the module here that implements it.

    It connects at the first use.
    """
    module = adapter(__name__, url, setting="events", example=EXAMPLE, error=SourceError)
    return cast("EventSource | Topic", module.open_url(url))
