"""Connections to the provider: one on which anything came unasked is never used again, nor one of another caller.

A provider, or a gateway before it, may send more than the length that its answer names, and a caller may have chosen
these bytes. HTTP/1.1 does not say which request an answer belongs to, so that they would answer the next request. Most
of them are noticed. Those that come while the next request is under way cannot be, so that request has to be one with
the same headers that tell who asks.
"""

from __future__ import annotations

import select
from asyncio import AbstractEventLoop
from functools import partial
from time import monotonic
from typing import Any

from aiohttp import StreamReader, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage

from parbake_proxy.headers import telling

_QUIET_S = 0.05
"""How long a connection rests before its next request, in seconds: the rest of an answer arrives within that time."""
_FINAL = 200
"""From this status on, an answer is the last one to its request (RFC 9110, 15)."""


class PrivateRequest(ClientRequest):
    """A request that shares its connection only with requests whose headers tell of the same caller."""

    @property
    def connection_key(self) -> ConnectionKey:
        """What is equal for requests that may share a connection."""
        who = telling({name.lower(): value for name, value in self.headers.items()})
        return super().connection_key._replace(proxy_headers_hash=hash(tuple(who)))


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
        self._make_room()
        return None

    def _make_room(self) -> None:
        """End the connections that rest longest where as many rest as may be in use: each caller has its own."""
        resting = sum(map(len, self._conns.values()))
        for key in list(self._conns):
            while self._conns[key] and resting >= self.limit:
                protocol, _ = self._conns[key].popleft()
                protocol.close()
                resting -= 1


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
