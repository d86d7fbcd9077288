"""Spans of a request: the request itself, each task that is served in it, and each computation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import random
from time import time_ns
from typing import Any

from opentelemetry.context import attach, detach, get_current
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, get_current_span, set_span_in_context

from parbake.ports.messages import HttpRequest
from parbake.ports.observers import End, Observers
from parbake.process.about import ABOUT
from parbake.tasks.served import Served

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SERVER_ERROR = 500


class RequestSpans:
    """Makes the spans of requests. Of a request that is not sampled, only the span itself is made."""

    def __init__(self, tracer: Tracer, propagator: TextMapPropagator, slas: Mapping[str, float], share: float) -> None:
        """Make nothing yet.

        Args:
            tracer: Makes the spans.
            propagator: Reads the trace that a request belongs to.
            slas: The SLA of each stored task, in seconds.
            share: The share of the requests without a trace for which the tracer is asked.
        """
        self._share = share
        self._tracer, self._propagator, self._slas = tracer, propagator, slas
        self._fields = frozenset(propagator.fields)

    def hear(self, on: Observers) -> None:
        """Listen to an app."""
        on.request.append(self.request)
        on.answered.append(self.answered)
        on.computing.append(self.computing)
        on.carried.append(_carried)

    def request(self, request: HttpRequest) -> End:
        """Begin the span of a request, within the trace that its headers name, or that the application has begun."""
        parent = get_current()
        if not parent or not get_current_span(parent).get_span_context().is_valid:  # mostly there is nothing at all
            if not self._fields.isdisjoint(request.headers):
                parent = self._propagator.extract(request.headers, parent)
            elif random() >= self._share:  # noqa: S311 - no secret
                return None
        method = request.method if request.method in _METHODS else "_OTHER"
        span = self._tracer.start_span(method, parent, SpanKind.SERVER, {"http.request.method": method})
        if span.is_recording() and (about := ABOUT.get()) is not None:
            span.set_attribute("parbake.request", about.request)  # at once, so that the answer has it, too
        return partial(_answered, request, span, attach(set_span_in_context(span, parent)))

    def answered(self, served: Served[Any], seconds: float) -> None:
        """Make the span of a task that was served, afterwards."""
        if not (here := get_current()) or not get_current_span(here).is_recording():
            return
        attributes: dict[str, str | float] = {
            "parbake.task": served.task,
            "parbake.verdict": served.verdict.value,
            "parbake.lane": served.lane,
            "parbake.age_s": served.age_s,
            "parbake.stamp": served.stamp.sequence,
        }
        if served.task in self._slas:
            attributes["parbake.sla_s"] = self._slas[served.task]
        if served.cause is not None:
            attributes["parbake.cause"] = served.cause.value
        if served.over is not None:
            attributes["parbake.over"] = served.over
        ended = time_ns()
        began = ended - int(seconds * 1e9)
        self._tracer.start_span(f"serve {served.task}", attributes=attributes, start_time=began).end(ended)

    def computing(self, task: str, lane: str, keys: int) -> End:
        """Begin the span of a computation, if what asks for it is traced.

        Args:
            task: The task.
            lane: The lane that computes it.
            keys: How many keys are computed.
        """
        if not get_current_span().is_recording():
            return None
        attributes: dict[str, str | int] = {"parbake.task": task, "parbake.lane": lane, "parbake.keys": keys}
        span = self._tracer.start_span(f"compute {task}", attributes=attributes)
        return partial(_computed, span, attach(set_span_in_context(span)))


def _answered(request: HttpRequest, span: Span, token: Any, status: int) -> None:
    """End the span of a request; ``status`` is 0 if the client has left."""
    detach(token)
    if not span.is_recording():
        return
    attributes: dict[str, str | int] = {}
    if request.route:
        attributes["http.route"] = request.route
        span.update_name(f"{request.method} {request.route}")
    if status:
        attributes["http.response.status_code"] = status
    if not status or status >= _SERVER_ERROR:
        attributes["error.type"] = str(status or "cancelled")
    if status >= _SERVER_ERROR:
        span.set_status(StatusCode.ERROR)
    span.set_attributes(attributes)
    span.end()


def _computed(span: Span, token: Any, outcome: str) -> None:
    """End the span of a computation. What an exception says may quote private values, so it is not recorded."""
    detach(token)
    span.set_attribute("parbake.outcome", outcome)
    if outcome == "failed":
        span.set_status(StatusCode.ERROR)
    span.end()


def _carried() -> Callable[[], object]:
    """Take the trace along into a computation that others may share."""
    return partial(attach, get_current())
