"""What a cache under test must provide, and how its bytes become values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

Decode = Callable[[bytes], Any]
DECODERS: Mapping[str, Decode] = {
    "json": msgspec.json.decode,
    "text": lambda raw: raw.decode(),
    "msgpack": msgspec.msgpack.decode,
}


class UndecodableError(Exception):
    """An entry exists but cannot be decoded; the message says why, without the value."""


class CacheEntry(msgspec.Struct, frozen=True):
    """A cache's value for a key, and evidence of its age in seconds (``None`` if there is none)."""

    value: Any
    age_s: float | None = None
    idle_s: float | None = None


class Cache(Protocol):
    """A cache, read-only. One key at a time; calls come from threads."""

    def sample(self, count: int, *, until: float) -> list[str]:
        """Up to ``count`` random keys, or as many requests of a log; stops at ``until`` (monotonic seconds).

        Of requests it returns the key of each, so that a key may be there more than once.
        Raises :class:`parbake.errors.BadInput` that names ``CACHE`` if the cache cannot be reached.
        """
        ...

    def read(self, key: str) -> CacheEntry | None:
        """A key's entry; ``None`` if there is none. Raises :class:`UndecodableError`."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


def decoded(decode: Decode, raw: bytes) -> Any:
    """Decode bytes, or raise :class:`UndecodableError` with the kind of error."""
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UndecodableError(f"not decodable: {type(error).__name__}") from error
