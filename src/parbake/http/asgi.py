"""The ASGI application: routing, body limit, errors as problem documents, lifespan."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from parbake.errors import BadInput, ParbakeError, UnknownResource
from parbake.fence.acks import NO_ACKS
from parbake.http import routes
from parbake.http.messages import (
    AFTER,
    MAX_BODY,
    Handler,
    HttpRequest,
    Response,
    Route,
    json_response,
    problem,
    too_large,
)
from parbake.http.openapi import document
from parbake.serving.scope import carried

if TYPE_CHECKING:
    from parbake.app import App

ErrorMembers = Callable[[HttpRequest, ParbakeError], dict[str, Any]]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
UNCOUNTED = frozenset({"/healthz", "/readyz", "/metrics"})
"""What machines ask for says nothing of how long people wait."""
_log = logging.getLogger("parbake.http")


class InternalError(ParbakeError):
    """What a client hears of an error nobody foresaw: nothing that could leak."""


class MethodNotAllowed(ParbakeError):
    """The path exists, the method on it does not."""

    status = 405
    title = "Method not allowed"


class HttpApp:
    """Serves an app's API and what is added to it. ``GET`` routes answer ``HEAD`` too."""

    def __init__(
        self,
        app: App,
        extra: Iterable[Route] = (),
        *,
        error_members: ErrorMembers | None = None,
        beside: Sequence[Callable[[], Awaitable[None]]] = (),
        warm: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        """``extra`` routes are (method, path, handler); a path may hold ``{name}`` segments.

        ``error_members`` adds members to problem documents; ``beside`` runs for as long as the server does;
        ``warm`` is called at the start, and the server is ready after it.
        """
        self.app = app
        self.routes: list[Route] = [*routes.for_app(app), *extra, ("GET", "/v1/openapi.json", self._openapi)]
        self._exact = {(m, p): h for m, p, h in self.routes if "{" not in p}
        self._patterns = [(m, p.strip("/").split("/"), h) for m, p, h in self.routes if "{" in p]
        self._error_members = error_members
        self._beside = tuple(beside)
        self._warm = tuple(warm)
        self.on_started: Callable[[], None] | None = None
        self.startup_failure: ParbakeError | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.app.engine.store.stamp()  # a store that cannot be used must stop the start
            async with self.app.serving(*(start() for start in self._beside), warm=self._warm):
                await send({"type": "lifespan.startup.complete"})
                if self.on_started is not None:
                    self.on_started()
                await receive()
        except ParbakeError as error:
            self.startup_failure = error
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await self.app.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _openapi(self, _: HttpRequest) -> Response:
        """This document."""
        return json_response(document([(method, path, handler.__doc__ or "") for method, path, handler in self.routes]))

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = _headers(scope["headers"])
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        request = HttpRequest(method, scope["path"], headers, b"", scope["query_string"].decode("latin-1"))
        is_head = scope["method"] == "HEAD"
        try:
            acks = await self.app.engine.tickets.read(headers[AFTER], field=AFTER) if AFTER in headers else NO_ACKS
        except ParbakeError as error:
            await _send(self._problem(request, error), send, head=is_head)
            return
        began = time.perf_counter()
        with carried(acks):  # until the last chunk is sent: a stream reads while it flows
            await _send(await self._answer(request, receive), send, head=is_head)
        if request.path not in UNCOUNTED:
            self.app.counters.requests.add(time.perf_counter() - began)

    async def _answer(self, request: HttpRequest, receive: Receive) -> Response:
        try:
            handler = self._find(request)
            request.body = await _read_body(request.headers, receive)
            return await handler(request)
        except ParbakeError as error:
            return self._problem(request, error)
        except Exception:  # noqa: BLE001 - a request that fails must not end the server
            _log.exception("%s %s failed", request.method, request.path)
            return self._problem(request, InternalError("an unexpected error; the server's log has the details"))

    def _problem(self, request: HttpRequest, error: ParbakeError) -> Response:
        members = self._error_members(request, error) if self._error_members else {}
        return problem(error, **members)

    def _find(self, request: HttpRequest) -> Handler:
        exact = self._exact.get((request.method, request.path))
        if exact is not None:
            return exact
        segments = request.path.strip("/").split("/")
        methods = {m for m, p in self._exact if p == request.path}
        for method, pattern, handler in self._patterns:
            parameters = _match(pattern, segments)
            if parameters is None:
                continue
            if method == request.method:
                request.parameters = parameters
                return handler
            methods.add(method)
        if methods:
            raise MethodNotAllowed(f"{request.path} answers {', '.join(sorted(methods))}", field="method")
        raise UnknownResource(f"nothing is served at {request.path[:200]}", field="path")


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    parameters: dict[str, str] = {}
    for expected, found in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            parameters[expected[1:-1]] = found
        elif expected != found:
            return None
    return parameters


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """By name; what is sent several times is one list (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _read_body(headers: Mapping[str, str], receive: Receive) -> bytes:
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()):
        raise BadInput("content-length is not a number", field="content-length")
    if int(declared) > MAX_BODY:
        raise too_large()
    body = b""
    while True:
        message = await receive()
        body += cast("bytes", message.get("body", b""))
        if len(body) > MAX_BODY:
            raise too_large()
        if not message.get("more_body"):
            return body


async def _send(response: Response, send: Send, *, head: bool) -> None:
    headers = [(b"content-type", response.content_type.encode())]
    headers += [(k.encode(), v.encode()) for k, v in response.headers]
    if response.stream is None:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.stream is not None and not head:
        async for chunk in response.stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if head or response.stream else response.body})
