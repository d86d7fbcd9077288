"""Who sends a request, and what that allows.

Programs send the operator token, which may do everything, or an API key with scopes (RFC 6750, bearer tokens). A
browser sends either once and gets a session: a cookie that names the key and says until when it holds, signed (HMAC,
RFC 2104) with a secret that all servers of an app share. Every process that knows the secret and the key accepts it,
and nothing is stored. The key's hash is a part of what is signed, so that a key that is revoked, and a token that is
replaced, end their sessions; the hash alone signs nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path

from parbake.errors import BadInput
from parbake.http.access.denials import MissingScope, NotAuthorized
from parbake.http.access.key_file import KEYS_FILE, SCOPES, KeyFile
from parbake.ports.messages import NOBODY, Caller

TOKEN, TOKEN_FILE = "PARBAKE_TOKEN", "PARBAKE_TOKEN_FILE"
SESSION, SESSION_S = "parbake-session", 12 * 3600
LEAST = 16
"""Least length of a token in characters; a shorter one can be guessed."""
_LONGEST_TIME = 20
"""Greatest number of digits of a time that is read."""
_CLOCKS_S = 60.0
"""How far the clocks of two servers may be apart, in seconds."""
_SECRET_BYTES = 32
OPEN: frozenset[str] = frozenset({"serve", "feedback"})
"""What everybody may do, unless keys are required."""
_IN_BROWSER: frozenset[str] = frozenset(SCOPES) - {"act_as"}
"""What a session may do at most: whoever has signed in does not act for others."""
_OF_TOKEN = "token"  # noqa: S105  # the name of the token's sessions


class Callers:
    """Recognises who sends a request.

    Without a token and without keys, every client on this machine may do everything but act for others.
    """

    def __init__(
        self,
        token: str | None = None,
        keys: str = "",
        *,
        now: Callable[[], float] = time.time,
        session_secret: Callable[[], bytes] | None = None,
    ) -> None:
        """Store the token's hash, and read the keys.

        Args:
            token: The operator token.
            keys: The path of the file with the keys.
            now: Returns the current time, in epoch seconds.
            session_secret: Returns what signs sessions; by default a secret of this object alone.

        Raises:
            BadInput: The token cannot be sent or can be guessed, or the keys cannot be read.
        """
        self._now = now
        if token is not None and (len(token) < LEAST or not token.isascii() or not token.isprintable() or " " in token):
            raise BadInput(
                f"the operator token ({TOKEN}, or the file that {TOKEN_FILE} names) must have at least {LEAST} "
                "letters, digits or signs, without spaces",
                field=TOKEN,
            )
        self._digest = None if token is None else _digest(token)
        self._keys = KeyFile(Path(keys), now) if keys else None
        if self._keys is not None:
            self._keys.read()
        self.are_known = self._digest is not None or self._keys is not None
        """Whether a token or a file of keys is set."""
        self.anybody = Caller("", OPEN if self.are_known else _IN_BROWSER)
        """Who has no key, and what that allows."""
        self._read_secret = session_secret or partial(secrets.token_bytes, _SECRET_BYTES)

    @cached_property
    def _secret(self) -> bytes:
        return self._read_secret()

    def load_session_secret(self) -> None:
        """Read what signs sessions, if there can be any; raises :class:`BadInput` if it cannot be used."""
        if self.are_known:
            _ = self._secret

    def trouble(self) -> str:
        """What is wrong with the keys of this server, as one sentence; empty if nothing is."""
        return self._keys.trouble() if self._keys else ""

    def require_keys(self) -> None:
        """Open nothing to who has no key, also no values; raises :class:`BadInput` if nobody has one."""
        if not self.are_known:
            raise BadInput(f"keys are required, but neither {TOKEN} nor {KEYS_FILE} is set", field=TOKEN)
        self.anybody = NOBODY

    def of(self, headers: Mapping[str, str]) -> Caller:
        """Return who has sent a request, by its headers."""
        if not self.are_known:
            return self.anybody
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        known = self._of_bearer(sent.strip()) if scheme.lower() == "bearer" else None
        known = known or self._of_session(_session_in(headers))
        return self.anybody if known is None else Caller(known.name, known.scopes | self.anybody.scopes)

    def sign_in(self, key: str) -> str:
        """Begin a session of :data:`SESSION_S` seconds; returns the value of its cookie.

        Raises:
            NotAuthorized: It is neither the operator token nor a key.
        """
        until = int(self._now()) + SESSION_S
        if self._is_token(key):
            return self._sign(_OF_TOKEN, until, self._digest or b"")
        found = self._keys.owner_of(key) if self._keys else None
        if found is None:
            raise NotAuthorized("this is neither the operator token nor a key that holds", field="token")
        return self._sign(found.id, until, bytes.fromhex(found.sha256))

    def _is_token(self, sent: str) -> bool:
        return self._digest is not None and hmac.compare_digest(_digest(sent), self._digest)

    def _of_bearer(self, sent: str) -> Caller | None:
        if self._is_token(sent):
            return Caller("operator", frozenset(SCOPES))
        found = self._keys.owner_of(sent) if self._keys else None
        return None if found is None else Caller(found.name, frozenset(found.scopes))

    def _of_session(self, value: str) -> Caller | None:
        identity, _, rest = value.partition(".")
        until = rest.partition(".")[0]
        if not (until.isdecimal() and len(until) < _LONGEST_TIME):
            return None
        if not 0 < int(until) - self._now() <= SESSION_S + _CLOCKS_S:  # no server gives a session that lasts longer
            return None
        if identity == _OF_TOKEN and self._digest is not None:
            digest, caller = self._digest, Caller("operator", _IN_BROWSER)
        elif self._keys and (key := self._keys.by_id(identity)):
            digest, caller = bytes.fromhex(key.sha256), Caller(key.name, _IN_BROWSER.intersection(key.scopes))
        else:
            return None
        expected = self._sign(identity, int(until), digest)
        return caller if hmac.compare_digest(expected.encode(), value.encode()) else None

    def _sign(self, identity: str, until: int, digest: bytes) -> str:
        """The value of the cookie of a session that ends at ``until``, in epoch seconds, or with the key."""
        signature = hmac.digest(self._secret, f"{SESSION} {identity} {until} {digest.hex()}".encode(), "sha256")
        return f"{identity}.{until}.{signature.hex()}"


def check(caller: Caller, scope: str) -> None:
    """Raise an error if somebody may not do something.

    Args:
        caller: Who wants to do it.
        scope: What it needs.

    Raises:
        NotAuthorized: Nobody knows who it is.
        MissingScope: It is somebody whose key does not say so.
    """
    if caller.may(scope):
        return
    if not caller.name:
        raise NotAuthorized(
            f"this needs the operator token, or a key with the scope {scope}: send it as authorization: Bearer",
            field="authorization",
        )
    raise MissingScope(
        f"the key of {caller.name!r} has no scope {scope}; it has {', '.join(sorted(caller.scopes)) or 'none'}",
        field="authorization",
    )


def _session_in(headers: Mapping[str, str]) -> str:
    """The value of a session's cookie among those that a browser has sent (RFC 6265); empty without one."""
    found = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
    return next((value for name, _, value in found if name == SESSION), "")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
