"""What is answered to a request that is not admitted, or to who may not do something."""

from __future__ import annotations

from parbake.errors import RequestError

JSON_TYPES = ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json")
"""The types that a body may have."""


class UnknownHost(RequestError):
    """The request names a host that this server does not serve (RFC 9110, 15.5.20)."""

    status = 421


class CrossSiteWrite(RequestError):
    """A browser sent the request on behalf of a page of another site."""

    status = 403
    title = "Cross-site write"


class NotAuthorized(RequestError):
    """The request needs the operator token or a key, and carries none (RFC 6750, 3)."""

    status = 401
    headers = (("www-authenticate", 'Bearer realm="parbake"'),)


class MissingScope(RequestError):
    """The request carries a key that may not do this (RFC 6750, 3.1)."""

    status = 403
    title = "Missing scope"


class UnsupportedType(RequestError):
    """The body's declared type is not JSON."""

    status = 415
    title = "Unsupported media type"
    headers = (("accept", ", ".join(JSON_TYPES)),)


class TooManyNewTags(RequestError):
    """Events bring more tags that were never raised than a minute may; nothing was written (RFC 6585, 4)."""

    status = 429

    def __init__(self, limit: int, after_s: int) -> None:
        """Create the error; ``limit`` are the new tags of a minute, and ``after_s`` the seconds to wait."""
        super().__init__(
            f"these events bring more than {limit} tags a minute that were never raised before; send them again in "
            f"{after_s} s, or raise HttpApp(new_tags=...)",
            field="subject",
        )
        self.headers = (("retry-after", str(after_s)),)
