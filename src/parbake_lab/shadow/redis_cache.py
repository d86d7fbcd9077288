"""A Redis or Valkey server as the cache under test. Only a fixed list of commands is ever sent."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parbake.errors import BadInput, MissingDependency
from parbake.values.redaction import without_credentials
from parbake_lab.shadow.caches import CacheEntry, Decode, UndecodableError, decoded

# The last line is a connection's handshake: user, database, and that reads do not count as use.
ALLOWED = frozenset({
    "GET", "HGETALL", "HLEN", "LLEN", "LRANGE", "OBJECT IDLETIME", "PTTL", "SCAN", "SCARD",
    "SMEMBERS", "TYPE", "ZCARD", "ZRANGE",
    "AUTH", "HELLO", "SELECT", "CLIENT SETINFO", "CLIENT NO-TOUCH",
})  # fmt: skip
"""All commands that may be sent; none of them writes, blocks or runs a script."""
_CONTAINERS = {"OBJECT", "CLIENT"}
_ELEMENTS_AT_MOST = 10_000
_KEYS_SEEN_AT_MOST = 200_000
TIMEOUT_S = 5.0


class ForbiddenCommandError(RuntimeError):
    """A command outside the list was rejected before it was sent."""


def check(*words: Any) -> None:
    """Raise :class:`ForbiddenCommandError` unless the command is on the list."""
    name = " ".join(word.decode() if isinstance(word, bytes) else str(word) for word in words[:2]).upper().split()
    command = " ".join(name[:2] if name and name[0] in _CONTAINERS else name[:1])
    if command not in ALLOWED:
        raise ForbiddenCommandError(f"{command} is not among the commands that may be sent to a cache under test")


class Guarded:
    """A connection that sends only commands on the list; mixed into the client's own connection class."""

    def send_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send one allowed command."""
        check(*args)
        return super().send_command(*args, **kwargs)  # type: ignore[misc]  # the client's connection is next in the class order

    def pack_commands(self, commands: Any) -> Any:  # noqa: ARG002  # the client's own signature
        """Reject pipelines, which are not used."""
        raise ForbiddenCommandError("a pipeline is not sent to a cache under test")


class RedisCache:
    """The keys of one database that match a pattern (see :class:`parbake_lab.shadow.caches.Cache`)."""

    def __init__(
        self, url: str, decode: Decode, *, pattern: str = "*", ttl_s: float | None = None, seed: int | None = None,
        drawn: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Create the cache, without connecting yet.

        Args:
            url: The server's address.
            decode: Converts bytes to a value.
            pattern: The pattern of the keys.
            ttl_s: The TTL that entries are stored with, in seconds. The remaining TTL then gives their age.
            seed: Seed of the random sample.
            drawn: The keys of requests, if these are drawn already; then no keys are listed.

        Raises:
            BadInput: The address is invalid.
            MissingDependency: The client is not installed.
        """
        self._decode, self._pattern, self._ttl_s, self._drawn = decode, pattern, ttl_s, drawn
        self._random = random.Random(seed)  # noqa: S311 - a sample needs no secret
        self._lock = threading.Lock()
        self._client, self._errors = _connect(url)
        self._is_quiet = False

    def sample(self, count: int, *, until: float) -> list[str]:
        """See :class:`parbake_lab.shadow.caches.Cache`. Scans, and samples from the keys found (at most 200,000)."""
        try:
            if self._drawn:  # the list needs no server, but one that cannot be reached is told before any key is read
                self._ask("TYPE", self._drawn[0].encode(errors="surrogateescape"))
            seen = self._drawn or self._scan(until)
        except self._errors.ConnectionError as error:
            raise BadInput(f"CACHE cannot be reached: {error}", field="CACHE") from error
        except self._errors.RedisError as error:
            raise BadInput(f"CACHE cannot be read: {error}", field="CACHE") from error
        return self._random.sample(seen, min(count, len(seen)))

    def _scan(self, until: float) -> list[str]:
        seen: dict[str, None] = {}  # SCAN may return a key twice
        cursor = 0
        while True:
            cursor, names = self._ask("SCAN", cursor, "MATCH", self._pattern, "COUNT", 1000)
            seen.update((name.decode(errors="surrogateescape"), None) for name in names)
            cursor = int(cursor)
            if cursor == 0 or len(seen) >= _KEYS_SEEN_AT_MOST or time.monotonic() >= until:
                return list(seen)

    def read(self, key: str) -> CacheEntry | None:
        name = key.encode(errors="surrogateescape")
        try:
            idle = self._evidence("OBJECT", "IDLETIME", name)
            left_ms = self._evidence("PTTL", name)
            found, value = self._value(name)
        except self._errors.RedisError as error:
            raise UndecodableError(f"not readable: {type(error).__name__}") from error
        if not found:
            return None
        return CacheEntry(value, self._age_s(left_ms), None if idle is None else float(idle))

    def _age_s(self, left_ms: int | None) -> float | None:
        """The elapsed part of the TTL; ``None`` for an entry without a TTL or with a longer one than given."""
        if self._ttl_s is None or left_ms is None or left_ms < 0 or left_ms > self._ttl_s * 1000:
            return None
        return self._ttl_s - left_ms / 1000

    def _value(self, name: bytes) -> tuple[bool, Any]:
        try:
            raw = self._ask("GET", name)
            return raw is not None, None if raw is None else decoded(self._decode, raw)
        except self._errors.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
        kind = self._ask("TYPE", name)
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if kind == "none":
            return False, None
        if kind not in _READERS:
            raise UndecodableError(f"of type {kind}, which is not compared")
        length, read = _READERS[kind]
        if self._ask(length, name) > _ELEMENTS_AT_MOST:
            raise UndecodableError(f"over {_ELEMENTS_AT_MOST} elements")
        return True, read(self._ask, self._decode, name)

    def _evidence(self, *words: Any) -> int | None:
        """A number from the server; ``None`` if its policy or the user's rights do not allow it."""
        try:
            found: int | None = self._ask(*words)
        except self._errors.ResponseError:
            return None
        return found

    def _ask(self, *words: Any) -> Any:
        with self._lock:
            if not self._is_quiet:
                self._is_quiet = True
                self._be_quiet()
            return self._send(*words)

    def _be_quiet(self) -> None:
        """Ask the server, if it can, not to count these reads as use of the keys."""
        try:
            self._send("CLIENT", "NO-TOUCH", "ON")
        except self._errors.ResponseError:  # older than 7.2, or not allowed
            return

    def _send(self, *words: Any) -> Any:
        connection = self._client
        connection.send_command(*words)
        return connection.read_response()

    def close(self) -> None:
        self._client.disconnect()


