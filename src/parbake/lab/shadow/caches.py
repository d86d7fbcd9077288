"""What a cache that is looked at has to give, and how its bytes become values."""

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
    """An entry is there but cannot be read as what it should be; the message says why, without its value."""


class CacheEntry(msgspec.Struct, frozen=True):
    """A cache's value for a key with the evidence for its age, in seconds (``None`` when there is none)."""

    value: Any
    age_s: float | None = None
    idle_s: float | None = None


class Cache(Protocol):
    """A cache, read only. One key at a time; calls come from threads."""

    def sample(self, count: int, *, until: float) -> list[str]:
        """Up to ``count`` keys at random; stops looking at ``until`` (monotonic seconds).

        Raises :class:`parbake.errors.BadInput` naming ``CACHE`` when the cache cannot be reached.
        """
        ...

    def read(self, key: str) -> CacheEntry | None:
        """A key's entry, ``None`` when there is none; raises :class:`UndecodableError`."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


def decoded(decode: Decode, raw: bytes) -> Any:
    """Decode, or raise :class:`UndecodableError` with the kind of fault."""
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UndecodableError(f"not decodable: {type(error).__name__}") from error
