"""Connections to the provider, which all callers share: one on which anything came unasked is never used again.

A provider, or a gateway before it, may send more than the length that its answer names, and a caller may have chosen
these bytes. HTTP/1.1 does not say which request an answer belongs to, so that they would answer the next request.
"""

from __future__ import annotations

import select
from asyncio import AbstractEventLoop
from functools import partial
from time import monotonic
from typing import Any

from aiohttp import StreamReader, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage

_QUIET_S = 0.05
"""How long a connection rests before its next request, in seconds: the rest of an answer arrives within that time."""
_FINAL = 200
"""From this status on, an answer is the last one to its request (RFC 9110, 15)."""


class PrivateConnector(TCPConnector):
    """Makes connections, and reuses only those that were silent since their last answer."""

    def __init__(self, *, limit: int) -> None:
        """Make at most ``limit`` connections at the same time."""
        super().__init__(limit=limit)
        self._factory = partial(_protocol, self._loop)

    async def _get(self, key: ConnectionKey, traces: list[Any]) -> Connection | None:
        """Give a silent connection that was used before; ``None`` if there is none, so that a new one is made."""
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if not isinstance(protocol, _Protocol) or protocol.has_more():
                connection.close()
            elif monotonic() - protocol.received_at < _QUIET_S:
                connection.release()
                return None  # the others were used later
            else:
                return connection
        return None


class _Protocol(ResponseHandler):
    """Reads the answers on one connection, and notices what comes after them."""

    received_at = 0.0
    """When the last bytes came, by the monotonic clock."""
    _body: StreamReader | None = None
    """The body of the final answer to the last request."""

    def set_response_params(self, **settings: Any) -> None:
        """Begin to expect an answer."""
        self._body = None
        super().set_response_params(**settings)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take an answer whose head was read."""
        message, body = data
        if message.code >= _FINAL:
            self._body = body
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Read bytes; those after the end of an answer are dropped, and end the connection."""
        if not data or self._body is None or not self._body.is_eof():
            self.received_at = monotonic()
            super().data_received(data)
            return
        self.force_close()
        if not self._buffer and self.transport is not None:  # the answer was taken: nobody needs the connection
            self.transport.abort()

    def has_more(self) -> bool:
        """Whether anything has come since the last answer, or the end; also what the event loop has not read yet."""
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        if sock is None or self.should_close or not self.is_connected():
            return True
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))


def _protocol(loop: AbstractEventLoop) -> ResponseHandler:
    return _Protocol(loop)
