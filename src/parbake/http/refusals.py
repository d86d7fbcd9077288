"""Errors that the server itself raises about a request or its own end, and which errors clients may see."""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Iterable

from parbake.errors import BodyTooLarge, ComputeFailed, DeadlineExceeded, ParbakeError, RequestError
from parbake.process.about import ABOUT
from parbake.values.redaction import one_line, without_secrets

_log = logging.getLogger("parbake.http")


class InternalError(ParbakeError):
    """The error that a client receives for an unforeseen error; it contains nothing that could leak."""


class Malformed(RequestError):
    """The request is not valid HTTP/1.1 (RFC 9110, 15.5.1)."""

    status = 400


class HeadersTooLarge(RequestError):
    """The headers are too many or too long (RFC 6585, 5)."""

    status = 431


class TooSlow(RequestError):
    """The request did not arrive in time (RFC 9110, 15.5.9)."""

    status = 408


class BodyNotRead(BodyTooLarge):
    """The body is too large to be read to its end; the connection is closed after the answer."""

    headers = (("connection", "close"),)


class MethodNotAllowed(RequestError):
    """The path exists, but not with this method."""

    status = 405

    def __init__(self, path: str, methods: Iterable[str]) -> None:
        """Create the error; ``methods`` are those that the path supports."""
        known = set(methods) | ({"HEAD"} if "GET" in methods else set())
        allowed = ", ".join(sorted(known))
        super().__init__(f"{path} answers {allowed}", field="method")
        self.headers = (("allow", allowed),)


class ServerEnds(ParbakeError):
    """The server is shutting down and the time for running requests is over; another server can answer."""

    status = 503
    headers = (("retry-after", "1"),)


class TooManyBodies(ParbakeError):
    """The server holds as many bytes of large bodies as it may at a time; nothing was done."""

    status = 503
    headers = (("retry-after", "1"),)


class ClientLeft(ParbakeError):
    """The client closed the connection before its request was complete."""

    status = 499


def error_for_client(error: Exception, *, during: str) -> ParbakeError:
    """Return the error that a client may see instead of the original one.

    parbake's own errors say what to do and are sent unchanged. An error that a task or a handler raised may contain
    anything, such as an address with a password. The client then receives a number, and the log contains the masked
    error text under that number.

    Args:
        error: What was raised.
        during: What failed, for the log: a method and the path of a route, without what a client has put into it.
    """
    if isinstance(error, ParbakeError) and not isinstance(error, ComputeFailed):
        return error
    if isinstance(error, TimeoutError):  # a handler's own limit, such as asyncio.timeout
        return DeadlineExceeded("the time that this route gives itself has passed")
    about = ABOUT.get()
    number = secrets.token_hex(8) if about is None else about.request
    frames = without_secrets("".join(traceback.format_tb((error.__cause__ or error).__traceback__)), of_errors=True)
    _log.error("request %s: %s failed: %s\n%s", number, during, one_line(error), frames)
    why = f"the server's log has why, under request {number}"
    if isinstance(error, ComputeFailed):
        return ComputeFailed(f"{error.field}: its computation failed; {why}", field=error.field)
    return InternalError(f"an unexpected error; {why}")
