"""parbake: declare each inference task once, run it in the right lane, never serve what its contract forbids."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import parbake.fence  # noqa: F401 - first, since the function of the same name, below, is what stays bound
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
from parbake.declare.served import Absent, Served, Value
from parbake.declare.tasks import Artifact, LiveTask, ModelTask, Reader, Refine
from parbake.declare.views import View
from parbake.errors import (
    BadInput,
    BodyTooLarge,
    ComputeFailed,
    ContractError,
    DeadlineExceeded,
    DeclarationError,
    ForeignSource,
    ForeignStore,
    GateFailed,
    LaneError,
    MissingDependency,
    NotAcknowledged,
    NotMaterialized,
    ParbakeError,
    PromotionConflict,
    ProviderError,
    RequestError,
    RoleError,
    RunInProgress,
    SourceError,
    StoreError,
    StoreFull,
    UnknownResource,
    UnknownTask,
)
from parbake.fence.cause import Cause, Reason
from parbake.fence.record import Stamp
from parbake.fence.recording import Tracker

if TYPE_CHECKING:
    from parbake import guard, semantic
    from parbake.alerts.log import LogSink
    from parbake.alerts.webhook import WebhookSink
    from parbake.app import App
    from parbake.brokers.kafka import KafkaTopic
    from parbake.embedders.minilm import MiniLm
    from parbake.executors.local import LocalExecutor
    from parbake.executors.ray import RayExecutor
    from parbake.generators.extractive import Extractive
    from parbake.generators.llama import LlamaGenerator
    from parbake.generators.openai import OpenAIGenerator
    from parbake.http.asgi import HttpApp
    from parbake.http.messages import Handler, HttpRequest, Response, Route, json_response, problem
    from parbake.http.server import listen
    from parbake.http.server import run as run_http
    from parbake.http.telling import told
    from parbake.lanes.batch.throttle import Throttle
    from parbake.lanes.worker.worker_watch import WorkerSetting
    from parbake.ledger.answer_table import Answer
    from parbake.ledger.answers import AnswerComplaint
    from parbake.planner.breakeven import Prices
    from parbake.ports.alerts import Alert, AlertSink
    from parbake.ports.clock import Clock
    from parbake.ports.cloudevents import CloudEvent
    from parbake.ports.event_log import Ack
    from parbake.ports.hooks import Hook
    from parbake.ports.models import Delta, Embedder, Generator, Prompt, Usage
    from parbake.serving.bind import Lazy
    from parbake.serving.request import Request, Step, remaining_s
    from parbake.sources.postgresql import PostgresqlSource
    from parbake.sources.sqlite import OUTBOX_DDL, SqliteSource, emit

# The engine, the server and what pulls in a client library are imported when they are first named.
_LAZY = {
    "Alert": "parbake.ports.alerts:Alert",
    "AlertSink": "parbake.ports.alerts:AlertSink",
    "Clock": "parbake.ports.clock:Clock",
    "Ack": "parbake.ports.event_log:Ack",
    "Hook": "parbake.ports.hooks:Hook",
    "Request": "parbake.serving.request:Request",
    "Step": "parbake.serving.request:Step",
    "remaining_s": "parbake.serving.request:remaining_s",
    "Answer": "parbake.ledger.answer_table:Answer",
    "AnswerComplaint": "parbake.ledger.answers:AnswerComplaint",
    "App": "parbake.app:App",
    "CloudEvent": "parbake.ports.cloudevents:CloudEvent",
    "Delta": "parbake.ports.models:Delta",
    "Embedder": "parbake.ports.models:Embedder",
    "Generator": "parbake.ports.models:Generator",
    "Prompt": "parbake.ports.models:Prompt",
    "Usage": "parbake.ports.models:Usage",
    "Extractive": "parbake.generators.extractive:Extractive",
    "Handler": "parbake.http.messages:Handler",
    "HttpApp": "parbake.http.asgi:HttpApp",
    "HttpRequest": "parbake.http.messages:HttpRequest",
    "Lazy": "parbake.serving.bind:Lazy",
    "KafkaTopic": "parbake.brokers.kafka:KafkaTopic",
    "LlamaGenerator": "parbake.generators.llama:LlamaGenerator",
    "LogSink": "parbake.alerts.log:LogSink",
    "MiniLm": "parbake.embedders.minilm:MiniLm",
    "OUTBOX_DDL": "parbake.sources.sqlite:OUTBOX_DDL",
    "OpenAIGenerator": "parbake.generators.openai:OpenAIGenerator",
    "Prices": "parbake.planner.breakeven:Prices",
    "PostgresqlSource": "parbake.sources.postgresql:PostgresqlSource",
    "Response": "parbake.http.messages:Response",
    "Route": "parbake.http.messages:Route",
    "LocalExecutor": "parbake.executors.local:LocalExecutor",
    "RayExecutor": "parbake.executors.ray:RayExecutor",
    "SqliteSource": "parbake.sources.sqlite:SqliteSource",
    "Throttle": "parbake.lanes.batch.throttle:Throttle",
    "WorkerSetting": "parbake.lanes.worker.worker_watch:WorkerSetting",
    "WebhookSink": "parbake.alerts.webhook:WebhookSink",
    "guard": "parbake.guard",
    "semantic": "parbake.semantic",
    "emit": "parbake.sources.sqlite:emit",
    "json_response": "parbake.http.messages:json_response",
    "listen": "parbake.http.server:listen",
    "problem": "parbake.http.messages:problem",
    "run_http": "parbake.http.server:run",
    "told": "parbake.http.telling:told",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'parbake' has no attribute {name!r}")
    module, _, attribute = _LAZY[name].partition(":")
    loaded = importlib.import_module(module)
    found = globals()[name] = getattr(loaded, attribute) if attribute else loaded
    return found


def __dir__() -> list[str]:
    """The public names, also those that nobody has used yet: notebooks and shells offer them."""
    return sorted({*globals(), *__all__})


__all__ = [
    "GIVEN", "OUTBOX_DDL", "Absent", "Ack", "Alert", "AlertSink", "Answer", "AnswerComplaint", "App", "Artifact",
    "BadInput", "BodyTooLarge", "Cause", "Clock", "CloudEvent", "Codec", "ComputeFailed", "ContractError",
    "DeadlineExceeded", "DeclarationError", "Delta", "Embedder", "Exponential", "Extractive", "ForeignSource",
    "ForeignStore", "GateFailed", "Gates", "Generation", "Generator", "Handler", "Hook", "HttpApp", "HttpRequest",
    "Input", "KafkaTopic", "Keys", "LaneError", "Lazy", "Linear", "Live", "LiveTask", "LlamaGenerator", "LocalExecutor",
    "LogSink", "MiniLm", "MissingDependency", "Model", "ModelTask", "NotAcknowledged", "NotMaterialized",
    "OpenAIGenerator", "ParbakeError", "PostgresqlSource", "Prices", "PromotionConflict", "Prompt", "ProviderError",
    "RayExecutor", "Reader", "Reason", "Recompute", "Refine", "Refuse", "Registry", "Request", "RequestError",
    "Resource", "Response", "Retention", "RoleError", "Route", "RunInProgress", "ServeStale", "Served", "Source",
    "SourceError", "SqliteSource", "Stamp", "Step", "Steps", "StoreError", "StoreFull", "Throttle", "Tracker",
    "UnknownResource", "UnknownTask", "Usage", "Use", "Value", "Verdict", "View", "WebhookSink", "WorkerSetting",
    "emit", "every", "fence", "guard", "ignore", "json_response", "listen", "planned", "problem", "refresh",
    "remaining_s", "run_http", "semantic", "told",
]  # fmt: skip
