"""How the server accepts its clients' connections, with limits on what they send and how long that takes.

uvicorn limits neither the headers nor the time in which a request must arrive, and has no settings for it. This is its
protocol class with both limits. uvloop's server accepts one connection in a turn of the event loop, so that new clients
and probes wait for seconds while turns are long. This one accepts every waiting connection at once. The module is
imported only if uvicorn serves.
"""

from __future__ import annotations

import asyncio
import logging
import re
import select
import socket
import time
from collections.abc import Callable
from time import perf_counter
from typing import Any, Literal, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from parbake.errors import ParbakeError
from parbake.http.asgi import HttpApp, head_of
from parbake.http.open_connections import OpenConnections, most_connections
from parbake.http.reading import MAX_HEAD, MAX_HEADERS, READ_ANYWAY, Message, headers_too_large
from parbake.http.refusals import Malformed, TooSlow
from parbake.http.waiting_line import client_of
from parbake.ports.messages import ARRIVED, PROTECTION, WHOLE, problem

HEAD_S = 10.0
"""Seconds for a request's line and headers, from the start of the connection or the end of the previous answer."""
BODY_S = 30.0
"""Seconds for a request's body."""
_UNREAD_S = 30.0
"""Seconds within which a slow client must continue to read."""
LINGER_S = 2.0
"""Seconds for which data of a rejected client is discarded. Without this, the client would not see the answer."""
_ENDING_S = 1.0
"""Seconds for which a server that shuts down still answers requests that are being received."""
_LAST_S = 0.05
"""Seconds after that until the connection is checked again, and closed if it is idle."""
_MOST_UNANSWERED = 64
"""The most requests that a client may send on a connection before the first of them is answered."""
_PIECES, _PIECE_BYTES = 64, 64
"""A read from a connection may contain 64 chunks of a body, and one more for each 64 bytes."""
_AT_ONCE = 2048
"""The most connections that are accepted in one turn of the event loop."""
_PAUSE_S, _SHORT_PAUSE_S = 1.0, 0.05
"""Seconds until the next try to accept connections, after the process had no file descriptor left, or no room."""
_TAKING_S = 3.0
"""Seconds for which a server that shuts down still accepts connections that are already waiting."""
_log = logging.getLogger("parbake.http")
Phase = Literal["idle", "head", "body"]
_UPGRADE = re.compile(rb"(?i)(?<=\r\n)upgrade(?=[ \t]*:)")
_PROTECTED = "".join(f"{name}: {value}\r\n" for name, value in PROTECTION).encode()


