"""The operator token: who may write, and see what only operators should see (RFC 6750, bearer tokens)."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from parbake.errors import BadInput
from parbake.http.refusals import NotAuthorized

TOKEN, TOKEN_FILE = "PARBAKE_TOKEN", "PARBAKE_TOKEN_FILE"
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


def token_of_environment(environment: Mapping[str, str] = os.environ) -> str | None:
    """The operator token from ``PARBAKE_TOKEN`` or the file that ``PARBAKE_TOKEN_FILE`` names.

    ``None`` if neither is set. Raises :class:`BadInput` if both are set or the file cannot be read.
    """
    token, place = environment.get(TOKEN), environment.get(TOKEN_FILE)
    if token is not None and place is not None:
        raise BadInput(f"{TOKEN} and {TOKEN_FILE} are both set; remove one of them", field=TOKEN)
    if place is None:
        return token
    try:
        return Path(place).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{TOKEN_FILE}={place}: cannot be read ({error})", field=TOKEN_FILE) from error


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
