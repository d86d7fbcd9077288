"""parbake: declare each inference task once, run it in the right lane, never serve what its contract forbids."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from parbake.cloudevents import CloudEvent
from parbake.contract import (
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
    refresh,
)
from parbake.errors import ParbakeError
from parbake.ports import Ack, Alert, Delta, Embedder, Generator, Prompt, Usage
from parbake.registry import Input, Model, Registry
from parbake.roles import Keys, Live, Resource, Source
from parbake.served import Absent, Served, Value
from parbake.serving.binding import Lazy
from parbake.serving.scope import Request, Step, remaining_s
from parbake.tasks import Artifact, LiveTask, ModelTask, Reader, Refine
from parbake.views import View

if TYPE_CHECKING:
    from parbake.alerts.log import LogSink
    from parbake.alerts.webhook import WebhookSink
    from parbake.app import App
    from parbake.sources.sqlite import SqliteSource

# The engine and what pulls in a client library are imported when they are first named.
_LAZY = {
    "App": "parbake.app",
    "LogSink": "parbake.alerts.log",
    "WebhookSink": "parbake.alerts.webhook",
    "SqliteSource": "parbake.sources.sqlite",
    "errors": "parbake.errors",
}


def __getattr__(name: str) -> Any:
    """Import an adapter's public name on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'parbake' has no attribute {name!r}")
    module = importlib.import_module(_LAZY[name])
    return module if name == _LAZY[name].rpartition(".")[2] else getattr(module, name)


__all__ = [
    "Absent", "Ack", "Alert", "App", "Artifact", "CloudEvent", "Delta", "Embedder", "Exponential", "Generator",
    "Input", "Keys", "Lazy", "Linear", "Live", "LiveTask", "LogSink", "Model", "ModelTask", "ParbakeError", "Prompt",
    "Reader", "Recompute", "Refine", "Refuse", "Registry", "Request", "Resource", "ServeStale", "Served", "Source",
    "SqliteSource", "Step", "Steps", "Usage", "Use", "Value", "Verdict", "View", "WebhookSink", "every", "fence",
    "refresh", "remaining_s",
]  # fmt: skip
