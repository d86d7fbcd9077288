"""The provider behind the proxy: requests go there as they came, with the caller's own credentials."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import quote, unquote

from parbake.errors import MissingDependency, ParbakeError, RequestError
from parbake.ports.messages import HttpRequest, Response
from parbake.values.redaction import without_credentials
from parbake_proxy.headers import returned, sendable, to_send

_CONNECT_S, _READ_S = 10.0, 600.0
_MOST_CONNECTIONS = 1_000
_AT_ONCE = 256 * 1024
_STATUSES = range(200, 600)
"""The statuses that end a request (RFC 9110, 15)."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MOST_KEPT = 16 * 1024 * 1024
"""The greatest answer that is held as a whole, in bytes; a greater one is passed on as it comes."""


class UpstreamFailed(ParbakeError):
    """The provider cannot be reached, or breaks off."""

    title = "The provider behind the proxy failed"
    status = HTTPStatus.BAD_GATEWAY


class UnsafePath(RequestError):
    """The path would mean another one to the provider than to the proxy."""

    title = "The path cannot be passed on"
    status = HTTPStatus.BAD_REQUEST


class Upstream:
    """Sends requests to a provider."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        """Know the provider; the connections are made when they are needed.

        Args:
            url: Its address, with or without ``/v1`` at the end.
            token: The operator token of the proxy, which is never sent.

        Raises:
            MissingDependency: The client is not installed.
        """
        try:
            import aiohttp
            from yarl import URL

            from parbake_proxy.connections import PrivateConnector, PrivateRequest
        except ModuleNotFoundError as error:
            raise MissingDependency.of("the proxy", "proxy", field="aiohttp") from error
        self.url, self._token = url.rstrip("/").removesuffix("/v1"), token
        self._library, self._address, self._connector = aiohttp, URL, PrivateConnector
        self._request_class = PrivateRequest
        self._session: Any = None

    async def send(self, request: HttpRequest, body: bytes) -> Answer:
        """Send a request, and return its answer as soon as that begins.

        Args:
            request: The request of the caller.
            body: What is sent as its body.

        Raises:
            UnsafePath: The path has dot segments or control characters.
            UpstreamFailed: The provider cannot be reached, or answers with a status that ends no request.
        """
        query = f"?{request.query}" if request.query else ""
        address = self._address(f"{self.url}{_path_of(request)}{query}", encoded=True)
        data = _Pieces(body) if len(body) > _AT_ONCE else body or None  # a large body goes out in pieces
        failures = (self._library.ClientError, TimeoutError)
        try:
            answer = await self._opened().request(
                request.method, address, headers=to_send(request, self._token), data=data, allow_redirects=False
            )
        except failures as error:
            raise _failed(self.url, error) from error
        if answer.status not in _STATUSES:
            answer.close()
            raise UpstreamFailed(
                f"the provider at {self.url} answers with the status {answer.status}, which ends no request",
                field="upstream",
            )
        return Answer(answer, failures, self.url)

    def _opened(self) -> Any:
        if self._session is None:
            library = self._library
            timeout = library.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S)
            connector = self._connector(limit=_MOST_CONNECTIONS)
            self._session = library.ClientSession(
                connector=connector,
                request_class=self._request_class,
                timeout=timeout,
                skip_auto_headers=("accept", "content-type", "user-agent"),
                trust_env=False,
                cookie_jar=library.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Pieces(BytesIO):
    """A large body, which the client library reads in pieces. It asks for the buffer, which would copy the whole."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._body = body

    def getbuffer(self) -> memoryview:
        return memoryview(self._body)


class Answer:
    """The beginning of a provider's answer."""

    def __init__(self, answer: Any, failures: tuple[type[Exception], ...], url: str) -> None:
        """Take over an answer.

        Args:
            answer: The answer of ``aiohttp``.
            failures: What reading it may raise.
            url: The provider's address, without the request's query, which may hold a key.
        """
        self._answer, self._failures, self._url = answer, failures, url
        self.status: int = answer.status
        kind = sendable(answer.headers.get("content-type", ""))
        self.content_type = kind or "application/octet-stream"
        self.headers = returned(answer.headers)
        self._begun: list[bytes] = []
        self._rest: AsyncGenerator[bytes, None] | None = None

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events."""
        return self.content_type.lower().startswith("text/event-stream")

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes of the body as they arrive; raises :class:`UpstreamFailed` if the provider breaks off."""
        try:
            async for chunk in self._answer.content.iter_any():
                yield chunk
        except self._failures as error:
            raise _failed(self._url, error) from error
        finally:
            self._answer.close() if not self._answer.content.at_eof() else self._answer.release()

    async def read(self) -> bytes | None:
        """The whole body; ``None`` if it is too long to be held: then :meth:`remainder` gives it."""
        self._rest, size = self.chunks(), 0
        async for chunk in self._rest:
            self._begun.append(chunk)
            size += len(chunk)
            if size > _MOST_KEPT:
                return None
        return b"".join(self._begun)

    async def remainder(self) -> AsyncIterator[bytes]:
        """The body from its beginning, of which :meth:`read` has held a part."""
        assert self._rest is not None  # noqa: S101  # read comes first
        try:
            while self._begun:
                yield self._begun.pop(0)
            async for chunk in self._rest:
                yield chunk
        finally:
            await self._rest.aclose()

    def response(self, headers: tuple[tuple[str, str], ...], **body: Any) -> Response:
        """The answer for the caller.

        Args:
            headers: Further headers.
            body: ``body`` or ``stream``.
        """
        return Response(status=self.status, content_type=self.content_type, headers=(*self.headers, *headers), **body)


def _path_of(request: HttpRequest) -> str:
    """The path as the client has sent it; raises :class:`UnsafePath`."""
    path = request.raw_path or quote(request.path)
    plain = unquote(path, "latin-1")
    if _CONTROL.search(plain):
        raise UnsafePath("the path has a control character; leave it out", field="path")
    if any(segment.partition(";")[0] in {".", ".."} for segment in re.split(r"[/\\]", plain)):
        raise UnsafePath("the path has a segment '.' or '..'; send the path that it leads to", field="path")
    return path


def _failed(url: str, error: Exception) -> UpstreamFailed:
    where = without_credentials(url)
    return UpstreamFailed(
        f"the provider at {where} does not answer ({type(error).__name__}); try again", field="upstream"
    )
