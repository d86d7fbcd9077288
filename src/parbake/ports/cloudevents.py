"""CloudEvents 1.0 (https://cloudevents.io): the structured, binary and batch content modes over HTTP.

An event's ``subject`` is its tag and the last word of its ``type`` is what happened (``.changed``, ``.created``,
``.deleted`` or ``.bulk``); ``data`` is not needed and is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from parbake.errors import BadInput
from parbake.protocol.tags import raised_by
from parbake.values.redaction import field_of

MAX_BATCH = 1000
MAX_EVENT = 64 * 1024
"""The greatest size in bytes of an event that does not come over HTTP."""
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class CloudEvent(msgspec.Struct, frozen=True):
    """The attributes that parbake uses; ``source`` and ``id`` together identify an event.

    ``traceparent`` is that of the extension for distributed tracing: the trace that the event belongs to.
    """

    id: str
    source: str
    type: str
    subject: str
    specversion: str = "1.0"
    time: str | None = None
    traceparent: str | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags it raises; raises :class:`BadInput` naming ``subject`` or ``type``."""
        return raised_by(self.subject, self.type)


def trace_of(event: CloudEvent) -> str:
    """The trace that an event belongs to; empty if it has none, or one that nobody can read."""
    return event.traceparent if event.traceparent and _TRACE.fullmatch(event.traceparent) else ""


def parse(headers: Mapping[str, str], body: bytes) -> list[CloudEvent]:
    """Read one request's events; raises :class:`BadInput` naming the attribute at fault."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == BATCH:
        return _checked(_decode(body, list[CloudEvent]))
    if "ce-id" in headers or "ce-type" in headers:
        names = ("id", "source", "type", "subject", "specversion", "time", "traceparent")
        attributes = {name: _attribute(name, headers[f"ce-{name}"]) for name in names if f"ce-{name}" in headers}
        return _checked([_convert(attributes)])
    return _checked([_decode(body, CloudEvent)])


def _attribute(name: str, sent: str) -> str:
    """An attribute in a header: percent-encoded UTF-8, or its bytes themselves, which HTTP reads as Latin-1."""
    try:
        return unquote_to_bytes(sent.encode("latin-1")).decode()
    except UnicodeError as error:
        raise BadInput(f"ce-{name} must be UTF-8, percent-encoded", field=name) from error


def structured(body: bytes) -> CloudEvent:
    """Read one event in structured mode; raises :class:`BadInput` naming the attribute at fault."""
    return _checked([_decode(body, CloudEvent)])[0]


def from_attributes(attributes: Mapping[str, str]) -> CloudEvent:
    """Read one event from its attributes, as binary mode has them; raises :class:`BadInput`."""
    return _checked([_convert(attributes)])[0]


def read_time(time: str | None) -> float:
    """An event's time in epoch seconds; 0 if it has no readable time. Nothing depends on it."""
    try:
        return datetime.fromisoformat(time).timestamp() if time else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _decode(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise BadInput(f"not a CloudEvent: {error}", field=field_of(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"malformed JSON: {error}", field="body") from error


def _convert(attributes: Mapping[str, str]) -> CloudEvent:
    try:
        return msgspec.convert(attributes, CloudEvent)
    except msgspec.ValidationError as error:
        raise BadInput(f"not a CloudEvent: {error}", field=field_of(error)) from error


def _checked(events: list[CloudEvent]) -> list[CloudEvent]:
    if not events or len(events) > MAX_BATCH:
        raise BadInput(f"a batch holds 1 to {MAX_BATCH} events, not {len(events)}", field="body")
    for event in events:
        if event.specversion != "1.0":
            raise BadInput(f"specversion={event.specversion[:20]!r}: only 1.0 is supported", field="specversion")
        for name in ("id", "source"):
            value = getattr(event, name)
            if not value or len(value) > 1024:  # noqa: PLR2004 - the bound is named in the message
                raise BadInput(f"{name} must have 1 to 1024 characters", field=name)
        _ = event.tags
    return events
