"""Event sources that are not databases, one file per URL scheme."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, cast

from parbake.errors import SourceError

if TYPE_CHECKING:
    from parbake.ports import EventSource, Topic


def open_events(url: str) -> EventSource | Topic:
    """Open an event source by URL; the scheme is the name of the module here that answers for it.

    Nothing is connected before the first use.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or not re.fullmatch(r"[a-z][a-z0-9]*", scheme):
        raise SourceError(
            f"events={url!r} is not a URL such as kafka://127.0.0.1:9092/changes?families=policy", field="events"
        )
    try:
        module = importlib.import_module(f"parbake.events.{scheme}")
    except ModuleNotFoundError as error:
        if error.name != f"parbake.events.{scheme}":
            raise
        raise SourceError(f"events={url!r}: no event source is named {scheme!r}", field="events") from None
    return cast("EventSource | Topic", module.open_url(url))
