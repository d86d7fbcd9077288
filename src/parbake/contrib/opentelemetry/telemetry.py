"""The plugin: ``App(plugins=[..., OpenTelemetry()])``."""

from __future__ import annotations

import logging
from functools import partial
from importlib.metadata import version
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.propagators.textmap import TextMapPropagator, default_setter
from opentelemetry.trace import Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from parbake.app.plugin import Parts, Plugin
from parbake.contrib.opentelemetry.event_spans import EventSpans
from parbake.contrib.opentelemetry.generator_spans import GeneratorSpans
from parbake.contrib.opentelemetry.instruments import Instruments
from parbake.contrib.opentelemetry.log_ids import add_to, remove_from
from parbake.contrib.opentelemetry.request_spans import RequestSpans
from parbake.errors import BadInput
from parbake.process import outgoing

_NAME = "parbake"
"""The name of the instrumentation scope."""
_SETTER: Any = default_setter  # its type does not fit the API's own parameter
_FLUSH_MS = 5000
"""The most milliseconds that an end waits until spans, and then metrics, are sent."""


class OpenTelemetry(Plugin[Tracer]):
    """Traces requests and events, shows the app's metrics, and adds trace ids to the log.

    It uses the API of OpenTelemetry alone: what is sampled, and where it is sent, is set in the SDK of your program.
    Spans hold names of tasks and routes, verdicts, lanes, ages and counts: no key, value, query, body, tag or name of a
    user. ``app.plugins[OpenTelemetry]`` is the tracer.

    Args:
        tracer_provider: Makes the spans; by default the global one.
        meter_provider: Makes the instruments; by default the global one.
        propagator: Reads the trace of a request from its headers, and writes it into those of calls to hosted models
            and webhooks; by default W3C Trace Context. Baggage is passed on only if this propagator does so.
        share: The share, from 0 to 1, of the requests and events without a trace of their own for which the sampler of
            the SDK is asked at all. The others cost nearly nothing; asking costs more than serving a stored value.

    Raises:
        BadInput: The share is not a number from 0 to 1.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
        share: float = 1.0,
    ) -> None:
        """Keep the settings."""
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise BadInput(f"share={share!r} must be a number from 0 to 1", field="share")
        self._share = float(share)
        self._tracer_provider, self._meter_provider = tracer_provider, meter_provider
        self._propagator = propagator or TraceContextTextMapPropagator()

    def open(self, parts: Parts) -> Tracer:
        """Listen to the app; see :class:`parbake.Plugin`."""
        tracer = trace.get_tracer(_NAME, version(_NAME), self._tracer_provider)
        slas = {name: bound.contract.freshness_sla_s for name, bound in parts.tasks.items()}
        RequestSpans(tracer, self._propagator, slas, self._share).hear(parts.on)
        EventSpans(tracer, self._share).hear(parts.on)
        parts.wrap(object, GeneratorSpans(tracer).wrap)
        parts.on.close.append(outgoing.adding(self._injected))
        ids, root = add_to(logging.getLogger()), logging.getLogger()
        parts.on.close.append(partial(remove_from, root, ids))
        instruments = Instruments(metrics.get_meter(_NAME, version(_NAME), self._meter_provider), parts)
        parts.on.server.append(partial(instruments.run, "server"))
        parts.on.worker.append(partial(instruments.run, "worker"))
        parts.on.close.append(instruments.close)
        for called in (parts.on.flush, parts.on.close):  # the last one is closed first, while there is something to see
            called.append(self._flush)
        return tracer

    def _flush(self) -> None:
        """Have what is buffered sent: a process need not end in a way that the SDK hears of."""
        for provider in (self._tracer_provider or trace.get_tracer_provider(), self._meters()):
            force_flush = getattr(provider, "force_flush", None)  # the SDK's own; the API has none
            if force_flush is not None:
                force_flush(_FLUSH_MS)

    def _meters(self) -> MeterProvider:
        return self._meter_provider or metrics.get_meter_provider()

    def _injected(self) -> dict[str, str]:
        """The headers that carry the current trace on."""
        headers: dict[str, str] = {}
        self._propagator.inject(headers, setter=_SETTER)
        return headers
