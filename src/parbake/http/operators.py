"""Who may write, and see what only operators should see, and how much they may write.

Programs send the operator token (RFC 6750, bearer tokens). A browser sends it once and gets a session: a cookie that
says until when it holds, signed with the token (HMAC, RFC 2104). Every process that knows the token accepts it, nothing
is stored, and another token ends all sessions.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Mapping

from parbake.errors import BadInput
from parbake.http.refusals import NotAuthorized, TooManyNewTags
from parbake.ports.clock import Clock
from parbake.process.buckets import Buckets

TOKEN, TOKEN_FILE = "PARBAKE_TOKEN", "PARBAKE_TOKEN_FILE"
_MINUTE_S = 60
NEW_TAGS = 2_000
"""The new tags of a minute, unless an application says otherwise."""
SESSION, SESSION_S = "parbake-session", 12 * 3600
LEAST = 16
"""Least length of a token in characters; a shorter one can be guessed."""
_LONGEST_TIME = 20
"""Greatest number of digits of a time that is read."""


class Operators:
    """Recognises operators by the token that they send.

    Without a token, every client on this machine is an operator.
    """

    def __init__(self, token: str | None = None, now: Callable[[], float] = time.time) -> None:
        """Store the token's hash; raises :class:`BadInput` for a token that cannot be sent or can be guessed."""
        self._now = now
        if token is not None and (len(token) < LEAST or not token.isascii() or not token.isprintable() or " " in token):
            raise BadInput(
                f"the operator token ({TOKEN}, or the file that {TOKEN_FILE} names) must have at least {LEAST} "
                "letters, digits or signs, without spaces",
                field=TOKEN,
            )
        self._digest = None if token is None else _digest(token)

    @property
    def are_known(self) -> bool:
        """Whether a token is set."""
        return self._digest is not None

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request carries the operator token; ``False`` if no token is set."""
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(sent.strip())

    def may(self, headers: Mapping[str, str]) -> bool:
        """Whether a request may use the routes of operators: by the token, by a session, or because none is set."""
        return not self.are_known or self.knows(headers) or self._is_session(_session_in(headers))

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise :class:`NotAuthorized` for a request that may not use the routes of operators."""
        if not self.may(headers):
            raise NotAuthorized(
                "only operators may do this: send authorization: Bearer with the operator token", field="authorization"
            )

    def sign_in(self, token: str) -> str:
        """Begin a session of :data:`SESSION_S` seconds; returns the value of its cookie.

        Raises:
            NotAuthorized: It is not the operator token.
        """
        if not self._is_token(token):
            raise NotAuthorized("this is not the operator token", field="token")
        return self._signed(int(self._now()) + SESSION_S)

    def _is_token(self, sent: str) -> bool:
        return self._digest is not None and hmac.compare_digest(_digest(sent), self._digest)

    def _is_session(self, value: str) -> bool:
        until = value.partition(".")[0]
        if self._digest is None or not (until.isdecimal() and len(until) < _LONGEST_TIME):
            return False
        return hmac.compare_digest(self._signed(int(until)).encode(), value.encode()) and self._now() < int(until)

    def _signed(self, until: int) -> str:
        """The value of the cookie of a session that ends at ``until``, in epoch seconds."""
        signed = hmac.digest(self._digest or b"", b"%s %d" % (SESSION.encode(), until), "sha256")
        return f"{until}.{signed.hex()}"


class TagQuota:
    """How many tags that were never raised the events of operators may bring in a minute.

    Each new tag takes room in the store for good. A bulk of real ones passes after a while, and a stream of invented
    ones does not fill the disk.
    """

    def __init__(self, a_minute: int, clock: Clock) -> None:
        """Start with the whole quota; raises :class:`BadInput` for a limit that is not a whole number above 0."""
        if not isinstance(a_minute, int) or isinstance(a_minute, bool) or a_minute < 1:
            raise BadInput(f"new_tags={a_minute!r}: expected a whole number of at least 1", field="new_tags")
        self._limit = a_minute
        self._bucket = Buckets(a_minute / _MINUTE_S, a_minute, clock.now)

    def take(self, count: int) -> None:
        """Use some of the quota; raises :class:`TooManyNewTags` if too little is left."""
        if wait_s := self._bucket.wait_s(count=count):
            raise TooManyNewTags(self._limit, math.ceil(wait_s))


def _session_in(headers: Mapping[str, str]) -> str:
    """The value of a session's cookie among those that a browser has sent (RFC 6265); empty without one."""
    found = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
    return next((value for name, _, value in found if name == SESSION), "")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
