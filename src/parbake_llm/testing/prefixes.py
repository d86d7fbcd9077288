"""The prefix caches of the providers: what a prompt reads from a cache, and what it writes to it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parbake_llm.ports.prompts import TTL_S, Ttl
from parbake_llm.testing.tokens import counted, split

MOST_BREAKPOINTS = 4
LOOKBACK = 20
"""How many blocks before a breakpoint are compared with what is cached."""
_GRANULE = 128


class Refusal(Exception):
    """The box refuses a request; ``status`` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        """Refuse with a status and a sentence."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class PromptPiece:
    """A block of a prompt: a tool, or a block of the content of a message.

    ``ttl`` marks a breakpoint after it. ``label``, such as a role, distinguishes blocks and has no tokens.
    """

    text: str
    ttl: Ttl | None = None
    label: str = ""


@dataclass(frozen=True)
class CacheUsage:
    """The tokens of a prompt: neither read nor written, read, written for minutes, and written for an hour."""

    uncached: int
    read: int = 0
    written: int = 0
    written_hour: int = 0

    @property
    def total(self) -> int:
        """All tokens of the prompt."""
        return self.uncached + self.read + self.written + self.written_hour


@dataclass
class _Entry:
    ttl_s: float
    until: float


class BoxCache:
    """What is cached, by the hash of a prefix. It lapses on a given clock, and lives on when it is read."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with an empty cache; ``clock`` returns seconds."""
        self._clock = clock
        self._entries: dict[bytes, _Entry] = {}
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Evict everything."""
        with self._lock:
            self._entries.clear()

    def marked(
        self, pieces: Sequence[PromptPiece], scope: str, *, minimum: int, lookback: int | None = LOOKBACK
    ) -> CacheUsage:
        """Look up and write a prompt with breakpoints.

        The longest cached prefix that ends at a breakpoint, or at most ``lookback`` blocks before one, is read. What
        lies between it and the last breakpoint is written, and counts for the time to live of the next breakpoint.

        Args:
            pieces: The blocks of the prompt.
            scope: Who shares the cache, such as the model's name.
            minimum: The least tokens of a prefix that is cached.
            lookback: How far before a breakpoint a cached prefix is found; ``None`` for no limit.

        Raises:
            Refusal: There are too many breakpoints, or a shorter life stands before a longer one.
        """
        marks = [at for at, piece in enumerate(pieces) if piece.ttl]
        _check([TTL_S[pieces[at].ttl or "5m"] for at in marks])
        hashes, sizes = _prefixes(pieces, scope)
        marks = [at for at in marks if sizes[at] >= minimum]
        with self._lock:
            read = self._read(hashes, marks, lookback)
            for at in marks:
                self._keep(hashes[at], TTL_S[pieces[at].ttl or "5m"])
        return _usage(pieces, sizes, marks, read)

    def automatic(self, text: str, scope: str, *, minimum: int, ttl_s: float) -> CacheUsage:
        """Look up and write a prompt of which whole granules are cached without breakpoints.

        Args:
            text: The whole prompt.
            scope: Who shares the cache: the model and the cache's key.
            minimum: The least tokens of a prefix that is cached.
            ttl_s: How long a prefix is cached after it was last read, in seconds.
        """
        tokens, read = split(text), 0
        ends = [end for end in range(_GRANULE, len(tokens) + 1, _GRANULE) if end >= minimum]
        digest, done = hashlib.sha256(scope.encode()), 0
        with self._lock:
            for end in ends:
                digest.update("".join(tokens[done:end]).encode())
                done, key = end, digest.digest()
                read = end if self._is_cached(key) else read
                self._keep(key, ttl_s)
        return CacheUsage(len(tokens) - read, read)

    def _read(self, hashes: Sequence[bytes], marks: Sequence[int], lookback: int | None) -> int:
        """The position of the last block that is read; -1 if none is."""
        for mark in reversed(marks):
            first = 0 if lookback is None else max(0, mark - lookback)
            for at in range(mark, first - 1, -1):
                if self._is_cached(hashes[at]):
                    self._keep(hashes[at], 0.0)
                    return at
        return -1

    def _is_cached(self, key: bytes) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.until > self._clock()

    def _keep(self, key: bytes, ttl_s: float) -> None:
        """Write a prefix, or let it live on; a longer life that it already has is kept."""
        ttl_s = max(ttl_s, self._entries[key].ttl_s if self._is_cached(key) else 0.0)
        self._entries[key] = _Entry(ttl_s, self._clock() + ttl_s)


def _check(times: list[float]) -> None:
    if len(times) > MOST_BREAKPOINTS:
        raise Refusal(400, f"a request may have {MOST_BREAKPOINTS} breakpoints, and this one has {len(times)}")
    if times != sorted(times, reverse=True):
        raise Refusal(400, "a breakpoint with a longer time to live must stand before those with a shorter one")


def _prefixes(pieces: Sequence[PromptPiece], scope: str) -> tuple[list[bytes], list[int]]:
    """The hash and the size in tokens of the prefix that ends with each block."""
    digest, total = hashlib.sha256(scope.encode()), 0
    hashes, sizes = [], []
    for piece in pieces:
        digest.update(f"{piece.label}:{len(piece.text)}:{piece.text}".encode())
        total += counted(piece.text)
        hashes.append(digest.digest())
        sizes.append(total)
    return hashes, sizes


def _usage(pieces: Sequence[PromptPiece], sizes: Sequence[int], marks: Sequence[int], at: int) -> CacheUsage:
    total, read = (sizes[-1] if sizes else 0), (sizes[at] if at >= 0 else 0)
    new = [mark for mark in marks if mark > at]
    hour = max([sizes[mark] for mark in new if TTL_S[pieces[mark].ttl or "5m"] >= TTL_S["1h"]], default=read)
    last = max([sizes[mark] for mark in new], default=read)
    return CacheUsage(total - last, read, last - hour, hour - read)
