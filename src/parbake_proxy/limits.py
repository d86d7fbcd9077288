"""How much of a body is decoded. The decoder holds the event loop, from a thread, too, so it gets 50 ms at most."""

from __future__ import annotations

from typing import Any

import msgspec

_MOST_DECODED = 1024 * 1024
"""The longest JSON that is decoded, in bytes."""
_MOST_NESTED = 64 * 1024
"""The most objects and lists in it: each takes more time than its bytes tell."""
_MOST_SEARCHED = 16 * 1024 * 1024
"""The longest JSON of which single members are decoded, in bytes; the others are only skipped."""
_MOST_COLONS = 32 * 1024
"""The most colons in it, and so the most members that are skipped."""


# Without the hook, the decoder takes 12 us for a number such as 1e308, which is a second for half a megabyte.
decode_json = msgspec.json.Decoder(Any, float_hook=float).decode
"""Decode a JSON of which :func:`is_decodable` is true."""


def is_decodable(data: bytes) -> bool:
    """Whether all of a JSON is decoded."""
    return len(data) <= _MOST_DECODED and data.count(b"[") + data.count(b"{") <= _MOST_NESTED


def is_searchable(data: bytes) -> bool:
    """Whether single members of a JSON are decoded."""
    return len(data) <= _MOST_SEARCHED and data.count(b":") <= _MOST_COLONS
