"""Which headers go to the provider, which come back, and which tell who asks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from parbake.http.access.key_file import PREFIX
from parbake.ports.messages import PROTECTION, HttpRequest

_HOP = frozenset(
    {"connection", "proxy-connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
     "transfer-encoding", "upgrade", "http2-settings", "content-length"}
)  # fmt: skip
"""Headers of one connection (RFC 9110, 7.6.1), and the length, which is set anew."""
_NOT_SENT = _HOP | {"host", "accept-encoding", "cookie", "cache-control", "expect", "ignored"}
"""``ignored`` is what our server makes of ``upgrade``."""
_NOT_RETURNED = _HOP | {"date", "server", "content-type", "age", "cache-status"} | {name for name, _ in PROTECTION}
_NOT_RETURNED |= {
    "set-cookie", "set-cookie2", "refresh", "clear-site-data", "strict-transport-security", "alt-svc", "report-to",
    "reporting-endpoints", "nel", "content-security-policy-report-only", "service-worker-allowed",
    "timing-allow-origin",
}  # fmt: skip
"""Headers of the provider's connection, those that the proxy sets itself, and those that rule a browser's behaviour."""
_NOT_RETURNED_BEGIN = ("parbake-", "x-parbake-", "access-control-", "cross-origin-")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OWN_KEY = re.compile(rf"(?<![A-Za-z0-9-]){PREFIX}_")
"""The beginning of a key of the proxy."""
_OWN = ("parbake-", "x-parbake-")
_HARMLESS = _NOT_SENT - {"cookie", "proxy-authorization"} | {
    "accept", "accept-language", "content-type", "user-agent", "origin", "referer", "priority", "dnt",
    "idempotency-key", "x-request-id", "traceparent", "tracestate", "sentry-trace", "via", "x-real-ip", "sec-gpc",
    "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
}  # fmt: skip
"""Headers that do not say who asks, and do not shape the answer."""
_HARMLESS_BEGIN = ("parbake-", "x-parbake-", "x-stainless-", "sec-fetch-", "sec-ch-")
_ADDRESSES = frozenset({"for", "by", "host", "proto"})
"""The members of ``forwarded`` (RFC 7239) that name no user."""


def telling(headers: Mapping[str, str]) -> list[str]:
    """The headers that may say who asks or shape the answer: all that are not known to do neither.

    A header that is not sent because the client's connection names it may shape the answer by its absence.
    """
    found = [f"{name}: {headers[name]}" for name in sorted(headers) if not _is_harmless(name, headers[name])]
    taken = sorted(_named_by_connection(headers.get("connection", "")) & headers.keys() - _NOT_SENT)
    return [*found, f"connection: {' '.join(taken)}"] if taken else found


def _is_harmless(name: str, value: str) -> bool:
    if name == "forwarded":
        members = value.lower().replace(";", ",").split(",")
        return all(member.partition("=")[0].strip() in _ADDRESSES for member in members)
    if name == "baggage":  # a tracer's own members, or anything that the application adds (W3C, Baggage)
        return all(member.strip().startswith("sentry-") for member in value.split(","))
    return name in _HARMLESS or name.startswith(_HARMLESS_BEGIN)


def to_send(request: HttpRequest, token: str | None = None) -> dict[str, str]:
    """The headers for the provider. Keys of the proxy stay here.

    Args:
        request: The request of the caller.
        token: The operator token of the proxy.
    """
    taken = _NOT_SENT | _named_by_connection(request.headers.get("connection", ""))
    kept = {
        name: value
        for name, value in request.headers.items()
        if name not in taken and not name.startswith(_OWN) and not _has_own_key(value, token)
    }
    if request.caller.name:
        kept.pop("authorization", None)
    return {**kept, "accept-encoding": "identity"}


def _named_by_connection(value: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in value.split(","))


def _has_own_key(value: str, token: str | None) -> bool:
    return bool(token and token in value) or _OWN_KEY.search(value) is not None


def returned(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The headers of a provider's answer that the caller gets."""
    sent = [(name.lower(), value) for name, value in headers.items()]
    taken = _NOT_RETURNED.union(*(_named_by_connection(value) for name, value in sent if name == "connection"))
    kept = ((name, sendable(value)) for name, value in sent)
    return tuple(
        (name, value)
        for name, value in kept
        if value is not None and name not in taken and not name.startswith(_NOT_RETURNED_BEGIN)
    )


def sendable(value: str) -> str | None:
    """A header's value by its bytes, which the client library has read as UTF-8; ``None`` with a control character."""
    if _UNSENDABLE.search(value):
        return None
    return value.encode("utf-8", "surrogateescape").decode("latin-1")
