"""Reads the bodies of requests."""

from __future__ import annotations

import msgspec

from parbake_proxy.limits import decode_json, is_decodable, is_searchable
from parbake_proxy.wire.dialect import Document

_READ = frozenset({"cache", "metadata", "model"})
"""The members of a large request that the proxy reads."""
_MOST_OWN = 64 * 1024
"""The longest of them, in bytes."""
_COLONS = (b"\\u003a", b"\\u003A")
"""A colon as an escape in JSON."""


def decode(body: bytes) -> Document | None:
    """Decode a request; ``None`` if the body is not a JSON object."""
    try:
        found = decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_readable(body: bytes) -> bool:
    """Whether the proxy reads anything of a request."""
    return is_decodable(body) or is_searchable(body)


def decode_own(body: bytes) -> Document | None:
    """Decode only the members of a request that the proxy reads; ``None`` if the body is not a JSON object."""
    try:
        found: Document = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        for name in found.keys() & _READ:
            if len(found[name]) <= _MOST_OWN:
                found[name] = decode_json(found[name])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found


def may_repeat_names(body: bytes, document: Document) -> bool:
    """Whether an object of a request may have two members of one name, of which its document has the last one.

    A member that the document lacks was written with a colon, and no text of the document has gained one. A colon that
    is written as an escape would hide that, so that a body with one is not trusted either.

    Args:
        body: The request.
        document: What it was decoded to.
    """
    if any(colon in body for colon in _COLONS):
        return True
    try:
        return body.count(b":") != msgspec.json.encode(document).count(b":")
    except RecursionError:  # it was nested as deeply as the decoder could go
        return True
