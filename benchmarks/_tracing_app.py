"""An app for the benchmark of tracing.

``TRACING_FOLDER`` holds the store. With ``TRACING_IS_ON`` the app has the plugin, which takes ``TRACING_SHARE`` of the
requests, and an SDK that sends spans and metrics to nobody. With ``TRACING_BY_SDK`` the sampler of the SDK takes that
share.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

import parbake as pb
from parbake.contrib.opentelemetry import OpenTelemetry

APP = "_tracing_app:build"
KEYS = 5_000
CONTRACT: dict[str, Any] = {
    "freshness_sla": "8h", "invalidated_by": [pb.fence("product")], "fallback_if_stale": pb.Recompute(), "owner": "b",
}  # fmt: skip
tasks = pb.Registry()


class Nobody(SpanExporter):
    """Encodes spans as the exporter for OTLP does, and sends them nowhere."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Encode the spans."""
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


@tasks.artifact(**CONTRACT)
def page(number: int) -> str:
    """A text of sixty characters."""
    return f"page {number} ".ljust(60, "x")


def plugin() -> OpenTelemetry:
    """The plugin with an SDK."""
    share, by_sdk = float(os.environ["TRACING_SHARE"]), bool(os.environ.get("TRACING_BY_SDK"))
    tracers = TracerProvider(ParentBased(TraceIdRatioBased(share if by_sdk else 1.0)))
    tracers.add_span_processor(BatchSpanProcessor(Nobody()))
    exporter = ConsoleMetricExporter(out=io.StringIO(), formatter=lambda data: data.to_json()[:1])
    meters = MeterProvider([PeriodicExportingMetricReader(exporter, export_interval_millis=10_000)])
    return OpenTelemetry(tracer_provider=tracers, meter_provider=meters, share=1.0 if by_sdk else share)


def build() -> pb.App:
    """Build the app over the folder."""
    plugins = [plugin()] if os.environ.get("TRACING_IS_ON") else []
    return pb.App(tasks, store=f"lmdb://{os.environ['TRACING_FOLDER']}/store", plugins=plugins, open=["product"])
