"""Spans of an event: from its commit until it is acknowledged, and of each refresh until the values are fresh again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import random
from time import time_ns
from typing import Any

import msgspec
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from parbake.ports.event_log import Ack, Change
from parbake.ports.observers import End, Observers
from parbake.protocol.tags import family

MOST = 100
"""The most events of one commit that are traced: a store that reads a whole outbox again would flood the collector."""
_W3C = TraceContextTextMapPropagator()
"""Event logs and CloudEvents hold traces in this form, whatever the requests use."""


class EventSpans:
    """Makes the spans of events."""

    def __init__(self, tracer: Tracer, share: float) -> None:
        """Make nothing yet; ``share`` is that of the events without a trace for which the tracer is asked."""
        self._tracer, self._share = tracer, share

    def hear(self, on: Observers) -> None:
        """Listen to an app."""
        on.applying.append(self.applying)
        on.refreshing.append(self.refreshing)

    def applying(self, changes: list[Change]) -> End:
        """Begin the span of each event, which the refreshes after it find in the event log."""
        began, traced = time_ns(), list[tuple[Span, Change]]()
        is_within = get_current_span().get_span_context().is_valid
        for number, change in enumerate(changes[:MOST]):
            if not (change.trace or is_within) and random() >= self._share:  # noqa: S311 - no secret
                continue
            span = self._event(change, began)
            if span.is_recording():
                headers: dict[str, str] = {}
                _W3C.inject(headers, set_span_in_context(span, Context()))
                changes[number] = msgspec.structs.replace(change, trace=headers["traceparent"])
                traced.append((span, change))
        return partial(self._applied, traced, began) if traced else None

    def _event(self, change: Change, began: int) -> Span:
        """The span of an event: in its own trace if it has one, else in that of the request or the program."""
        here = get_current_span().get_span_context()
        parent = _parent(change.trace) if change.trace else None
        attributes: dict[str, Any] = {"parbake.families": sorted({family(tag) for tag in change.tags})}
        if change.id:
            attributes["cloudevents.event_id"] = change.id
        return self._tracer.start_span(
            "event",
            parent,
            SpanKind.CONSUMER,
            attributes,
            [Link(here)] if parent is not None and here.is_valid else None,
            _since(change.at, began) or began,
        )

    def _applied(self, traced: Sequence[tuple[Span, Change]], began: int, ack: Ack | None) -> None:
        """End the spans. Those of events that another process has applied, or nobody yet, are dropped."""
        ended = time_ns()
        for span, change in traced:
            if ack is None or not any(tag in ack.raised for tag in change.tags):
                continue
            within = set_span_in_context(span, Context())
            if waited := _since(change.at, began):
                self._tracer.start_span("outbox", within, start_time=waited).end(began)
            attributes = {"parbake.stamp": max(ack.raised.get(tag, 0) for tag in change.tags)}
            self._tracer.start_span("apply", within, attributes=attributes, start_time=began).end(ended)
            span.end(ended)

    def refreshing(self, task: str, events: Sequence[tuple[str, float]]) -> End:
        """Begin a span in the trace of each event that has outdated the values; one has the computation."""
        now, spans = time_ns(), list[Span]()
        for trace, raised_at in dict(reversed(events)).items():
            span = self._tracer.start_span(
                f"refresh {task}",
                _parent(trace),
                attributes={"parbake.task": task},
                start_time=_since(raised_at, now) or now,
            )
            if span.is_recording():
                spans.append(span)
        return partial(_refreshed, spans, attach(set_span_in_context(spans[0], Context()))) if spans else None


def _refreshed(spans: Sequence[Span], token: Any, outcome: str) -> None:
    detach(token)
    for span in spans:
        span.set_attribute("parbake.outcome", outcome)
        if outcome == "failed":
            span.set_status(StatusCode.ERROR)
        span.end()


def _parent(trace: str) -> Context:
    """The context of a span that another process has made."""
    return _W3C.extract({"traceparent": trace}, Context())


def _since(at: float, now: int) -> int:
    """A time in epoch seconds as nanoseconds; 0 if it is unknown or lies in the future."""
    found = int(at * 1e9) if 0 < at < now else 0
    return found if found < now else 0
