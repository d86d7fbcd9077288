"""The operator token: who may write and see what only operators should (RFC 6750, bearer tokens)."""

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
"""Characters of a token; fewer can be guessed."""


class Operators:
    """Tells operators from others by the token they send. Without a token everybody on this machine is one."""

    def __init__(self, token: str | None = None) -> None:
        """Keep the token's hash; raises :class:`BadInput` for one that cannot be sent or can be guessed."""
        if token is not None and (len(token) < LEAST or not token.isascii() or not token.isprintable() or " " in token):
            raise BadInput(
                f"the operator token ({TOKEN}, or the file that {TOKEN_FILE} names) needs at least {LEAST} letters, "
                "digits or signs, without spaces",
                field=TOKEN,
            )
        self._digest = None if token is None else _digest(token)

    @property
    def are_known(self) -> bool:
        """Whether a token tells operators from others."""
        return self._digest is not None

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request shows that it is an operator's; while there is no token, none does."""
        if "authorization" not in headers:
            return False
        scheme, _, sent = headers["authorization"].partition(" ")
        is_sent = self._digest is not None and scheme.lower() == "bearer"
        return is_sent and hmac.compare_digest(_digest(sent.strip()), self._digest or b"")

    def check(self, headers: Mapping[str, str]) -> None:
        """Let an operator pass; raises :class:`NotAuthorized` for others, where a token tells them apart."""
        if self.are_known and not self.knows(headers):
            raise NotAuthorized(
                "only operators may do this: send authorization: Bearer with the operator token", field="authorization"
            )


def token_of_environment(environment: Mapping[str, str] = os.environ) -> str | None:
    """The operator token of ``PARBAKE_TOKEN``, or of the file that ``PARBAKE_TOKEN_FILE`` names; ``None`` without.

    Raises :class:`BadInput` for both at once, and for a file that cannot be read.
    """
    token, place = environment.get(TOKEN), environment.get(TOKEN_FILE)
    if token is not None and place is not None:
        raise BadInput(f"{TOKEN} and {TOKEN_FILE} are both set: keep one", field=TOKEN)
    if place is None:
        return token
    try:
        return Path(place).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{TOKEN_FILE}={place}: cannot be read ({error})", field=TOKEN_FILE) from error


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
