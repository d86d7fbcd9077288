"""A provider that answers by a table and records what it has received, to compare clients with and without a proxy."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from email.message import Message
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self, cast

_CONNECTION = frozenset({"host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "content-length"})
"""Headers of one connection, which are not recorded (RFC 9110, 7.6.1)."""


class EchoRequest(NamedTuple):
    """A request as it has arrived.

    Attributes:
        method: Its method.
        target: The path and the query, as sent.
        headers: The headers by lower-case name, but those of the connection.
        body_sha256: A hash of the body, in hexadecimal digits. The boundary of a form, which clients draw at random,
            counts as ``boundary``, also in the header.
    """

    method: str
    target: str
    headers: dict[str, str]
    body_sha256: str


class EchoReply(NamedTuple):
    """An answer.

    Attributes:
        body: The body; anything but bytes is sent as JSON.
        status: The status.
        headers: Further headers; a ``content-type`` or ``content-encoding`` among them is sent as it is, and
            not at all if it is empty.
        pieces: What is sent after the body, each piece in a chunk of its own.
        is_endless: Whether nothing ends the answer until the client leaves.
        is_silent: Whether there is no answer until the client leaves.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    pieces: Sequence[bytes] = ()
    is_endless: bool = False
    is_silent: bool = False


class EchoBox:
    """Answers each request with the next reply, and all further ones with the last. Use it as a context manager.

    Attributes:
        replies: The replies.
        requests: The requests that have arrived.
        has_left: Set when a client has left an endless or a silent answer.
    """

    def __init__(self) -> None:
        self.replies: list[EchoReply] = [EchoReply()]
        self.requests: list[EchoRequest] = []
        self.has_left = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _EchoHandler)
        self._server.daemon_threads = True
        cast("Any", self._server).box = self

    @property
    def root(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def restart(self, *replies: EchoReply) -> None:
        """Forget all requests, and answer with these replies from now on."""
        self.replies, self.requests = list(replies), []
        self.has_left.clear()

    def __enter__(self) -> Self:
        """Start to serve."""
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


class _EchoHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as in the base class
        """Write nothing."""

    def _answer(self) -> None:
        box: EchoBox = cast("Any", self.server).box
        box.requests.append(_request_of(self, self._body()))
        reply = box.replies.pop(0) if len(box.replies) > 1 else box.replies[0]
        if not reply.is_silent:
            self._send(reply)
        if reply.is_silent or reply.is_endless:
            self.close_connection = True
            self.rfile.read(1)  # returns when the client leaves
            box.has_left.set()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815  # the names of the base class

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", "0")))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, reply: EchoReply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body, ensure_ascii=False).encode()
        is_chunked = bool(reply.pieces) or reply.is_endless
        self.send_response(reply.status)
        for name, value in ({"content-type": "application/json"} | dict(reply.headers)).items():
            if value:
                self.send_header(name, value)
        if reply.status != 204:  # no content
            self.send_header(*(("transfer-encoding", "chunked") if is_chunked else ("content-length", str(len(body)))))
        self.end_headers()
        if not is_chunked:
            self.wfile.write(body)
            return
        for piece in filter(None, [body, *reply.pieces]):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        if not reply.is_endless:
            self.wfile.write(b"0\r\n\r\n")


def _request_of(handler: BaseHTTPRequestHandler, body: bytes) -> EchoRequest:
    received: Message = handler.headers
    headers = {name.lower(): value for name, value in received.items() if name.lower() not in _CONNECTION}
    boundary = received.get_param("boundary", header="content-type") if "content-type" in received else None
    if isinstance(boundary, str):
        headers["content-type"] = headers["content-type"].replace(boundary, "boundary")
        body = body.replace(boundary.encode(), b"boundary")
    return EchoRequest(handler.command, handler.path, headers, sha256(body).hexdigest())
