"""The ids of the current trace in the records of the log."""

from __future__ import annotations

import logging

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span


class TraceIds(logging.Filter):
    """Gives each record the attributes ``trace_id`` and ``span_id``, in hex, if there is a trace and it has none yet.

    The plugin adds it to the handlers of the root logger that are there when the app opens. Add it to others yourself:
    ``handler.addFilter(TraceIds())``.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        context = get_current_span().get_span_context()
        if context.is_valid:
            record.__dict__.setdefault("trace_id", format_trace_id(context.trace_id))
            record.__dict__.setdefault("span_id", format_span_id(context.span_id))
        return True


def add_to(logger: logging.Logger) -> TraceIds:
    """Add the filter to the handlers of a logger, and return it."""
    found = TraceIds()
    for handler in logger.handlers:
        handler.addFilter(found)
    return found


def remove_from(logger: logging.Logger, added: TraceIds) -> None:
    """Take a filter away from the handlers of a logger."""
    for handler in logger.handlers:
        handler.removeFilter(added)
