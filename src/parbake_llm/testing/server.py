"""The HTTP server of the box: one thread for each request, and one connection for each, so that it can end anywhere."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from parbake_llm.testing.anthropic_messages import AnthropicMessages
from parbake_llm.testing.bedrock_converse import BedrockConverse
from parbake_llm.testing.dialect import WireDialect, words
from parbake_llm.testing.openai_chat import OpenAIChat
from parbake_llm.testing.prefixes import CacheUsage, Refusal
from parbake_llm.testing.script import BoxRequest, ProviderFault, ScriptedReply

if TYPE_CHECKING:
    from parbake_llm.testing.box import ProviderBox

LARGEST = 32 << 20
"""The largest request in bytes."""
_SILENCE_S = 30.0
"""How long a client may be silent while it sends its request, in seconds."""
WRONG = (Refusal, AttributeError, KeyError, TypeError, ValueError)
"""What a wrong request can cause."""
_STATUSES = {ProviderFault.RATE_LIMITED: 429, ProviderFault.OVERLOADED: 529, ProviderFault.BROKEN: 500}
_SECRET = {"authorization", "x-api-key", "x-amz-security-token"}
_ROUTES: tuple[tuple[str, str, WireDialect], ...] = (
    ("/openai/v1/chat/completions", "", OpenAIChat()),
    ("/anthropic/v1/messages", "", AnthropicMessages()),
    ("/bedrock/model/", "/converse-stream", BedrockConverse()),
)
"""The paths by their beginning and end. What is between them is the model's name."""
DIALECTS = {dialect.name: dialect for _, _, dialect in _ROUTES}
"""The protocols by their names."""


class BoxHandler(BaseHTTPRequestHandler):
    """Answers one request.

    Attributes:
        desk: The box.
    """

    protocol_version = "HTTP/1.1"
    timeout = _SILENCE_S
    desk: ProviderBox

    def do_POST(self) -> None:
        """Answer a request of any of the dialects."""
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client left
            self._answer()

    def received(self) -> tuple[bytes, dict[str, str]]:
        """The body of the request, and its headers in lower case."""
        raw = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), LARGEST + 1))
        return raw, {name.lower(): value for name, value in self.headers.items()}

    def check_key(self, dialect: WireDialect, headers: Mapping[str, str]) -> None:
        """Raise :class:`Refusal` for a request without the box's key."""
        if dialect.key(headers) != self.desk.key:
            raise Refusal(401, "the key is missing or wrong")

    def send(self, status: int, document: bytes, headers: Mapping[str, str]) -> None:
        """Send a whole answer.

        Args:
            status: The status.
            document: The body.
            headers: Headers beside the usual ones.
        """
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(document)))
        self.end_headers()
        self.wfile.write(document)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""

    def _answer(self) -> None:
        raw, headers = self.received()
        route = _route(self.path)
        if route is None:
            self.send(404, b'{"error": {"message": "no such path"}}', {})
            return
        model, dialect = route
        shown = {name: value for name, value in headers.items() if name not in _SECRET}
        request = BoxRequest(dialect.name, model, {}, shown)
        try:
            self.check_key(dialect, headers)
            body = _document(raw)
            request = replace(request, model=model or str(body.get("model") or ""), body=body)
            reply, usage = self.desk.accept(dialect, request)
        except WRONG as error:
            self._refuse(dialect, request, refused(error))
        else:
            self._reply(dialect, replace(request, usage=usage), reply)

    def _refuse(self, dialect: WireDialect, request: BoxRequest, refusal: Refusal) -> None:
        self.desk.requests.append(replace(request, usage=None, status=refusal.status))
        document, headers = dialect.refusal(refusal.status, str(refusal))
        wait = self.desk.retry_after_s
        self.send(refusal.status, document, headers | ({} if wait is None else {"retry-after": f"{wait:g}"}))

    def _reply(self, dialect: WireDialect, request: BoxRequest, reply: ScriptedReply) -> None:
        if reply.fault is not None and (status := _STATUSES.get(reply.fault)) is not None:
            status = 503 if status == 529 and dialect.name != "anthropic" else status
            self._refuse(dialect, request, Refusal(status, "this model fails on purpose"))
            return
        status = 0 if reply.fault is ProviderFault.DOWN else 200
        self.desk.requests.append(replace(request, status=status))
        if reply.fault is ProviderFault.SLOW:
            self.desk.has_closed.wait(self.desk.slow_s)
        if reply.fault is not ProviderFault.DOWN:
            self._stream(dialect, request, reply)

    def _stream(self, dialect: WireDialect, request: BoxRequest, reply: ScriptedReply) -> None:
        self.send_response(200)
        self.send_header("Content-Type", dialect.content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        usage = request.usage or CacheUsage(0)
        for frame in _frames(dialect, reply, usage, request.model):
            if self.desk.has_closed.is_set():
                return
            self.wfile.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")
        if reply.fault is not ProviderFault.CUT:
            self.wfile.write(b"0\r\n\r\n")


def refused(error: Exception) -> Refusal:
    """The refusal for an error that a wrong request has caused."""
    if isinstance(error, Refusal):
        return error
    return Refusal(400, f"the request has a wrong shape: {type(error).__name__}: {error}")


def _route(path: str) -> tuple[str, WireDialect] | None:
    plain = path.partition("?")[0]
    for first, last, dialect in _ROUTES:
        if plain.startswith(first) and plain.endswith(last) and (last or plain == first):
            return unquote(plain[len(first) : len(plain) - len(last)]), dialect
    return None


def _document(raw: bytes) -> Mapping[str, Any]:
    if len(raw) > LARGEST:
        raise Refusal(413, f"the request has more than {LARGEST} bytes")
    found = json.loads(raw)
    if not isinstance(found, dict):
        raise Refusal(400, "the request must be a JSON object")
    return found


def _frames(dialect: WireDialect, reply: ScriptedReply, usage: CacheUsage, model: str) -> Iterator[bytes]:
    """The frames of a reply, up to its fault if it has one."""
    pieces = words(reply.text)
    yield from dialect.opening(reply, usage, model)
    match reply.fault:
        case ProviderFault.ENDLESS:
            yield from (dialect.text(piece) for piece in cycle(pieces or ["again "]))
        case ProviderFault.CUT | ProviderFault.MALFORMED | ProviderFault.ERROR_EVENT as fault:
            yield from map(dialect.text, pieces[: len(pieces) // 2])
            if fault is ProviderFault.MALFORMED:
                yield dialect.malformed()
            elif fault is ProviderFault.ERROR_EVENT:
                yield dialect.error()
        case _:
            yield from map(dialect.text, pieces)
            yield from dialect.closing(reply, usage)


@contextlib.contextmanager
def serving(desk: ProviderBox) -> Iterator[int]:
    """Serve at a free port of the loopback interface; yield the port."""
    with _Server(("127.0.0.1", 0), type("_Handler", (desk.handler,), {"desk": desk})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="provider-box", daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            desk.has_closed.set()
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    """Accepts many connections at once, and does not report a client that disconnects as an error."""

    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients leave on purpose."""
