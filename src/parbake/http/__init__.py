"""HTTP: an ASGI application with the engine's own routes, and the building blocks for further routes."""

from parbake.http.asgi import HttpApp
from parbake.http.own_endpoints import MeasuredRequests, answer_problem
from parbake.http.processes import ServerProcesses, server_command
from parbake.http.refusals import error_for_client
from parbake.http.server import address_of, listen
from parbake.http.server import run as run_http
from parbake.http.waiting_line import client_of
from parbake.ports.messages import (
    Handler,
    HeaderField,
    HttpRequest,
    JsonResponse,
    Response,
    Route,
    json_response,
    problem,
)
from parbake.process.actions import note as note_action
from parbake.process.buckets import Buckets
from parbake.process.private_files import stored_secret
from parbake.values.secret_settings import secret_of

__all__ = [
    "Buckets",
    "Handler",
    "HeaderField",
    "HttpApp",
    "HttpRequest",
    "JsonResponse",
    "MeasuredRequests",
    "Response",
    "Route",
    "ServerProcesses",
    "address_of",
    "answer_problem",
    "client_of",
    "error_for_client",
    "json_response",
    "listen",
    "note_action",
    "problem",
    "run_http",
    "secret_of",
    "server_command",
    "stored_secret",
]  # fmt: skip
