"""Tells observers: one that fails is logged, and neither the others nor the work that is told of suffers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

_log = logging.getLogger("parbake.plugins")


def tell(observers: Iterable[Callable[..., Any]], *what: Any, **more: Any) -> None:
    """Call each observer.

    Args:
        observers: The callbacks.
        what: Their arguments by position.
        more: Their arguments by name.
    """
    for hear in observers:
        try:
            hear(*what, **more)
        except Exception:  # noqa: BLE001  # whatever a plugin raises, the request goes on
            _log.exception("an observer failed: %s", getattr(hear, "__qualname__", hear))
