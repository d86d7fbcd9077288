"""parbake: declare each inference task once, run it in the right lane, never serve what its contract forbids.

Stores, sources, models and other adapters are imported from their own modules, such as ``parbake.adapters.sqlite``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parbake import errors as errors
    from parbake.app.application import App
    from parbake.app.cached import cached
    from parbake.app.plugin import Parts, Plugin
    from parbake.app.settings import Batch, Durability
    from parbake.errors import BadInput, NotMaterialized, ParbakeError
    from parbake.ports.views import View
    from parbake.protocol.verdict import Verdict
    from parbake.serving.bind import Lazy
    from parbake.serving.request import Request, remaining_s
    from parbake.tasks.contract import Recompute, Refuse, ServeStale, Use, every, fence, ignore, refresh
    from parbake.tasks.gates import Gates
    from parbake.tasks.registry import Input, Model, Registry
    from parbake.tasks.roles import GIVEN, Keys, Live, Resource, Source
    from parbake.tasks.served import Absent, Reader, Served, Value

_HOMES = {
    "app.application": "App",
    "app.cached": "cached",
    "app.plugin": "Parts Plugin",
    "app.settings": "Batch Durability",
    "errors": "BadInput NotMaterialized ParbakeError",
    "ports.views": "View",
    "protocol.verdict": "Verdict",
    "serving.bind": "Lazy",
    "serving.request": "Request remaining_s",
    "tasks.contract": "Recompute Refuse ServeStale Use every fence ignore refresh",
    "tasks.gates": "Gates",
    "tasks.registry": "Input Model Registry",
    "tasks.roles": "GIVEN Keys Live Resource Source",
    "tasks.served": "Absent Reader Served Value",
}
"""The public names by the module that defines them. Each is imported when it is first named."""
_HOME = {name: f"parbake.{module}" for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name == "errors":
        return importlib.import_module("parbake.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'parbake' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
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
