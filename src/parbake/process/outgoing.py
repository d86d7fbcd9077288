"""Headers that go along with calls to other systems: to the providers of models, and to webhooks.

A generator or a sink belongs to no app, so what is added is added to the calls of the whole process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

_log = logging.getLogger("parbake.plugins")
_added: list[Callable[[], Mapping[str, str]]] = []


def adding(headers: Callable[[], Mapping[str, str]]) -> Callable[[], None]:
    """Add headers to all calls from now on; returns what ends that.

    Args:
        headers: Called before each call, in the context of what calls; returns the headers.
    """

    def end() -> None:
        if headers in _added:
            _added.remove(headers)

    _added.append(headers)
    return end


def along() -> dict[str, str]:
    """The headers that go along with a call that is made now; nothing if nobody adds any."""
    found: dict[str, str] = {}
    for headers in tuple(_added):
        try:
            found |= headers()
        except Exception:  # noqa: BLE001 - whatever is to be added, the call itself is made
            _log.exception("headers could not be added to a call")
    return found
