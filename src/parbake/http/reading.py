"""Reading a request's headers and body within their limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, cast

from parbake.errors import BadInput
from parbake.http.refusals import BodyNotRead, ClientLeft, HeadersTooLarge
from parbake.ports.messages import MAX_BODY, too_large

MAX_HEAD = 64 * 1024
"""Limit of all headers together, and of the path with the query, in bytes."""
MAX_HEADERS = 100
READ_ANYWAY = 16 * 1024 * 1024
"""A too large body is still read up to this size, because a client that is still sending does not see the answer."""
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


def headers_of(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name. Repeated headers become one list (RFC 9110, 5.3). Raises :class:`HeadersTooLarge`."""
    size = 0
    headers: dict[str, str] = {}
    for before, (raw_name, raw_value) in enumerate(pairs):
        size += len(raw_name) + len(raw_value)
        if before >= MAX_HEADERS or size > MAX_HEAD:
            raise headers_too_large()
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def headers_too_large() -> HeadersTooLarge:
    """Make the error for headers over the limit."""
    return HeadersTooLarge(
        f"a request has at most {MAX_HEADERS} headers of {MAX_HEAD // 1024} KiB together, its path and query included",
        field="headers",
    )


async def read_body(headers: Mapping[str, str], receive: Receive, limit: int = MAX_BODY) -> bytes:
    """Read the whole body.

    Args:
        headers: The request's headers.
        receive: The ``receive`` of ASGI.
        limit: The greatest size, in bytes.

    Raises:
        BadInput: The declared length is not a number.
        BodyTooLarge: The body is over the limit.
        ClientLeft: The client closed the connection before the end.
    """
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit() and len(declared) < 20):  # noqa: PLR2004 - as many as 2**64 has
        raise BadInput("content-length must be a number", field="content-length")
    most = max(limit, READ_ANYWAY)
    if int(declared) > most or (int(declared) > limit and "expect" in headers):
        raise _not_read(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft("the client closed the connection before its request was complete")
        chunk = cast("bytes", message.get("body", b""))
        size += len(chunk)
        if size <= limit:
            parts.append(chunk)
        elif size > most:
            raise _not_read(limit)
        if not message.get("more_body"):
            break
    if max(size, int(declared)) > limit:
        raise too_large(limit)
    return b"".join(parts)


def _not_read(limit: int) -> BodyNotRead:
    return BodyNotRead(str(too_large(limit)), field="body")
