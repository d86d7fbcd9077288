"""parbake: declare each inference task once, run it in the right lane, never serve what its contract forbids.

Stores, sources, models and other adapters are imported from their own modules, such as ``parbake.sources.sqlite``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import parbake.fence  # noqa: F401 - first, so that the function of the same name, below, replaces the module
from parbake import errors as errors
from parbake.codecs import Codec
from parbake.declare.contract import (
    Exponential,
    Linear,
    Recompute,
    Refuse,
    ServeStale,
    Steps,
    Use,
    Verdict,
    every,
    fence,
    ignore,
    planned,
    refresh,
)
from parbake.declare.gates import Gates, Generation
from parbake.declare.registry import Input, Model, Registry
from parbake.declare.retention import Retention
from parbake.declare.roles import GIVEN, Keys, Live, Resource, Source
from parbake.declare.served import Absent, Reader, Served, Value
from parbake.declare.tasks import Artifact, LiveTask, ModelTask, Refine
from parbake.errors import BadInput, NotMaterialized, ParbakeError
from parbake.fence.cause import Cause, Reason
from parbake.fence.record import Stamp
from parbake.ports.batches.provider_batch import ProviderBatch as ProviderBatch
from parbake.ports.views import View

if TYPE_CHECKING:
    from parbake import guard as guard
    from parbake import semantic as semantic
    from parbake.app import App
    from parbake.lanes.batch.throttle import Throttle
    from parbake.lanes.worker.worker_watch import WorkerSetting
    from parbake.ports.cloudevents import CloudEvent
    from parbake.ports.event_log import Ack
    from parbake.serving.bind import Lazy
    from parbake.serving.request import Request, remaining_s
    from parbake.settings import Batch, Durability

# The engine, and what pulls in a client library, are imported when they are first named.
_LAZY = {
    "Ack": "parbake.ports.event_log",
    "App": "parbake.app",
    "Batch": "parbake.settings",
    "CloudEvent": "parbake.ports.cloudevents",
    "Durability": "parbake.settings",
    "Lazy": "parbake.serving.bind",
    "Request": "parbake.serving.request",
    "Throttle": "parbake.lanes.batch.throttle",
    "WorkerSetting": "parbake.lanes.worker.worker_watch",
    "remaining_s": "parbake.serving.request",
}
_LAZY_MODULES = ("guard", "prompt", "semantic")


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _LAZY_MODULES:
        return importlib.import_module(f"parbake.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'parbake' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return found


def __dir__() -> list[str]:
    """The public names, including those that were not imported yet, for completion in notebooks and shells."""
    return sorted({*globals(), *__all__, *_LAZY_MODULES})


__all__ = [
    "GIVEN", "Absent", "Ack", "App", "Artifact", "BadInput", "Batch", "Cause", "CloudEvent", "Codec", "Durability",
    "Exponential", "Gates", "Generation", "Input", "Keys", "Lazy", "Linear", "Live", "LiveTask", "Model", "ModelTask",
    "NotMaterialized", "ParbakeError", "Reader", "Reason", "Recompute", "Refine", "Refuse", "Registry", "Request",
    "Resource", "Retention", "ServeStale", "Served", "Source", "Stamp", "Steps", "Throttle", "Use", "Value", "Verdict",
    "View", "WorkerSetting", "every", "fence", "ignore", "planned", "refresh", "remaining_s",
]  # fmt: skip
