"""The errors of the clients of OpenAI and Anthropic, whose classes have the same names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parbake.errors import FailureKind
from parbake_llm.generators._hosted.clients.failures import (
    FailureCause,
    kind_of_code,
    kind_of_status,
    kind_of_transport,
    retry_after,
)


def cause_of_sdk(sdk: Any, error: Exception, *, is_open: bool) -> FailureCause:
    """Say why a request failed.

    Args:
        sdk: The client's package.
        error: What it raised.
        is_open: Whether the response had begun.
    """
    headers = getattr(getattr(error, "response", None), "headers", None)
    said = _said(getattr(error, "body", None)) or str(error)
    return FailureCause(_kind(sdk, error, is_open=is_open), said, retry_after(headers))


def _kind(sdk: Any, error: Exception, *, is_open: bool) -> FailureKind:
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and status >= 400 and not is_open:  # noqa: PLR2004 - errors begin there
        return kind_of_status(status)
    for code in _codes(getattr(error, "body", None)):
        if (kind := kind_of_code(code)) is not None:
            return kind
    found = kind_of_transport(error, is_open=is_open)
    if found is not None:
        return found
    if isinstance(error, sdk.APIConnectionError):
        return FailureKind.CUT if is_open else FailureKind.UNREACHABLE
    if isinstance(error, sdk.APIError):
        return FailureKind.UNAVAILABLE if is_open else FailureKind.UNKNOWN
    return FailureKind.MALFORMED if is_open else FailureKind.UNKNOWN


def document(chunk: Any) -> Any:
    """Return a chunk as plain data; a malformed one is returned unchanged, like the client does."""
    return chunk.model_dump(warnings=False) if hasattr(chunk, "model_dump") else chunk


def _codes(body: Any) -> list[Any]:
    """The names of an error in the document that a provider sent, the outer ones first."""
    if not isinstance(body, Mapping):
        return []
    inner = body.get("error")
    return [body.get("code"), body.get("type"), *(_codes(inner) if isinstance(inner, Mapping) else [])]


def _said(body: Any) -> str:
    """The message of an error in the document that a provider sent; empty if there is none."""
    if not isinstance(body, Mapping):
        return ""
    inner = body.get("error")
    message = body.get("message")
    return _said(inner) if isinstance(inner, Mapping) else message if isinstance(message, str) else ""
