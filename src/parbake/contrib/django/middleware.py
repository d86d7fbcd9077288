"""The middleware by which a client sees its own changes, whichever process answers its next request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core import signing

from parbake.contrib.django import asking, project, runtime, transactions
from parbake.contrib.django.entries import UNAVAILABLE, Entries
from parbake.errors import ParbakeError

_log = logging.getLogger("parbake.django")
NAME = "parbake-after"
"""The header, and the cookie."""
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
_WAIT = "5s"
_LASTS_S = 60
_signer = signing.TimestampSigner(salt=NAME)


class FencedRequests:
    """Lets the response to an unsafe request wait until what the request has changed is acknowledged.

    The response carries a signed ticket in a header and a cookie. A later request with the ticket waits, too, which
    matters if the first wait has failed, or if each process has a store of its own. Unsafe requests, and those whose
    ticket cannot be waited for, compute what has tags.

    Put it before everything that opens a transaction or uses the cache.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        """Wrap the rest of the request's handling."""
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Handle a request; returns a coroutine if the rest is asynchronous."""
        if self._is_async:
            return self._handled(request)
        asking.begin(_opened(request))
        try:
            return _closed(request, self._get_response(request))
        finally:
            asking.begin(asking.Asked())

    async def _handled(self, request: Any) -> Any:
        asking.begin(await sync_to_async(_opened)(request))
        try:
            response: Awaitable[Any] = self._get_response(request)
            return await sync_to_async(_closed)(request, await response)
        finally:
            asking.begin(asking.Asked())


def _opened(request: Any) -> asking.Asked:
    """Wait for the client's ticket, and take the stamp of what the request will compute.

    A view may read its rows long before a template asks the cache, so that the stamp of the miss would be too new. An
    unsafe request uses no fenced entries, so that it sees its own changes before they are acknowledged.
    """
    text = _ticket_of(request)
    is_seen = not text or _waited(text)
    early = None if any(map(transactions.is_open, project.aliases())) else _stamp()
    return asking.Asked(is_handled=True, early=early, is_blind=not is_seen or request.method not in _SAFE)


def _stamp() -> Any:
    if runtime.breaker.is_open():
        return None
    try:
        found = Entries("").stamp()
    except UNAVAILABLE as error:
        runtime.breaker.failed()
        _log.debug("a request begins without the store: %s", error)
        return None
    runtime.breaker.worked()
    return found


def _closed(request: Any, response: Any) -> Any:
    """Wait for what an unsafe request has changed, and tell the client of it."""
    if request.method in _SAFE:
        return response
    ticket = transactions.ticket(project.aliases())
    if ticket:
        if not _waited(ticket):
            route = getattr(request.resolver_match, "route", "")  # the path itself may name a person
            _log.warning("the changes of %s %s are not acknowledged yet", request.method, route)
        signed = _signer.sign(ticket)
        response[NAME] = signed
        response.set_cookie(NAME, signed, max_age=_LASTS_S, httponly=True, samesite="Lax", secure=request.is_secure())
    return response


def _ticket_of(request: Any) -> str:
    """Return the ticket that a client has sent; empty without one that this project has signed lately."""
    signed = request.headers.get(NAME) or request.COOKIES.get(NAME, "")
    try:
        return str(_signer.unsign(signed, max_age=_LASTS_S)) if signed else ""
    except signing.BadSignature:
        return ""


def _waited(ticket: str) -> bool:
    """Wait until the transactions of a ticket are acknowledged; returns whether they are."""
    if runtime.breaker.is_open():
        return False
    try:
        with runtime.app().sync.request(_WAIT, after=ticket):
            pass
    except ParbakeError as error:
        if isinstance(error, UNAVAILABLE):
            runtime.breaker.failed()
        _log.debug("a change could not be waited for: %s", error)
        return False
    runtime.breaker.worked()
    return True
