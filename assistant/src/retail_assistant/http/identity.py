"""Who asks: the shopper whom a session, a key or the shop's proxy vouches for, or nobody.

A session is a shopper's name with the time, signed with a secret that the store does not have. What a request merely
says of itself, such as the ``user`` of a chat, names the shopper only if one of these stands behind it.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie

from itsdangerous import BadSignature, URLSafeTimedSerializer

from parbake.http import HttpRequest
from retail_assistant.http.limits import Limits
from retail_assistant.http.receipts import Receipts
from retail_assistant.shop.errors import NotSignedIn, NotYours
from retail_assistant.shop.voices import ANONYMOUS, is_named, spelled
from retail_assistant.vouching import By, Vouching

COOKIE = "shopper"
LASTS_S = 12 * 3600


class Sessions:
    """Makes and reads sessions."""

    def __init__(self, vouching: Vouching) -> None:
        """``vouching`` has the secrets."""
        self._signer = URLSafeTimedSerializer(list(vouching.secrets), salt="session")

    def of(self, shopper: str) -> str:
        """A session of a shopper, for 12 hours."""
        return self._signer.dumps(shopper)

    def shopper_of(self, session: str) -> str | None:
        """The shopper whose session it is; ``None`` if it was not signed here, or too long ago."""
        try:
            return str(self._signer.loads(session, max_age=LASTS_S))
        except BadSignature:
            return None


class Identity:
    """Tells who asks."""

    def __init__(self, vouching: Vouching, limits: Limits) -> None:
        """``vouching`` says who vouches for shoppers, ``limits`` how often they may act."""
        self.by: By = vouching.by
        self.limits = limits
        self._header, self._proxies = vouching.header, vouching.proxies
        self._key = vouching.key.encode()
        self.sessions, self.receipts = Sessions(vouching), Receipts(vouching)

    def asking(self, request: HttpRequest, named: str = ANONYMOUS) -> str:
        """Return the shopper who asks, ``anonymous`` if nobody is named or signed in.

        Args:
            request: The request.
            named: The shopper whom the request names.

        Raises:
            NotSignedIn: The request names a shopper, and nobody vouches for it.
            NotYours: Another shopper is signed in.
        """
        if self.acts(request):
            return named
        own = self._own(request)
        if not is_named(named):
            return own or ANONYMOUS
        if own is None:
            raise NotSignedIn(
                "this belongs to a shopper: sign in, or send a key that may act for shoppers", field="user"
            )
        if spelled(own) != spelled(named):
            raise NotYours("this belongs to another shopper than the one who is signed in", field="user")
        return own

    def shopper(self, request: HttpRequest, named: str | None = None) -> str:
        """Return the shopper who asks, and who must be one: the path's, or the one whom the request names.

        Raises:
            NotSignedIn: No shopper is named, or nobody vouches for the one who is.
            NotYours: Another shopper is signed in.
        """
        found = self.asking(request, request.parameters["user"] if named is None else named)
        if not is_named(found):
            raise NotSignedIn("a cart and orders belong to a shopper: sign in first", field="user")
        return found

    def acting(self, request: HttpRequest, named: str | None = None) -> str:
        """Return the shopper who asks like :meth:`shopper`, and count what the shopper does."""
        return self.counted(request, self.shopper(request, named))

    def counted(self, request: HttpRequest, shopper: str) -> str:
        """Count what a shopper or nobody does, and return the shopper; a key that acts for many is not counted.

        Raises:
            TooOften: The client or the shopper has done too much lately.
        """
        if not self.acts(request):
            self.limits.act(request.client, shopper if is_named(shopper) else "")
        return shopper

    def sender(self, request: HttpRequest, shopper: str) -> str:
        """Whose a request is: the shopper's own, or empty for the holder of a key that acts for many."""
        return "" if self.acts(request) else shopper

    def acts(self, request: HttpRequest) -> bool:
        """Whether the request has a key that may act for any shopper: the operators', or the shop's backend's."""
        sent = _bearer(request).encode()
        return request.caller.may("act_as") or (bool(self._key) and hmac.compare_digest(sent, self._key))

    def _own(self, request: HttpRequest) -> str | None:
        """The shopper for whom the proxy or a session vouches."""
        if self.by == "header":
            found = request.headers.get(self._header, "").strip()
            return found or None if request.client in self._proxies else None
        sent = _bearer(request) or _cookie(request)
        return self.sessions.shopper_of(sent) if sent else None


def cookie(request: HttpRequest, session: str) -> tuple[str, str]:
    """The header that gives a browser a session, or takes it away if ``session`` is empty.

    Scripts cannot read it, and a browser sends it with no request that another site causes. It goes over HTTPS only if
    it came over it.
    """
    lasts = LASTS_S if session else 0
    secure = "; Secure" if request.headers.get("origin", "").startswith("https:") else ""
    path = request.root or "/"
    return "set-cookie", f"{COOKIE}={session}; Max-Age={lasts}; Path={path}; HttpOnly; SameSite=Strict{secure}"


def _bearer(request: HttpRequest) -> str:
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    return sent.strip() if scheme.lower() == "bearer" else ""


def _cookie(request: HttpRequest) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""