class Connection(HttpToolsProtocol):
    """Rejects requests whose headers are too many or too long, and requests that do not arrive in time."""

    all_open: OpenConnections | None = None
    """The connections of the server, which counts this one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Create the protocol; see uvicorn's class."""
        super().__init__(*args, **kwargs)
        self._phase: Phase = "idle"
        self._timer: asyncio.TimerHandle | None = None
        self._timed: Phase = "idle"
        self._unread: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._read_since = 0
        self._since_body = 0
        self._is_refused = False
        self._is_ending = False
        self._left = getattr(self.app, "most_requests", None)
        self._unanswered: list[Any] = []
        self._most_pieces = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Wait for the first request."""
        super().connection_made(transport)
        self._from = client_of(self.client[0] if self.client else "")
        if self.all_open is not None:
            self.all_open.add(self, self._from)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer and end all answers in progress; uvicorn itself notifies only the last request."""
        self._forget_timer()
        self._forget_unread()
        if self.all_open is not None:
            self.all_open.remove(self, self._from)
        for cycle in self._unanswered:
            cycle.disconnected = not cycle.response_complete
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count and parse; data after a rejection is discarded."""
        self._read_since += len(data)
        if self._is_refused:
            if self._read_since > READ_ANYWAY:
                self.transport.abort()
            return
        if self._phase == "head" and self._read_since > 2 * MAX_HEAD:
            self._refuse(headers_too_large())  # the parser does not report an unfinished header
            return
        if self._phase == "body" and self._since_body > 2 * MAX_HEAD:
            self._refuse(headers_too_large())  # the parser holds a field of a trailer until that ends
            return
        if self._phase != "body" and b"pgrade" in data.lower():
            # A server may ignore a protocol upgrade (RFC 9110, 7.8); this parser accepts no body after one.
            head, ends, rest = data.partition(b"\r\n\r\n")
            data = b"".join((_UPGRADE.sub(b"ignored", head), ends, rest))
        self._since_body += len(data)
        self._most_pieces = _PIECES + len(data) // _PIECE_BYTES
        super().data_received(data)
        if not self._is_refused and not self.transport.is_closing():
            self._expect()

    def on_message_begin(self) -> None:
        """Start to count."""
        self._phase, self._head_bytes, self._read_since, self._since_body = "head", 0, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the request's target with the headers."""
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header. A field of a trailer, after the body, does not count (RFC 9110, 6.5.1)."""
        if self._phase == "body":
            return
        self._head_bytes += len(name) + len(value)
        if self._is_refused or len(self.headers) >= MAX_HEADERS or self._head_bytes > MAX_HEAD:
            self._refuse(headers_too_large())
        else:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the answer, unless the headers were rejected."""
        # It came in two parts and was therefore not seen in time.
        if self.parser is not None and self.parser.should_upgrade():
            self._refuse(Malformed("this server speaks HTTP/1.1 only: leave out upgrade", field="upgrade"))
        self._check_target()
        if self._unanswered:
            self._unanswered = [cycle for cycle in self._unanswered if not cycle.response_complete]
            if len(self._unanswered) >= _MOST_UNANSWERED:
                what = f"more than {_MOST_UNANSWERED} requests came before the first of them was answered"
                self._end_reading(Malformed(f"{what}; wait for answers, or use more connections", field="request"))
        self._phase = "body"
        if not self._is_refused:
            super().on_headers_complete()
            if self._left is not None:
                self._left -= 1
            self.cycle.keep_alive = self.cycle.keep_alive and not self._is_ending and self._left != 0
            self.scope["extensions"] = _EXTENSIONS
            self.scope[ARRIVED] = perf_counter()  # type: ignore[literal-required]  # uvicorn's type knows no further key
            self._unanswered.append(self.cycle)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Answer at once what would be turned away anyway. In a flood, a task for it would cost more than the rest."""
        answer, own = None, self.app
        if isinstance(own, HttpApp) and not self.pipeline and not self.expect_100_continue:
            answer = own.turned_away(cast("Message", cycle.scope))
        if answer is None:
            super()._start_asgi_task(cycle, app)
        else:
            _write_whole(cycle, answer.status, head_of(answer), answer.body)

    def _check_target(self) -> None:
        """Refuse a target that names another host than the Host header, which decides on admission (RFC 9112, 3.2)."""
        scheme, found, rest = self.url.partition(b"://")
        if found and b"/" not in scheme:
            named = next((value for name, value in self.headers if name == b"host"), b"")
            if rest.partition(b"/")[0].lower() != named.lower():
                message = "the target names another host than the Host header; send the same host in both, or the path"
                self._refuse(Malformed(message, field="host"))

    def on_body(self, body: bytes) -> None:
        """Receive a part of the body."""
        self._since_body = 0
        self._most_pieces -= 1
        if self._most_pieces < 0:
            self._end_reading(Malformed("the body comes in too small chunks; send larger ones", field="body"))
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._phase = "idle"
        if not self._is_refused:
            super().on_message_complete()

    def shutdown(self) -> None:
        """Close after the current requests are answered, including one that the client has just sent."""
        self._is_ending = True
        if self._is_answering:
            super().shutdown()
        # After a long turn of the event loop, a timer fires before received data is handled: read that first.
        self.loop.call_later(_ENDING_S, self.loop.call_later, _LAST_S, self._end_if_idle)

    def pause_writing(self) -> None:
        """The client reads too slowly: start a timer."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(_UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again: stop the timer."""
        super().resume_writing()
        self._forget_unread()

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser does not understand."""
        self._refuse(Malformed(msg, field="request"))

    def _end_if_idle(self) -> None:
        if self._phase == "body" and self._is_answering:
            self._late()  # the rest of the body has not arrived
        elif not self._is_answering:
            self.transport.close()

    @property
    def keeps_waiting(self) -> bool:
        """Whether nothing is being answered, because the client has to send something first."""
        return self._phase != "idle" or not self._is_answering

    def end(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect(self) -> None:
        """Start a timer for what has to arrive next, if anything."""
        if self._phase == "idle" and (self._is_answering or self.timeout_keep_alive_task is not None):
            self._forget_timer()
        elif self._timer is None or (self._timed == "body") != (self._phase == "body"):
            self._forget_timer()
            self._timed = self._phase
            self._timer = self.loop.call_later(BODY_S if self._phase == "body" else HEAD_S, self._late)

    def _late(self) -> None:
        self._timer = None
        if self._phase == "idle" or (self._phase == "body" and not self._is_answering):
            self.transport.close()
        else:
            self._refuse(TooSlow(f"the request's {self._phase} did not arrive in time"))

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_reading(self, error: ParbakeError) -> None:
        """Refuse a request, and parse nothing more of what has arrived."""
        self._refuse(error)
        raise error

    def _refuse(self, error: ParbakeError) -> None:
        """Answer with a problem document, if no other answer is being sent, and close the connection."""
        if self._is_refused:
            return
        self._is_refused = True
        self._forget_timer()
        self._unset_keepalive_if_required()
        own = self.cycle if self._phase == "body" else None
        earlier = [cycle for cycle in self._unanswered if cycle is not own and not cycle.response_complete]
        # A rejection would be taken for the answer to one of them: answer them first, then close the connection.
        if earlier:
            earlier[-1].keep_alive = False
            return
        if self._is_answering and (own is None or own.response_started):
            self.transport.close()  # the rejection would become a part of that answer
            return
        response = problem(error)
        head = [STATUS_LINE[response.status], b"content-type: ", response.content_type.encode(), b"\r\n", _PROTECTED]
        ends = [b"content-length: %d\r\nconnection: close\r\n\r\n" % len(response.body), response.body]
        self.transport.write(b"".join([*head, *ends]))
        self._read_since = 0
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)


async def _send_whole(send: Callable[..., Any], status: int, head: bytes, body: bytes) -> bool:
    """Send an answer in one write. uvicorn makes two writes and checks each header separately.

    Args:
        send: The application's ``send``.
        status: The answer's status.
        head: The header lines, each with its line end and already checked.
        body: The body; empty for an answer to ``HEAD``.

    Returns:
        Whether it was sent. It is not if a middleware wraps ``send``; the caller then sends in the ordinary way.
    """
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle):
        return False
    if cycle.flow.write_paused and not cycle.disconnected:
        try:
            await cycle.flow.drain()
        except asyncio.CancelledError:  # a server that shuts down does not wait for a client that does not read
            cycle.transport.abort()
            raise
    if cycle.disconnected or cycle.response_started or cycle.transport.is_closing():
        cycle.disconnected = True  # nobody reads it, or it would be a part of another answer; uvicorn must not log that
        return True
    _write_whole(cycle, status, head, body)
    return True


def _write_whole(cycle: RequestResponseCycle, status: int, head: bytes, body: bytes) -> None:
    """Write an answer and end the request, as uvicorn does after its last part."""
    says_close = b"\r\nconnection: close\r\n" in head
    ends = b"\r\n" if cycle.keep_alive or says_close else b"connection: close\r\n\r\n"
    cycle.keep_alive = cycle.keep_alive and not says_close
    cycle.response_started, cycle.response_complete = True, True
    cycle.transport.write(b"".join((STATUS_LINE[status], head, ends, body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


def _has_left(send: Callable[..., Any]) -> bool:
    """Whether the client has closed the connection of a request, as far as the loop has seen."""
    cycle = getattr(send, "__self__", None)
    return isinstance(cycle, RequestResponseCycle) and cycle.disconnected


def _has_arrived(send: Callable[..., Any]) -> bool:
    """Whether the whole body of a request has been received."""
    cycle = getattr(send, "__self__", None)
    return isinstance(cycle, RequestResponseCycle) and not cycle.more_body


_EXTENSIONS: Any = {WHOLE: {"send": _send_whole, "has_left": _has_left, "has_arrived": _has_arrived}}


class Server(uvicorn.Server):
    """Accepts all waiting connections together, also at the end, because closing the socket would reset them."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then accept connections."""
        await super().startup(sockets=[])
        self._connecting: set[asyncio.Task[Any]] = set()
        self._open = OpenConnections(most_connections())
        for listening in sockets or ():
            listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
            self._listen(listening)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take the connections that wait, for a moment; then shut down."""
        loop, until = asyncio.get_running_loop(), time.monotonic() + _TAKING_S
        for listening in sockets or ():
            loop.remove_reader(listening)
        while sockets and _have_waiting(sockets) and time.monotonic() < until:
            for listening in sockets:
                self._accept(listening)
            await asyncio.sleep(0)
        await asyncio.gather(*self._connecting, return_exceptions=True)
        await super().shutdown(sockets)

    def _listen(self, listening: socket.socket) -> None:
        if not self.should_exit:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_AT_ONCE):
            if not self._open.have_room(len(self._connecting)) and not self._open.end_one():
                self._pause(listening, _SHORT_PAUSE_S)  # all that are open are being answered, or come to be counted
                return
            try:
                accepted = listening.accept()[0]
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no file descriptor is left
                _log.error("no connection can be accepted for a moment: %s", error)
                self._pause(listening, _PAUSE_S)
                return
            accepted.setblocking(False)  # noqa: FBT003 - the standard library's signature
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connecting = loop.create_task(loop.connect_accepted_socket(self._protocol, accepted))
            self._connecting.add(connecting)
            connecting.add_done_callback(self._connecting.discard)

    def _pause(self, listening: socket.socket, for_s: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(for_s, self._listen, listening)

    def _protocol(self) -> Any:
        kind: Any = self.config.http_protocol_class
        made = kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        made.all_open = self._open
        return made


def _have_waiting(listening: list[socket.socket]) -> bool:
    """Whether a connection on one of the sockets has not been accepted yet."""
    waiting = select.poll()
    for one in listening:
        waiting.register(one, select.POLLIN)
    return bool(waiting.poll(0))
