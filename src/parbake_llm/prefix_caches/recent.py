"""What a prefix cache has forgotten, and what each session sent last: the grounds on which a miss is explained."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from parbake_llm.prefix_caches.predicted import Piece

K = TypeVar("K")
V = TypeVar("V")
REMEMBERED = 100_000
"""How many sessions, and how many lost prefixes, are remembered in order to explain a miss."""


class Recent(Generic[K, V]):
    """A mapping that keeps its most recently written keys."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._kept: OrderedDict[K, V] = OrderedDict()

    def __setitem__(self, key: K, value: V) -> None:
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def get(self, key: K) -> V | None:
        """The value of a key; ``None`` if it was never written or is forgotten."""
        return self._kept.get(key)

    def pop(self, key: K) -> V | None:
        """Forget a key, and return its value; ``None`` if there is none."""
        return self._kept.pop(key, None)


def chained(prompt: Sequence[Piece]) -> tuple[bytes, ...]:
    """The hash of the prefix that ends with each piece, so that equal hashes mean equal prefixes."""
    return tuple(_chained(prompt))


def _chained(prompt: Sequence[Piece]) -> Iterator[bytes]:
    before = b""
    for piece in prompt:
        text = f"{piece.tokens} {piece.digest}".encode(errors="surrogatepass")
        before = hashlib.blake2b(before + text, digest_size=16).digest()
        yield before


def steady(prompt: Sequence[Piece]) -> int:
    """The number of pieces before the first one that is expected to differ in each request."""
    return next((at for at, piece in enumerate(prompt) if piece.volatile), len(prompt))


def common(one: Sequence[object], other: Sequence[object]) -> int:
    """The length of the longest common prefix."""
    shortest = min(len(one), len(other))
    if one[:shortest] == other[:shortest]:
        return shortest
    return next(at for at in range(shortest) if one[at] != other[at])
