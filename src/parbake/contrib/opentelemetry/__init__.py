"""OpenTelemetry: traces of requests and events, the app's metrics, and trace ids in the log, through its API alone."""

from __future__ import annotations

from parbake.errors import MissingDependency

try:
    import opentelemetry.trace as _trace  # noqa: F401  # only whether it is there
except ModuleNotFoundError as error:
    raise MissingDependency.of("parbake.contrib.opentelemetry", "opentelemetry", field="opentelemetry") from error

from parbake.contrib.opentelemetry.log_ids import TraceIds
from parbake.contrib.opentelemetry.telemetry import OpenTelemetry

__all__ = ["OpenTelemetry", "TraceIds"]
