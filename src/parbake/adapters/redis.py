"""``redis://[user[:password]@]host[:port][/db]?prefix=parbake``: a store on a Redis or Valkey server.

A read is one MGET, which the server answers from one snapshot. A write is one call of a script inside the server.
Options: ``prefix`` separates several stores on one server. ``timeout_s`` bounds every call (seconds, default 5); what
requests wait for is bounded by one second in any case.
``durability=server`` accepts a server that does not sync each write to disk before it answers. The password may be in
the environment variable ``PARBAKE_REDIS_PASSWORD`` instead of the URL. ``rediss://`` uses TLS, and
``unix:///path?db=0`` a local socket; ``valkey://`` and ``valkeys://`` mean the same as ``redis://`` and ``rediss://``.
Each event loop of a process has its own connections, 32 at most.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

from parbake.adapters._redis_link import Elsewhere, Link, ServerAddress, UnknownScript, parse_url
from parbake.adapters._redis_scripts import COMMIT, REMOVE, Script
from parbake.errors import ForeignStore, StoreError
from parbake.stores.steps.item_names import is_listed
from parbake.stores.steps.item_steps import FETCH_S, Commit, Items, chunks, end_of
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.values.schemes import url_options

_PASSWORD_VARIABLE = "PARBAKE_REDIS_PASSWORD"  # noqa: S105  # the name of the variable
_CHUNK_ROWS, _CHUNK_BYTES = 1000, 4 << 20
_COMMIT_ITEMS = 5000
"""Names in one commit; the server is blocked for about 5 ms by this many."""
_FORMAT = b"parbake-items-1"
_OPTIONS = {"prefix", "timeout_s", "durability", "db"}
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def open_url(url: str) -> OptimisticStore:
    """Create the store for a URL, without connecting yet; raises :class:`StoreError` if the URL is invalid."""
    return OptimisticStore(RedisItems.from_url(url))


class RedisItems(Items):
    """Items on one Redis or Valkey server."""

    is_snapshot = True
    commit_limit = _COMMIT_ITEMS

    def __init__(self, address: ServerAddress, prefix: str = "parbake") -> None:
        """Create the driver. Every key begins with ``{prefix}``, in braces."""
        self._link = Link(address)
        self._key = b"{%s}:" % prefix.encode()
        # Neither begins like an item's key.
        self._index = b"{%s}.listed" % prefix.encode()
        self._mark = b"{%s}.format" % prefix.encode()

    @classmethod
    def from_url(cls, url: str) -> RedisItems:
        """Parse a URL; see the module."""
        options = url_options(_split(url).query, _OPTIONS, setting="store", error=StoreError)
        prefix = options.get("prefix", "parbake")
        if not _PREFIX.fullmatch(prefix):
            raise StoreError(f"prefix={prefix!r} must be 1 to 64 letters, digits, _, . or -", field="store.prefix")
        durability = options.get("durability", "always")
        if durability not in {"always", "server"}:
            raise StoreError(f"durability={durability!r} must be always or server", field="store.durability")
        return cls(_address(url, options), prefix)

    @property
    def host(self) -> str:
        """The run id of the server; it changes with every restart and with a failover."""
        return self._link.host

    async def open(self) -> None:
        """Connect, reject an unfit server, and claim the prefix."""
        found = await self._link.read("SET", self._mark, _FORMAT, "NX", "GET", within_s=FETCH_S)
        if found not in {None, _FORMAT}:
            raise ForeignStore(
                f"{self._link.address.shown} holds {self._mark.decode()} in a format this version does not know; "
                "point the store elsewhere or choose another ?prefix=",
                field="store",
            )

    async def fetch(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Read with one MGET: one round trip and one snapshot."""
        if not names:
            return []
        key = self._key
        found: list[bytes | None] = await self._link.read("MGET", *[key + name for name in names], within_s=FETCH_S)
        return found

    async def commit(self, commit: Commit) -> bool:
        """Commit with one call of a script.

        If its answer is lost, the call raises, and it is not known whether it wrote.
        """
        keys = [self._index]
        arguments: list[bytes | int] = [len(commit.expected), len(self._key)]
        for name, expected in commit.expected.items():
            keys.append(self._key + name)
            arguments += (b"0", b"") if expected is None else (b"1", expected)
        for name, value in commit.writes.items():
            keys.append(self._key + name)
            what = b"d" if value is None else b"p"
            arguments += (what.upper() if is_listed(name) else what, value or b"")
        try:
            return bool(await self._run(COMMIT, keys, arguments, host=commit.host))
        except Elsewhere:
            return False

    async def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write at most 1,000 rows and about 4 MiB per request."""
        for chunk in chunks(rows, most_rows=_CHUNK_ROWS, most_bytes=_CHUNK_BYTES):
            await self.commit(Commit({}, dict(chunk)))

    async def remove(self, names: Collection[bytes]) -> None:
        """Delete at most 1,000 names per request; works on a full server, too."""
        ordered = list(names)
        for at in range(0, len(ordered), _CHUNK_ROWS):
            keys = [self._index, *(self._key + name for name in ordered[at : at + _CHUNK_ROWS])]
            await self._run(REMOVE, keys, [len(self._key)])

    async def range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """List names from the index and then read their values; a name that is deleted in between is left out.

        Args:
            prefix: The prefix of the names.
            start: The first name.
            limit: The greatest number of items.
        """
        rows: list[tuple[bytes, bytes]] = []
        least, end = b"[" + max(prefix, start), _end(prefix)
        while len(rows) < limit:
            wanted = min(limit - len(rows), _CHUNK_ROWS)
            names = await self._link.read("ZRANGE", self._index, least, end, "BYLEX", "LIMIT", 0, wanted)
            values = await self.fetch(names)
            rows += [(name, value) for name, value in zip(names, values, strict=True) if value is not None]
            if len(names) < wanted:
                break
            least = b"(" + names[-1]
        return rows

    async def count(self, prefix: bytes) -> int:
        """Count names in the index."""
        found: int = await self._link.read("ZLEXCOUNT", self._index, b"[" + prefix, _end(prefix))
        return found

    async def close(self) -> None:
        """Close every connection."""
        await self._link.close()

    async def _run(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes | int], host: str = ""
    ) -> Any:
        given = (len(keys), *keys, *arguments)
        try:
            return (await self._link.call([["EVALSHA", script.hash, *given]], host=host))[0]
        except UnknownScript:  # after a restart, or a failover, or where somebody has flushed the scripts
            return (await self._link.call([["EVAL", script.text, *given]], host=host))[0]


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # The message quotes nothing: a supposed host or port may be a part of a password.
        raise StoreError(
            "the store's URL cannot be read; write redis://user:password@host:port/db, and percent-encode what a "
            "URL does not allow in a password",
            field="store",
        ) from None
    return parts


def _address(url: str, options: dict[str, str]) -> ServerAddress:
    parts = _split(url)
    database = options.get("db") or parts.path.strip("/") if parts.scheme != "unix" else options.get("db", "0")
    if not re.fullmatch(r"\d{0,9}", database):
        raise StoreError("the store's database must be a number, as in redis://host:6379/0", field="store")
    try:
        timeout_s = float(options.get("timeout_s", "5"))
    except ValueError:
        timeout_s = 0.0
    if not 0 < timeout_s <= 60:  # noqa: PLR2004  # a bound, named in the message
        raise StoreError("timeout_s is not a number of seconds, more than 0 and up to 60", field="store.timeout_s")
    scheme = parts.scheme.replace("valkey", "redis")
    connect = parse_url(parts._replace(scheme=scheme, query="").geturl())
    connect["db"] = int(database or 0)
    if (password := os.environ.get(_PASSWORD_VARIABLE)) and "password" not in connect:
        connect["password"] = password
    where = parts.path if parts.scheme == "unix" else f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
    shown = f"{parts.scheme}://{where}" + (f"/{database}" if parts.scheme != "unix" and database else "")
    return ServerAddress(shown, connect, timeout_s, options.get("durability") == "server")


def _end(prefix: bytes) -> bytes:
    """The bound for ZRANGE just after every name with a prefix."""
    end = end_of(prefix)
    return b"+" if end is None else b"(" + end
