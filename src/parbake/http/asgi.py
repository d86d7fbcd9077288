"""The ASGI application: routing, body limit, errors as problem documents, and lifespan."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from parbake.app.plugin import Plugin
from parbake.errors import DeclarationError, ParbakeError
from parbake.http import routes
from parbake.http.access.admission import Admission, check_type
from parbake.http.access.callers import OPEN, SESSION, TOKEN, Callers, check
from parbake.http.access.key_file import KEYS_FILE
from parbake.http.access.key_watch import KeyWatch
from parbake.http.access.session_secrets import read_secret
from parbake.http.access.tag_quota import NEW_TAGS, TagQuota
from parbake.http.leaving import Leaving, Rounds
from parbake.http.openapi import document
from parbake.http.overload import Intake, Overloaded
from parbake.http.reading import (
    MAX_HEAD,
    HeldBody,
    LargeBodies,
    Message,
    Receive,
    headers_of,
    headers_too_large,
    read_body,
)
from parbake.http.refusals import ServerEnds, error_for_client
from parbake.http.routing import Router
from parbake.http.waiting_line import Arrival, client_of
from parbake.ports.messages import (
    AFTER,
    ARRIVED,
    PROTECTION,
    WHOLE,
    Caller,
    Handler,
    HttpRequest,
    Response,
    Route,
    json_response,
    problem,
)
from parbake.ports.observers import begun, tell
from parbake.process.about import ABOUT, About
from parbake.process.actions import ACTOR
from parbake.process.buckets import Buckets
from parbake.process.counters import NO_ROUTE
from parbake.serving.request import Patience, Scope, current
from parbake.values.secret_settings import secret_of

if TYPE_CHECKING:
    from parbake.app.application import App

ErrorMembers = Callable[[HttpRequest, ParbakeError], dict[str, Any]]
Send = Callable[[Message], Awaitable[None]]
_REQUEST_ID = "x-request-id"
"""The header with the id of a request, in requests and in answers."""
_ALIVE, _METRICS = "/healthz", "/metrics"
_PROBES_A_SECOND, _MOST_PROBES = 20.0, 100.0
"""How many probes of ``/healthz`` each client may send outside of admission: a second, and at once."""
_UNCOUNTED = frozenset({_ALIVE, "/readyz", _METRICS})
"""Probes and scrapes are not measured: their durations say nothing about how long users wait."""
COUNTED = "parbake.counted"
"""The key of an ASGI scope under which a middleware of ours learns who counts the request: this list is not empty."""
_log = logging.getLogger("parbake.http")
_NOTHING = contextlib.nullcontext()
AwaitBody = Callable[[Awaitable[bytes]], Awaitable[bytes]]
_UNSENDABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def _routes_of(plugin: Plugin[Any], app: App) -> list[Route]:
    """The routes of a plugin; raises :class:`DeclarationError` that names the plugin for anything else."""
    found = plugin.routes(app)
    routes = [one if isinstance(one, Route) else None for one in found] if isinstance(found, list | tuple) else [None]
    if None in routes:
        name = type(plugin).__name__
        raise DeclarationError(f"{name}.routes returned {found!r}; expected a list of Route(...)", field="plugins")
    return [route for route in routes if route is not None]


class HttpApp:
    """Serves an app's API and additional routes. ``GET`` routes also answer ``HEAD``."""

    def __init__(
        self,
        app: App,
        extra: Iterable[Route | tuple[str, str, Handler]] = (),
        *,
        error_members: ErrorMembers | None = None,
        beside: Sequence[Callable[[], Awaitable[None]]] = (),
        warm: Sequence[Callable[[], Awaitable[None]]] = (),
        hosts: Sequence[str] = (),
        token: str | None = None,
        new_tags: int = NEW_TAGS,
    ) -> None:
        """Create the application.

        Args:
            app: The app to serve.
            extra: Additional routes, or tuples of (method, path, handler). A path may contain ``{name}`` segments.
            error_members: Adds members to problem documents.
            beside: Run as long as the server runs.
            warm: Called at the start; the server is ready after they return.
            hosts: Names under which clients reach the server, besides loopback's. Requests for other hosts are
                rejected.
            token: The operator token; by default ``PARBAKE_TOKEN`` or the content of the file ``PARBAKE_TOKEN_FILE``.
            new_tags: How many tags that were never raised before events over HTTP may bring in a minute, to this
                process. Events with more are answered with 429.

        Raises:
            BadInput: A host, the token or the limit is not valid.
        """
        self.app = app
        self.admission = Admission(hosts)
        secret = secret_of(os.environ, TOKEN) if token is None else token
        self.callers = Callers(
            secret,
            os.environ.get(KEYS_FILE, ""),
            now=app.settings.clock.now,
            session_secret=partial(read_secret, os.environ),
        )
        added = [route for plugin in app.settings.plugins for route in _routes_of(plugin, app)]
        own = [
            *routes.for_app(app, TagQuota(new_tags, app.settings.clock), self.callers),
            *added,
            Route("GET", "/v1/openapi.json", self._openapi),
        ]
        self._own, self._extra = own, [r if isinstance(r, Route) else Route(*r) for r in extra]
        self._router = Router([*self._own, *self._extra])
        self._documents: dict[str, bytes] = {}
        self._error_members = error_members
        self._beside = tuple(beside)
        self.warm = tuple(warm)
        self._intake, self._rounds = Intake(app.counters), Rounds()
        self._bodies = LargeBodies()
        self._probes = Buckets(_PROBES_A_SECOND, _MOST_PROBES)
        self._has_lifespan = False
        self.most_requests: int | None = None
        """Requests of one connection, after which it ends; ``None`` for any number."""
        self.on_started: Callable[[], None] | None = None
        self.startup_failure: ParbakeError | None = None

    def reserve(self, *paths: str) -> None:
        """Let only operators use routes of parbake's own, such as ``/v1/serve/{task}`` where values belong to users.

        Raises:
            DeclarationError: A path is none of parbake's.
        """
        if unknown := set(paths) - {route.path for route in self._own}:
            raise DeclarationError(f"there is no route {min(unknown)!r} to reserve", field="paths")
        self._own = [route._replace(access="operate") if route.path in paths else route for route in self._own]
        self._router = Router([*self._own, *self._extra])

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                if self.on_started is not None:
                    self.on_started()
                await receive()
        except ParbakeError as error:
            self.startup_failure = error
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    @contextlib.asynccontextmanager
    async def lifespan(self, _: object = None) -> AsyncIterator[None]:
        """Open the app and poll its sources inside the context; close it at the end.

        A server does this itself. An application that mounts this one must do it in its own lifespan, because servers
        call only the outermost lifespan: ``FastAPI(lifespan=served.lifespan)``.

        Raises:
            ParbakeError: The app cannot be opened, for example because a setting of the store is invalid. A store that
                does not answer aborts no start.
        """
        self._has_lifespan = True
        try:
            self.callers.load_session_secret()
            beside = [*self._beside, *([KeyWatch(self.app, self.callers).run] if self.callers.are_known else [])]
            async with self.app.serving(*(start() for start in beside), warm=self.warm):
                yield
        finally:
            await self.app.close()

    async def _openapi(self, request: HttpRequest) -> Response:
        """This document."""
        made = self._documents.get(request.root)
        if made is None:  # cached: it never changes, and takes some milliseconds
            made = json_response(document(self._router.endpoints, root=request.root)).body
            self._documents = {request.root: made}
        return Response(made)

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        if not self._has_lifespan:
            self._warn_of_no_lifespan()
        if COUNTED in scope:
            scope[COUNTED].append(True)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        path = scope["path"]
        if root := scope.get("root_path", ""):  # mounted in another application under its path
            path = path.removeprefix(root) or "/"
        since = began = time.perf_counter()
        client = client_of(_address(scope))
        if self._is_outside(path, scope, client):
            await self._handle(method, path, scope, receive, send, since=since)
            return
        arrived = scope.get(ARRIVED, began)
        arrival = Arrival(arrived, client, _leaving(scope, send))
        if not self._intake.lets_in(arrival, began):
            try:
                if not await self._intake.enter(arrival):
                    return
            except Overloaded as error:
                await send_response(error.response, scope, send)
                return
            began = time.perf_counter()
        self.app.counters.waits.add(began - arrived)
        slowly = None if _has_arrived(scope, send) else partial(self._intake.await_body, arrival)
        try:
            await self._handle(method, path, scope, receive, send, since=since, slowly=slowly)
        finally:
            self._intake.leave(arrival, time.perf_counter() - began)

    def turned_away(self, scope: Message) -> Response | None:
        """Return the answer to a request that would have to wait without a chance; ``None`` if it has to be called.

        A server asks this before it makes a task for the request, which would cost more than the answer.
        """
        if not self._intake.is_full or scope["method"] == "HEAD" or scope["path"] == _ALIVE:
            return None
        if self._intake.has_a_chance(client_of(_address(scope))) or self._is_privileged(scope["path"], scope):
            return None
        return self._intake.turned_away(time.perf_counter()).response

    def _is_outside(self, path: str, scope: Message, client: str) -> bool:
        """Whether a request does not wait for a turn. This is the whole list; `deploy.md` has it with its costs."""
        if path == _ALIVE and not self._probes.wait_s(client):
            return True
        return self._is_privileged(path, scope)

    def _is_privileged(self, path: str, scope: Message) -> bool:
        """Whether a request is an operator's, who may be about to end an overload, or a scrape with a key."""
        if not self.callers.are_known or not any(map(_identifies, scope["headers"])):
            return False
        try:
            caller = self.callers.of(headers_of(scope["headers"]))
        except ParbakeError:
            return False
        return caller.may("operate") or (path == _METRICS and caller.may("metrics"))

    async def _handle(
        self,
        method: str,
        path: str,
        scope: Message,
        receive: Receive,
        send: Send,
        *,
        since: float,
        slowly: AwaitBody | None = None,
    ) -> None:
        """Answer a request; ``slowly`` awaits a body that has not arrived yet."""
        ABOUT.set(about := About())  # each request has a context of its own, or is followed by one that sets it again
        root = scope.get("root_path", "")
        query = scope["query_string"].decode("latin-1")
        request = HttpRequest(method, path, {}, b"", query, root=root, client=_address(scope))
        request.raw_path = (scope.get("raw_path") or b"").decode("latin-1").removeprefix(root)
        try:
            if len(path) + len(request.query) > MAX_HEAD:  # our own server counts both before; others do not
                raise headers_too_large()
            request.headers = headers = headers_of(scope["headers"])
            about.given = headers.get(_REQUEST_ID, "")
            self.admission.check(request.method, request.path, headers)
        except ParbakeError as error:
            self.app.counters.responses[NO_ROUTE, error.status // 100] += 1
            await send_response(self._problem(request, error), scope, send)
            return
        leaving, status = Leaving(receive, self._rounds), 0
        hears = self.app.engine.on.request if request.path not in _UNCOUNTED else ()
        ends = begun(hears, request) if hears else ()
        try:
            with Scope() if AFTER in headers else _NOTHING:  # until the last chunk: a stream reads while it is sent
                with Patience(self.app.settings.endpoint_timeout_s):
                    response = await self._answer(request, receive, leaving, slowly)
                await send_response(response, scope, send)
                status = response.status
        except asyncio.CancelledError:
            if leaving.has_left and not _is_cancelled_again():
                return
            if not await self._is_told_of_end(request, scope, send):
                raise
        finally:
            leaving.end()
            if ends:
                tell(ends, status)
        if request.path not in _UNCOUNTED:
            self.app.counters.requests.add(time.perf_counter() - since)

    async def _is_told_of_end(self, request: HttpRequest, scope: Message, send: Send) -> bool:
        """Answer a request that parbake's own server cancelled at its shutdown; ``False`` under any other server."""
        is_ours = WHOLE in scope.get("extensions", {})
        if is_ours:
            error = ServerEnds("the server ends before this request is answered; send it again", field="server")
            await send_response(self._problem(request, error), scope, send)
        return is_ours

    def _warn_of_no_lifespan(self) -> None:
        self._has_lifespan = True
        if self.app.settings.sources:
            _log.warning("the lifespan was not started, so this app's sources are not polled; see HttpApp.lifespan")

    async def _answer(
        self, request: HttpRequest, receive: Receive, leaving: Leaving, slowly: AwaitBody | None
    ) -> Response:
        route, held = NO_ROUTE, HeldBody(self._bodies, client_of(request.client))
        try:
            endpoint = self._router.find(request)
            request.route = route = endpoint.route.path
            if not endpoint.route.accepts_any_type:
                check_type(request.method, request.headers)
            access = endpoint.route.access
            request.caller = caller = (
                self.callers.of(request.headers) if self.callers.are_known else self.callers.anybody
            )
            if access != "anybody" and access not in caller.scopes:
                check(caller, access)
            body = read_body(request.headers, receive, held, endpoint.route.max_body)
            request.body = await (body if slowly is None else slowly(body))
            leaving.look()
            if AFTER in request.headers and not endpoint.route.awaits_tickets:
                await self._await_tickets(request)
            if access in OPEN and not caller.name:  # nobody in particular does nothing there that would be recorded
                response = await endpoint.answer(request)
            else:
                response = await _acting(caller, endpoint.answer(request))
            # Check that it can be sent, while an error can still be sent instead.
            _lines(response.content_type, response.headers)
        except Exception as error:  # noqa: BLE001 - a request that fails must not end the server
            response = self._problem(request, error_for_client(error, during=f"{request.method} {route}"))
        finally:
            held.let_go()
        if route not in _UNCOUNTED:
            self.app.counters.responses[route, response.status // 100] += 1
        return response

    async def _await_tickets(self, request: HttpRequest) -> None:
        """Let what the request reads be from after its tickets, as far as the time that an endpoint has for a read."""
        scope = current()
        if scope is not None:
            await self.app.engine.tickets.carry(scope, [request.headers[AFTER]], field=AFTER)

    def _problem(self, request: HttpRequest, error: ParbakeError) -> Response:
        members = self._error_members(request, error) if self._error_members else {}
        return problem(error, **members)


async def _acting(caller: Caller, answer: Awaitable[Response]) -> Response:
    """Await an answer while what is done counts as done by whoever has sent the request."""
    before = ACTOR.set(caller.name or "anybody")
    try:
        return await answer
    finally:
        ACTOR.reset(before)


def _address(scope: Message) -> str:
    """The address that a request comes from; empty if the server does not say."""
    found: str = (scope.get("client") or ("",))[0]
    return found


def _identifies(header: tuple[bytes, bytes]) -> bool:
    """Whether a header may carry the operator token, a key or a session."""
    name, value = header
    return name == b"authorization" or (name == b"cookie" and SESSION.encode() in value)


def _leaving(scope: Message, send: Send) -> Callable[[], bool]:
    """Return what tells whether the client has closed the connection; other servers cannot tell."""
    whole = scope.get("extensions", {}).get(WHOLE)
    return _stays if whole is None else partial(whole["has_left"], send)


def _has_arrived(scope: Message, send: Send) -> bool:
    """Whether the whole body of a request is here; other servers cannot tell."""
    whole = scope.get("extensions", {}).get(WHOLE)
    return whole is None or whole["has_arrived"](send)


def _stays() -> bool:
    return False


def _is_cancelled_again() -> bool:
    """Undo one cancellation, and return whether there was another, which is not caused by the client."""
    task = asyncio.current_task()
    return task is not None and task.uncancel() > 0


async def send_response(response: Response, scope: Message, send: Send) -> None:
    """Send an answer, in one piece if the server can.

    Args:
        response: The answer.
        scope: The request's scope.
        send: The ``send`` of ASGI.
    """
    is_head = scope["method"] == "HEAD"
    whole = scope.get("extensions", {}).get(WHOLE)
    body = b"" if is_head else response.body
    if (
        whole is not None
        and response.stream is None
        and await whole["send"](send, response.status, head_of(response) + _id_line(response), body)
    ):
        return
    headers = [*_headers(response.content_type, response.headers)]
    if line := _id_line(response):
        headers.append((_REQUEST_ID.encode(), line[len(_REQUEST_ID) + 2 : -2]))
    if response.stream is None:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.stream is not None and not is_head:
        try:
            async for chunk in response.stream:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        finally:  # in the task that started it, even if the client has disconnected
            if isinstance(response.stream, AsyncGenerator):
                await response.stream.aclose()
    await send({"type": "http.response.body", "body": b"" if response.stream else body})


def head_of(response: Response) -> bytes:
    """The lines of the headers of an answer in one part; raises :class:`ValueError` for a line break in one."""
    return _lines(response.content_type, response.headers) + b"content-length: %d\r\n" % len(response.body)


def _id_line(response: Response) -> bytes:
    """The line of the header with the request's id; empty if it leads nowhere, or if the answer names one itself."""
    about = ABOUT.get()
    # An id that nobody has named, and that no line and no span has, would lead nowhere.
    if about is None or not (about.is_named or response.status >= HTTPStatus.BAD_REQUEST):
        return b""
    if response.headers and any(name.lower() == _REQUEST_ID for name, _ in response.headers):
        return b""
    return b"x-request-id: " + about.request.encode() + b"\r\n"


@lru_cache(256)
def _headers(content_type: str, own: tuple[tuple[str, str], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """A response's headers and the protective ones; the response's own come first."""
    lowered = [(name.lower(), value) for name, value in own]
    given = {name for name, _ in lowered}
    named = [("content-type", content_type), *lowered, *(pair for pair in PROTECTION if pair[0] not in given)]
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in named)


@lru_cache(256)
def _lines(content_type: str, own: tuple[tuple[str, str], ...]) -> bytes:
    """The headers as sent; raises :class:`ValueError` for a name or value that contains a line break."""
    pairs = _headers(content_type, own)
    if any(_UNSENDABLE.search(text) for pair in pairs for text in pair):
        raise ValueError("a header must not contain a control character")
    return b"".join(b"%s: %s\r\n" % pair for pair in pairs)
