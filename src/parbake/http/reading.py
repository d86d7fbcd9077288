"""Reading a request's headers and body within their limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, cast

from parbake.errors import BadInput
from parbake.http.refusals import BodyNotRead, ClientLeft, HeadersTooLarge, TooManyBodies
from parbake.ports.messages import MAX_BODY, too_large

MAX_HEAD = 64 * 1024
"""Limit of all headers together, and of the path with the query, in bytes."""
MAX_HEADERS = 100
READ_ANYWAY = 16 * 1024 * 1024
"""A too large body is still read up to this size, because a client that is still sending does not see the answer."""
_SMALL, _MOST_HELD = 64 * 1024, 512 * 1024 * 1024
"""Up to which size a body does not count among the large ones, and how many bytes of those a server holds at once."""
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


class LargeBodies:
    """Counts the bytes of large bodies that a server holds, so that their sum stays bounded, and each client's, too."""

    def __init__(self, most: int = _MOST_HELD) -> None:
        """Hold none; ``most`` bytes may be held at once, half of them of one client."""
        self._most = most
        self._held = 0
        self._by_client = Counter[str]()

    def hold(self, client: str, size: int) -> None:
        """Count bytes of a client's; raises :class:`TooManyBodies` if they would be too many."""
        if self._held + size > self._most or self._by_client[client] + size > self._most // 2:
            raise TooManyBodies(
                f"the server holds {self._most // 1024**2} MiB of requests at a time, half of them of one client; send "
                "the request again when others are answered",
                field="body",
            )
        self._held += size
        self._by_client[client] += size

    def let_go(self, client: str, size: int) -> None:
        """Count bytes of a client's no more."""
        self._held -= size
        self._by_client[client] -= size
        if not self._by_client[client]:
            del self._by_client[client]


class HeldBody:
    """The bytes of one request's body that count as held."""

    __slots__ = ("_all", "_client", "_size")

    def __init__(self, bodies: LargeBodies, client: str) -> None:
        """Hold nothing yet, for a client."""
        self._all, self._client, self._size = bodies, client, 0

    def grow(self, size: int) -> None:
        """Let the body be of a size; a small one does not count. Raises :class:`TooManyBodies`."""
        if size > _SMALL:
            self._all.hold(self._client, size - self._size)
            self._size = size

    def let_go(self) -> None:
        """Count the body no more."""
        if self._size:
            self._all.let_go(self._client, self._size)
            self._size = 0


async def read_body(headers: Mapping[str, str], receive: Receive, held: HeldBody, limit: int = MAX_BODY) -> bytes:
    """Read the whole body.

    Args:
        headers: The request's headers.
        receive: The ``receive`` of ASGI.
        held: Counts the body while it is held.
        limit: The greatest size, in bytes.

    Raises:
        BadInput: The declared length is not a number.
        BodyTooLarge: The body is over the limit.
        ClientLeft: The client closed the connection before the end.
        TooManyBodies: The server holds too many large bodies.
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
            held.grow(size)
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
