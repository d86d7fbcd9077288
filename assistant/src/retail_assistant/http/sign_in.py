"""``/shop/session``, ``/shop/sign-in`` and ``/shop/sign-out``: shoppers prove who they are, once per 12 hours."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated
from urllib.parse import quote

import msgspec

import parbake as pb
from parbake.http import HttpRequest, JsonResponse, Route, client_of, json_response
from retail_assistant.http.identity import Identity, cookie
from retail_assistant.http.replies import SessionStarted, SignedIn
from retail_assistant.shop import accounts
from retail_assistant.shop.checks import identifier
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.errors import NotSignedIn, ShopBusy
from retail_assistant.shop.voices import is_named

AT_ONCE = 2
"""Passphrases that are hashed at the same time: each takes 50 ms of a core and 16 MB."""
MOST_WAITING, MOST_OF_ONE = 40, 10
"""Sign-ins that wait for their turn, of all clients and of one: a second's worth, and a quarter of one."""


class SignInBody(msgspec.Struct, forbid_unknown_fields=True):
    """A shopper's name and passphrase, or the ``session`` of a sign-in link."""

    shopper: Annotated[str, msgspec.Meta(max_length=64)] = ""
    passphrase: Annotated[str, msgspec.Meta(max_length=accounts.LONGEST)] = ""
    session: Annotated[str, msgspec.Meta(max_length=500)] = ""


class SessionBody(msgspec.Struct, forbid_unknown_fields=True):
    """A shopper who has arrived."""

    shopper: str


class SignInRoutes:
    """Signs shoppers in and out."""

    def __init__(self, app: pb.App, connections: PerThread, identity: Identity) -> None:
        """``connections`` read accounts, ``identity`` makes sessions."""
        self._app, self._connections, self._identity = app, connections, identity
        self._hashing, self._waiting = asyncio.Semaphore(AT_ONCE), Counter[str]()

    def routes(self) -> list[Route]:
        """The routes: for everybody, but only a key's holder can make a session for a shopper."""
        return [
            Route("GET", "/shop/session", self.who),
            Route("POST", "/shop/sign-in", self.sign_in),
            Route("POST", "/shop/sign-out", self.sign_out),
            Route("POST", "/shop/sessions", self.start_session, statuses=(202,)),
        ]

    async def who(self, request: HttpRequest) -> JsonResponse[SignedIn]:
        """Who is signed in, who vouches for shoppers here, and the accounts for trying the shop out."""
        own = self._identity.asking(request)
        tests = await self._connections.read(accounts.list_test_accounts) if self._identity.by == "accounts" else []
        return json_response(SignedIn(shopper=own if is_named(own) else None, by=self._identity.by, accounts=tests))

    async def sign_in(self, request: HttpRequest, *, body: SignInBody) -> JsonResponse[SignedIn]:
        """Start a session, or go on with one; it comes as a cookie and as the member ``session`` for programs."""
        by = self._identity.by
        if by == "header" or (by == "key" and not body.session):
            raise NotSignedIn("shoppers do not sign in here; the shop itself vouches for them", field="shopper")
        if body.session:  # nobody can try these out: they are signed
            self._identity.limits.act(request.client, "")
            found = self._identity.sessions.shopper_of(body.session)
            if found is None:
                raise NotSignedIn("this session is not valid any more: sign in with a passphrase", field="session")
            shopper = found
        else:
            shopper = await self._checked(request, identifier(body.shopper.strip(), "shopper"), body.passphrase)
        await self._app.touch(_arrival(shopper))
        session = body.session or self._identity.sessions.of(shopper)
        response = json_response(SignedIn(shopper=shopper, by=by, session=session))
        response.headers = (cookie(request, session), ("cache-control", "no-store"))
        return response

    async def _checked(self, request: HttpRequest, name: str, passphrase: str) -> str:
        """The shopper whose passphrase it is; only so many are hashed, and wait for it, at a time."""
        self._identity.limits.try_name(request.client, name)
        client = client_of(request.client)
        most = MOST_OF_ONE if self._identity.limits.tell_clients_apart else MOST_WAITING
        if self._waiting.total() >= MOST_WAITING or self._waiting[client] >= most:
            raise ShopBusy("too many sign in at the same time; try again")
        self._waiting[client] += 1
        try:
            async with self._hashing:
                return await self._connections.read(lambda conn: accounts.sign_in(conn, name, passphrase))
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    async def sign_out(self, request: HttpRequest) -> JsonResponse[SignedIn]:
        """End the browser's session."""
        response = json_response(SignedIn(shopper=None, by=self._identity.by))
        response.headers = (cookie(request, ""),)
        return response

    async def start_session(self, request: HttpRequest, *, body: SessionBody) -> JsonResponse[SessionStarted]:
        """Report that a shopper has arrived, so that recommendations are computed ahead if they are missing.

        A key's holder gets a session with which that shopper's browser or program may go on. A shopper gets none: a
        session must not prolong itself.
        """
        shopper = self._identity.acting(request, identifier(body.shopper, "shopper"))
        ack = await self._app.touch(_arrival(shopper))
        may_go_on = self._identity.acts(request) and self._identity.by != "header"
        session = self._identity.sessions.of(shopper) if may_go_on else None
        return json_response(SessionStarted(ack.stamp.sequence, session), 202)


def _arrival(shopper: str) -> str:
    return f"session/{quote(shopper, safe='')}"
