"""parbake: declare each inference task once, run it in the right lane, never serve what its contract forbids.

Stores, sources, models and other adapters are imported from their own modules, such as ``parbake.adapters.sqlite``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from parbake import errors as errors
from parbake.errors import BadInput, NotMaterialized, ParbakeError
from parbake.ports.views import View
from parbake.protocol.verdict import Verdict
from parbake.tasks.contract import (
    Recompute,
    Refuse,
    ServeStale,
    Use,
    every,
    fence,
    ignore,
    refresh,
)
from parbake.tasks.gates import Gates
from parbake.tasks.registry import Input, Model, Registry
from parbake.tasks.roles import GIVEN, Keys, Live, Resource, Source
from parbake.tasks.served import Absent, Reader, Served, Value

if TYPE_CHECKING:
    from parbake.app.application import App
    from parbake.app.cached import cached
    from parbake.app.plugin import Parts, Plugin
    from parbake.app.settings import Batch, Durability
    from parbake.serving.bind import Lazy
    from parbake.serving.request import Request, remaining_s

# The engine, and what pulls in a client library, are imported when they are first named.
_LAZY = {
    "App": "parbake.app.application",
    "Batch": "parbake.app.settings",
    "Durability": "parbake.app.settings",
    "Lazy": "parbake.serving.bind",
    "Parts": "parbake.app.plugin",
    "Plugin": "parbake.app.plugin",
    "Request": "parbake.serving.request",
    "cached": "parbake.app.cached",
    "remaining_s": "parbake.serving.request",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'parbake' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return found


def __dir__() -> list[str]:
    """The public names, including those that were not imported yet, for completion in notebooks and shells."""
    return sorted({*globals(), *__all__})


__all__ = [
    "GIVEN", "Absent", "App", "BadInput", "Batch", "Durability", "Gates", "Input", "Keys", "Lazy", "Live", "Model",
    "NotMaterialized", "ParbakeError", "Parts", "Plugin", "Reader", "Recompute", "Refuse", "Registry", "Request",
    "Resource", "ServeStale", "Served", "Source", "Use", "Value", "Verdict", "View", "cached", "every", "fence",
    "ignore", "refresh", "remaining_s",
]  # fmt: skip
