"""Who may write, and see what only operators should see (RFC 6750, bearer tokens), and how much they may write."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping

from parbake.errors import BadInput
from parbake.http.refusals import NotAuthorized, TooManyNewTags
from parbake.ports.clock import Clock
from parbake.process.buckets import Buckets

TOKEN, TOKEN_FILE = "PARBAKE_TOKEN", "PARBAKE_TOKEN_FILE"
_MINUTE_S = 60
NEW_TAGS = 2_000
"""The new tags of a minute, unless an application says otherwise."""
LEAST = 16
"""Least length of a token in characters; a shorter one can be guessed."""


class Operators:
    """Recognises operators by the token that they send.

    Without a token, every client on this machine is an operator.
    """

    def __init__(self, token: str | None = None) -> None:
        """Store the token's hash; raises :class:`BadInput` for a token that cannot be sent or can be guessed."""
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
        if "authorization" not in headers:
            return False
        scheme, _, sent = headers["authorization"].partition(" ")
        is_sent = self._digest is not None and scheme.lower() == "bearer"
        return is_sent and hmac.compare_digest(_digest(sent.strip()), self._digest or b"")

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise :class:`NotAuthorized` if a token is set and the request does not carry it."""
        if self.are_known and not self.knows(headers):
            raise NotAuthorized(
                "only operators may do this: send authorization: Bearer with the operator token", field="authorization"
            )


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


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