def _connect(url: str) -> tuple[Any, Any]:
    """A guarded connection of the client's class for a URL (not opened yet), and the module with its errors."""
    try:
        import redis
    except ModuleNotFoundError as error:
        raise MissingDependency.of("a Redis cache", "redis", field="redis") from error
    try:
        pool = redis.ConnectionPool.from_url(url, protocol=2, socket_timeout=TIMEOUT_S)
        kind = type("GuardedConnection", (Guarded, pool.connection_class), {})
        return kind(**pool.connection_kwargs), redis
    except (ValueError, TypeError):  # drop the cause: its text may contain the password
        shown = without_credentials(url)
        raise BadInput(f"CACHE={shown!r} is not an address such as redis://host:port/0", field="CACHE") from None


Ask = Callable[..., Any]


def _hash(ask: Ask, decode: Decode, name: bytes) -> dict[str, Any]:
    flat = ask("HGETALL", name)
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {field.decode(errors="replace"): decoded(decode, raw) for field, raw in pairs}


def _list(ask: Ask, decode: Decode, name: bytes) -> list[Any]:
    return [decoded(decode, raw) for raw in ask("LRANGE", name, 0, -1)]


def _set(ask: Ask, decode: Decode, name: bytes) -> list[Any]:
    return sorted((decoded(decode, raw) for raw in ask("SMEMBERS", name)), key=repr)


def _sorted_set(ask: Ask, decode: Decode, name: bytes) -> list[list[Any]]:
    flat = ask("ZRANGE", name, 0, -1, "WITHSCORES")
    return [[decoded(decode, raw), float(score)] for raw, score in zip(flat[::2], flat[1::2], strict=True)]


_READERS: Mapping[str, tuple[str, Callable[[Ask, Decode, bytes], Any]]] = {
    "hash": ("HLEN", _hash),
    "list": ("LLEN", _list),
    "set": ("SCARD", _set),
    "zset": ("ZCARD", _sorted_set),
}
"""How an entry that is not a plain string is read: the command for its length, and the command that reads it."""
