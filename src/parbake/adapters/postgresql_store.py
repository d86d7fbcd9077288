"""``postgresql://user:password@host:port/database?schema=parbake``: a store in two tables of a PostgreSQL database.

A read is one statement, which the server answers from one snapshot. A write is one call of a function in the database.
Options: ``schema`` separates several stores in one database, and the store from an application's tables (default
``parbake``). ``timeout_s`` bounds every call (seconds, default 5). ``connections`` is the most that one event loop of a
process opens (default 8). ``durability=server`` accepts a server that does not write each commit to disk before it
answers. All other options are libpq's, such as ``sslmode``, ``target_session_attrs`` or ``host`` for a socket. The
password may be in ``PARBAKE_POSTGRESQL_PASSWORD``, ``PGPASSWORD`` or a password file instead of the URL. Needs
PostgreSQL 14 or later.

Which copy of the data is it? Nothing that PostgreSQL reports changes exactly when acknowledged writes may be missing.
So the data names its copy in a row, with the server's identity at that time, and every new connection compares:

- The cluster's identifier, the database's, or the timeline is another: a standby was promoted, the data was recovered
  to a point in time, a dump was loaded elsewhere, or the database is a copy made by ``CREATE DATABASE ... TEMPLATE``.
- The row was written by another transaction than it says: a dump, a copy of the table or a replica by logical
  replication was loaded in its place.
- The row is missing: the table is new, was emptied, or was unlogged when the server crashed.
- The row is older than one that this process knows, or the server's log has not come as far as this process has seen:
  an older copy of the data folder or of its disk was put in place. After a restart the log is compared as it was at
  the server's start, because it grows again; and because others may have written to an older copy before that start,
  the store's counter must not have gone back either. Every read, and the end of every commit, tells both.
- The server was started or has crashed since, if it does not write each commit to disk (``durability=server``).

Whoever finds one of these writes a row with a higher number, on the condition that nobody else did, and all processes
follow. A server that keeps its settings and its disk loses nothing in a crash, and its copy stays the same.

Three things are not noticed. An older copy replaces the data while no process runs that has seen more. Two servers act
as the primary, and a process keeps its connection to the first. A page is overwritten by an older version of itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import parse_qsl, quote, urlencode

from parbake.adapters._postgresql.conninfo import parameters
from parbake.adapters._postgresql.greeting import COPY, DAMAGE, StoreAddress
from parbake.adapters._postgresql.link import OtherCopy, StoreLink, WireBroken
from parbake.adapters._postgresql.wire import PGresult, Wire, array, psycopg
from parbake.errors import DamagedStore, StoreError, StoreUnreachable
from parbake.stores.steps.item_names import SEQUENCE
from parbake.stores.steps.item_steps import FETCH_S, Commit, Items, chunks, end_of
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.values.redaction import names_of_options

_PASSWORD_VARIABLE = "PARBAKE_POSTGRESQL_PASSWORD"  # noqa: S105  # the name of the variable
_COMMIT_ITEMS = 2000
"""Names in one commit; the rows are locked for about 50 ms by this many."""
_CHUNK_ROWS, _CHUNK_BYTES = 8192, 8 << 20
_REMOVED_ROWS, _COUNTED_ROWS, _COPIED_ROWS = 1000, 50_000, 50
_CONNECT_S, _MOST_CONNECTIONS, _LONGEST_S = 2, 100, 60
_OPTIONS = {"schema", "timeout_s", "connections", "durability"}
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_LISTED = b"FROM parbake_items WHERE name >= $1 AND name < $2 ORDER BY name LIMIT $3::bigint"
_COUNTED = b"(SELECT name " + _LISTED + b") AS page"
_STATEMENTS = {
    b"fetch": b"""SELECT name, value, CASE WHEN name = '\\x00' THEN pg_current_wal_flush_lsn() END,
      CASE WHEN name = '\\x00' THEN xmin END FROM parbake_items WHERE name = ANY($1::bytea[])""",
    b"commit": b"SELECT parbake_commit($1::bytea, $2::bytea[], $3::bytea, $4::bytea[], $5::bytea[])",
    b"position": b"SELECT pg_current_wal_flush_lsn(), (SELECT value FROM parbake_items WHERE name = 'q')",
    b"put": b"""INSERT INTO parbake_items SELECT name, value FROM unnest($1::bytea[], $2::bytea[]) AS new(name, value)
      ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value""",
    b"remove": b"""WITH doomed AS MATERIALIZED (
        SELECT name FROM parbake_items WHERE name = ANY($1::bytea[]) ORDER BY name FOR UPDATE)
      DELETE FROM parbake_items AS item USING doomed WHERE item.name = doomed.name""",
    b"range": b"SELECT name, value " + _LISTED,
    b"count": b"SELECT (SELECT count(*) FROM " + _COUNTED + b"), (SELECT name FROM " + _COUNTED + b" OFFSET $3 - 1)",
}
_COPY_IN = b"COPY parbake_items (name, value) FROM STDIN (FORMAT binary)"
_EXPECTED, _WRITTEN = 1, 2
_LONGER_THAN_ANY = 4096


def open_url(url: str) -> PostgresqlStore:
    """Create the store for a URL, without connecting yet; raises :class:`StoreError` if the URL is invalid."""
    return PostgresqlStore(PostgresqlItems.from_url(url))


class PostgresqlItems(Items):
    """Items in one schema of a PostgreSQL database."""

    is_snapshot = True
    commit_limit = _COMMIT_ITEMS

    def __init__(self, address: StoreAddress) -> None:
        """Create the driver; it connects at the first use."""
        self._link = StoreLink(address, _STATEMENTS)

    @classmethod
    def from_url(cls, url: str) -> PostgresqlItems:
        """Parse a URL; see the module."""
        base, _, query = url.partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        ours = {name: options.pop(name) for name in _OPTIONS & options.keys()}
        known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
        if unknown := options.keys() - known:
            raise StoreError(
                f"{names_of_options(unknown)} is not an option; the options are {', '.join(sorted(_OPTIONS))}, and "
                "those of libpq",
                field="store",
            )
        schema = ours.get("schema", "parbake")
        if not _SCHEMA.fullmatch(schema):
            raise StoreError(
                f"schema={schema!r} must be 1 to 63 small letters, digits or _, not begin with a digit or pg_",
                field="store.schema",
            )
        durability = ours.get("durability", "always")
        if durability not in {"always", "server"}:
            raise StoreError(f"durability={durability!r} must be always or server", field="store.durability")
        connect = _parameters(f"{base}?{urlencode(options, quote_via=quote)}" if options else base)
        return cls(
            StoreAddress(
                _shown(connect),
                connect,
                schema,
                _number(ours, "timeout_s", 5, _LONGEST_S),
                int(_number(ours, "connections", 8, _MOST_CONNECTIONS)),
                durability == "server",
            )
        )

    @property
    def host(self) -> str:
        """The name of the copy of the data; see the module."""
        return self._link.host

    async def open(self) -> None:
        """Connect, reject an unfit server, and create missing tables."""
        await self._link.read(_nothing)

    async def fetch(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Read with one statement: one round trip and one snapshot."""
        if not names:
            return []

        async def ask(wire: Wire) -> dict[bytes | None, bytes | None]:
            value = (rows := await wire.ask(b"fetch", array([COPY, SEQUENCE, *names]))).get_value
            found: dict[bytes | None, bytes | None] = {}
            position = writer = 0
            for n in range(rows.ntuples):
                name = value(n, 0)
                found[name] = value(n, 1)
                if name == COPY:
                    position, writer = _number_in(value(n, 2)), _number_in(value(n, 3))
            self._link.advance(wire, position, _number_in(found.get(SEQUENCE)))
            if found.get(COPY) != wire.host.encode() or not wire.host.endswith(f" {writer}"):
                raise WireBroken(f"{self._link.address.shown}: the data was replaced; try again", field="store")
            return found

        found = await self._link.read(ask, within_s=FETCH_S)
        return [found.get(name) for name in names]

    async def commit(self, commit: Commit) -> bool:
        """Commit with one call of a function, and see in the same round trip how far the log is on disk then.

        If its answer is lost, the call raises, and it is not known whether it wrote.
        """
        names = sorted({*commit.expected, *commit.writes})
        kinds = bytes(_EXPECTED * (n in commit.expected) + _WRITTEN * (n in commit.writes) for n in names)
        copy = commit.host.encode() or None
        parameters = (
            copy,
            array(names),
            kinds,
            array(map(commit.expected.get, names)),
            array(map(commit.writes.get, names)),
        )

        async def ask(wire: Wire) -> bool:
            done, position = await wire.together((b"commit", parameters), (b"position", ()))
            answer = done.get_value(0, 0)
            if answer is None:
                raise OtherCopy("the data was replaced", field="store")
            self._link.advance(wire, _number_in(position.get_value(0, 0)), _number_in(position.get_value(0, 1)))
            return answer == b"\1"

        try:
            return await self._link.write(ask, host=commit.host)
        except OtherCopy:
            return False

    async def put(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Load at most 8,192 rows and about 8 MiB per request; rows that exist are overwritten.

        Rows are written in the order of their names, so that writers of the same names do not deadlock.
        """
        for chunk in chunks(sorted(dict(rows).items()), most_rows=_CHUNK_ROWS, most_bytes=_CHUNK_BYTES):
            if len(chunk) < _COPIED_ROWS or not await self._copied(chunk):
                names, values = zip(*chunk, strict=True)
                await self._write(b"put", array(names), array(values))

    async def remove(self, names: Collection[bytes]) -> None:
        """Delete at most 1,000 names per request."""
        ordered = sorted(names)
        for at in range(0, len(ordered), _REMOVED_ROWS):
            await self._write(b"remove", array(ordered[at : at + _REMOVED_ROWS]))

    async def range(self, prefix: bytes, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """List items in byte order, from one snapshot.

        Args:
            prefix: The prefix of the names.
            start: The first name.
            limit: The greatest number of items.
        """
        rows = await self._read(b"range", max(prefix, start), _end(prefix), limit.to_bytes(8, "big"))
        return [(_bytes(rows, n, 0), _bytes(rows, n, 1)) for n in range(rows.ntuples)]

    async def count(self, prefix: bytes) -> int:
        """Count 50,000 items per request, so that each ends in time."""
        least, counted = prefix, 0
        while True:
            page = await self._read(b"count", least, _end(prefix), _COUNTED_ROWS.to_bytes(8, "big"))
            counted += int.from_bytes(_bytes(page, 0, 0), "big")
            last = page.get_value(0, 1)
            if last is None:
                return counted
            least = last + b"\0"

    async def heal(self) -> str:
        """Replace a table of which somebody met a damaged page; see :meth:`parbake.ports.store.Store.heal`."""
        try:
            (mark,) = await self.fetch([DAMAGE])
        except DamagedStore:
            mark = b""
        except StoreUnreachable:
            return ""
        aside = "" if mark is None else await self._link.set_aside()
        shown = self._link.address.shown
        return aside and f"{shown} was damaged: its table is now {aside}, and an empty one is in its place"

    async def discard(self) -> list[str]:
        """Drop the tables that were set aside; see :meth:`parbake.ports.store.Store.discard`."""
        return await self._link.discard()

    async def close(self) -> None:
        """Close every connection."""
        await self._link.close()

    async def _copied(self, rows: Sequence[tuple[bytes, bytes]]) -> bool:
        """Load new rows; ``False`` if one of them exists, and nothing was written."""
        return await self._link.write(lambda wire: wire.copy(_COPY_IN, rows))

    async def _read(self, statement: bytes, *parameters: bytes) -> PGresult:
        return await self._link.read(lambda wire: wire.ask(statement, *parameters))

    async def _write(self, statement: bytes, *parameters: bytes) -> PGresult:
        return await self._link.write(lambda wire: wire.ask(statement, *parameters))


async def _nothing(_: Wire) -> None:
    """Do nothing: the connection was checked when it was made."""


class PostgresqlStore(OptimisticStore):
    """A store in a PostgreSQL database, which a worker replaces if a page of it is damaged."""

    items: PostgresqlItems

    async def heal(self) -> str:
        return await self.items.heal()

    async def discard(self) -> list[str]:
        return await self.items.discard()


def _number_in(raw: bytes | None) -> int:
    """A position of the log, or the id of a transaction."""
    return int.from_bytes(raw or b"", "big")


def _bytes(rows: PGresult, row: int, column: int) -> bytes:
    return rows.get_value(row, column) or b""


def _parameters(url: str) -> Mapping[str, str]:
    """The parameters of libpq in a URL."""
    found = parameters(url, field="store", kind=StoreError)
    if (password := os.environ.get(_PASSWORD_VARIABLE)) and "password" not in found:
        found["password"] = password
    if "," in found.get("host", ""):
        found = {"target_session_attrs": "primary", **found}
    return {"connect_timeout": str(_CONNECT_S), "application_name": "parbake", **found}


def _shown(connect: Mapping[str, str]) -> str:
    """The URL without what may be secret."""
    hosts = connect.get("host", "localhost").split(",")
    ports = (connect.get("port", "5432").split(",") * len(hosts))[: len(hosts)]
    places = ",".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=True))
    return f"postgresql://{places}/{connect.get('dbname', '')}"


def _number(options: Mapping[str, str], name: str, default: float, most: float) -> float:
    try:
        found = float(options.get(name, default))
    except ValueError:
        found = 0.0
    least = 1 if name == "connections" else 0.001
    if not least <= found <= most:
        raise StoreError(f"{name} is not a number from {least} to {most}", field=f"store.{name}")
    return found


def _end(prefix: bytes) -> bytes:
    """A bound just after every name with a prefix."""
    return end_of(prefix) or b"\xff" * _LONGER_THAN_ANY
