"""What the server itself refuses, before any handler has seen the request."""

from __future__ import annotations

from collections.abc import Iterable

from parbake.errors import BodyTooLarge, ParbakeError, RequestError

JSON_TYPES = ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json")
"""The types that a body may have."""


class InternalError(ParbakeError):
    """What a client hears of an error nobody foresaw: nothing that could leak."""


class Malformed(RequestError):
    """What came is not a request of HTTP/1.1 (RFC 9110, 15.5.1)."""

    status = 400
    title = "Malformed"


class UnknownHost(RequestError):
    """The request names a host that this server does not answer for (RFC 9110, 15.5.20)."""

    status = 421
    title = "Unknown host"


class CrossSiteWrite(RequestError):
    """A browser sent the request on behalf of a page of another site."""

    status = 403
    title = "Cross-site write"


class NotAuthorized(RequestError):
    """What was asked for is for operators, and the request does not show that it is one's (RFC 6750, 3)."""

    status = 401
    title = "Not authorized"
    headers = (("www-authenticate", 'Bearer realm="parbake"'),)


class UnsupportedType(RequestError):
    """The body is not JSON by its own account."""

    status = 415
    title = "Unsupported media type"
    headers = (("accept", ", ".join(JSON_TYPES)),)


class HeadersTooLarge(RequestError):
    """There are more headers, or longer ones, than anybody needs (RFC 6585, 5)."""

    status = 431
    title = "Headers too large"


class TooSlow(RequestError):
    """The request did not arrive in time (RFC 9110, 15.5.9)."""

    status = 408
    title = "Too slow"


class BodyNotRead(BodyTooLarge):
    """A body so large that its end is not waited for: the connection ends with the answer."""

    headers = (("connection", "close"),)


class MethodNotAllowed(RequestError):
    """The path exists, the method on it does not."""

    status = 405
    title = "Method not allowed"

    def __init__(self, path: str, methods: Iterable[str]) -> None:
        """``methods`` are those that the path answers."""
        known = set(methods) | ({"HEAD"} if "GET" in methods else set())
        allowed = ", ".join(sorted(known))
        super().__init__(f"{path} answers {allowed}", field="method")
        self.headers = (("allow", allowed),)


class ServerEnds(ParbakeError):
    """The server was told to end, and the time for what was under way is over; another one answers."""

    status = 503
    title = "Server ends"
    headers = (("retry-after", "1"),)


class ClientLeft(ParbakeError):
    """The client closed the connection before its request was complete; nobody reads the answer."""

    status = 499
    title = "Client left"
