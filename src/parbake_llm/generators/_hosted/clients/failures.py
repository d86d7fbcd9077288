"""Why a provider did not send a whole reply: the kinds of failures, and what each of them means for a retry."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from parbake.errors import FailureKind

RETRYABLE = frozenset(
    {FailureKind.RATE_LIMITED, FailureKind.OVERLOADED, FailureKind.UNAVAILABLE, FailureKind.UNREACHABLE}
)
"""The kinds of failures that a second attempt within the same request may avoid."""
_STATUSES = {
    401: FailureKind.AUTH,
    403: FailureKind.AUTH,
    408: FailureKind.UNAVAILABLE,
    409: FailureKind.UNAVAILABLE,
    429: FailureKind.RATE_LIMITED,
    503: FailureKind.OVERLOADED,
    529: FailureKind.OVERLOADED,
}
_CODES = {
    "accessdenied": FailureKind.AUTH,
    "authentication": FailureKind.AUTH,
    "expiredtoken": FailureKind.AUTH,
    "incompletesignature": FailureKind.AUTH,
    "insufficientquota": FailureKind.RATE_LIMITED,
    "internalserver": FailureKind.UNAVAILABLE,
    "invalidapikey": FailureKind.AUTH,
    "invalidrequest": FailureKind.REJECTED,
    "invalidsignature": FailureKind.AUTH,
    "modelnotready": FailureKind.OVERLOADED,
    "modeltimeout": FailureKind.UNAVAILABLE,
    "overloaded": FailureKind.OVERLOADED,
    "permission": FailureKind.AUTH,
    "ratelimit": FailureKind.RATE_LIMITED,
    "ratelimitexceeded": FailureKind.RATE_LIMITED,
    "serviceunavailable": FailureKind.OVERLOADED,
    "throttling": FailureKind.RATE_LIMITED,
    "timeout": FailureKind.UNAVAILABLE,
    "toomanyrequests": FailureKind.RATE_LIMITED,
    "unrecognizedclient": FailureKind.AUTH,
    "validation": FailureKind.REJECTED,
}
"""The names that Anthropic, OpenAI and Bedrock give to errors, without underscores and the word error or exception."""
_UNCONNECTED = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ConnectTimeoutError", "EndpointConnectionError"}
_SILENT = {"ReadTimeout", "WriteTimeout", "ReadTimeoutError"}
_BROKEN = {
    "ChunkedEncodingError", "ConnectionClosedError", "ConnectionResetError", "HTTPClientError", "IncompleteRead",
    "NetworkError", "ProtocolError", "RemoteProtocolError", "ResponseStreamingError", "TransportError",
}  # fmt: skip
_UNREADABLE = {
    "APIResponseValidationError", "ChecksumMismatch", "DuplicateHeader", "InvalidHeadersLength",
    "InvalidPayloadLength", "JSONDecodeError", "ParserError", "ResponseParserError", "UnicodeDecodeError",
}  # fmt: skip
"""Errors of the clients' transports, by class name: which transport a client uses depends on its version."""


@dataclass(frozen=True)
class FailureCause:
    """Why one attempt failed.

    Attributes:
        kind: The kind of failure.
        said: What the provider or the client said, which may contain secrets.
        retry_after_s: How long the provider asks to wait, in seconds.
    """

    kind: FailureKind
    said: str
    retry_after_s: float | None = None


def kind_of_status(status: int) -> FailureKind:
    """What an HTTP status of 400 or more means."""
    other = FailureKind.UNAVAILABLE if status >= 500 else FailureKind.REJECTED  # noqa: PLR2004 - server errors
    return _STATUSES.get(status, other)


def kind_of_code(code: object) -> FailureKind | None:
    """What a provider's name for an error means; ``None`` if the name is unknown."""
    plain = str(code).lower().replace("_", "").removesuffix("exception").removesuffix("error")
    return _CODES.get(plain, FailureKind.UNAVAILABLE if plain in {"api", "server", "modelstream"} else None)


def kind_of_transport(error: BaseException, *, is_open: bool) -> FailureKind | None:
    """The kind of a connection error; ``None`` if the error has another reason.

    Args:
        error: The error; its causes are looked at, too.
        is_open: Whether the response had begun.
    """
    names = {kind.__name__ for cause in causes(error) for kind in type(cause).__mro__}
    if names & _UNCONNECTED:
        return FailureKind.UNREACHABLE
    if names & _SILENT:
        return FailureKind.TIMEOUT
    if names & _UNREADABLE:
        return FailureKind.MALFORMED
    if names & _BROKEN:
        return FailureKind.CUT if is_open else FailureKind.UNREACHABLE
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def retry_after(headers: Mapping[str, Any] | None, now: dt.datetime | None = None) -> float | None:
    """The seconds that a response asks to wait: a number or a date (RFC 9110, 10.2.3); ``None`` if it does not ask.

    Args:
        headers: The headers of the response.
        now: The current time, if not the system's.
    """
    said = str((headers or {}).get("retry-after") or "").strip()
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(said)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=dt.UTC)
    return max(0.0, (then - (now or dt.datetime.now(dt.UTC))).total_seconds())
