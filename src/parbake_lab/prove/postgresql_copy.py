"""The copy of a PostgreSQL database."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import Jsonb

from parbake.adapters._postgresql.search_path import read_path
from parbake.adapters.postgresql import OUTBOX_DDL, TIMEOUT_S, PostgresqlSource, translate
from parbake.errors import SourceError
from parbake.values.redaction import without_credentials
from parbake_capture.tables import Captured
from parbake_lab.prove.copies import Column, Copy, Table, quoted
from parbake_lab.prove.drivers import Call

# The connection keeps its search path, which views and the triggers of users need. So each function, operator and type
# of these statements is named with its schema.
_SYSTEM = "'{pg_catalog,information_schema,pg_toast}'::pg_catalog.REGNAMESPACE[]"
_COLUMNS = f"""
SELECT
  c.relname, c.oid::pg_catalog.REGCLASS::pg_catalog.TEXT, a.attname, pg_catalog.format_type(a.atttypid, NULL),
  NOT a.attnotnull, coalesce(a.attnum OPERATOR(pg_catalog.=) ANY(k.indkey), false),
  EXISTS (
    SELECT FROM pg_catalog.pg_index u
    WHERE u.indrelid OPERATOR(pg_catalog.=) c.oid AND u.indisunique AND a.attnum OPERATOR(pg_catalog.=) ANY(u.indkey)
  ),
  (
    SELECT ARRAY[p.relname, pa.attname]::pg_catalog.TEXT[]
    FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_class p ON p.oid OPERATOR(pg_catalog.=) f.confrelid
    JOIN pg_catalog.pg_attribute pa ON pa.attrelid OPERATOR(pg_catalog.=) p.oid
      AND pa.attnum OPERATOR(pg_catalog.=) f.confkey[pg_catalog.array_position(f.conkey, a.attnum)]
    WHERE f.conrelid OPERATOR(pg_catalog.=) c.oid AND f.contype OPERATOR(pg_catalog.=) 'f'
      AND a.attnum OPERATOR(pg_catalog.=) ANY(f.conkey) LIMIT 1
  ),
  EXISTS (
    SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) t.tgfoid
    WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND p.prosrc OPERATOR(pg_catalog.~~) '%parbake_outbox%'
  )
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
  AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND a.attgenerated OPERATOR(pg_catalog.=) ''
LEFT JOIN pg_catalog.pg_index k ON k.indrelid OPERATOR(pg_catalog.=) c.oid AND k.indisprimary
WHERE c.relkind OPERATOR(pg_catalog.=) ANY('{{r,p}}'::pg_catalog."char"[]) AND NOT c.relispartition
  AND c.relname OPERATOR(pg_catalog.!~~) 'parbake\\_%' AND c.relnamespace OPERATOR(pg_catalog.<>) ALL({_SYSTEM})
ORDER BY pg_catalog.pg_table_is_visible(c.oid), c.oid, a.attnum
"""
_VIEWS = f"""
SELECT relname, pg_catalog.pg_get_viewdef(oid) FROM pg_catalog.pg_class
WHERE relkind OPERATOR(pg_catalog.=) ANY('{{v,m}}'::pg_catalog."char"[])
  AND relnamespace OPERATOR(pg_catalog.<>) ALL({_SYSTEM})
"""
_SYSTEM_FIRST = (
    "SELECT pg_catalog.set_config('search_path', pg_catalog.concat('pg_catalog, ', %s::pg_catalog.TEXT), true)"
)
_FUNCTIONS = f"""
SELECT proname FROM pg_catalog.pg_proc
WHERE pronamespace OPERATOR(pg_catalog.<>) ALL({_SYSTEM}) AND proname OPERATOR(pg_catalog.!~~) 'parbake\\_%'
"""
_TOLD = """
SELECT subject, type FROM OWN.parbake_outbox WHERE xid OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()
"""
_NAME = "SELECT pg_catalog.quote_ident(pg_catalog.current_database())"
_REACHED = ("host", "port", "dbname")


class PostgresqlCopy(Copy):
    """A copy of a database at the same server, or a database that was given as a copy."""

    dialect = "postgres"
    refusals = (psycopg.Error, OverflowError, ValueError)
    overriding = "OVERRIDING SYSTEM VALUE"

    def __init__(self, source: PostgresqlSource, tables: Sequence[Captured], given: str = "") -> None:
        """Copy the database of a source, or take one that was given.

        Args:
            source: The source.
            tables: Further tables to capture on the copy.
            given: The address of a copy that may be used; empty to make one.

        Raises:
            SourceError: The database cannot be copied; or the given one cannot be reached.
        """
        self._source, self._made, self._lock = source, "", threading.Lock()
        self._within: list[tuple[str, Sequence[Any]]] = []
        place = self._place = given or self._copied()
        try:
            self._connection = psycopg.connect(place, autocommit=True, connect_timeout=TIMEOUT_S)
            with self.closed_if_it_fails():
                self._connection.execute(OUTBOX_DDL.encode())
                self._path = read_path(self._connection)
                super().__init__(source.name, self._url(place), source.uncaptured, tables)
                self.functions = [row[0] for row in self.execute(_FUNCTIONS)]
                self._begin()
        except psycopg.Error as error:
            shown = without_credentials(given)
            raise SourceError(f"--copy {shown}: it cannot be used: {error}", field="copy") from error

    def _copied(self) -> str:
        """Copy the database at its server; returns the address of the copy."""
        info, made = self._source.conninfo, f"parbake_prove_{uuid.uuid4().hex[:12]}"
        try:
            with psycopg.connect(info, connect_timeout=TIMEOUT_S) as connection:
                (original,) = connection.execute(_NAME).fetchone() or ("",)
            self._administer(f"CREATE DATABASE {made} TEMPLATE {original}")
        except psycopg.Error as error:
            raise SourceError(
                f"source {self._source.name!r} cannot be copied: {error}; nobody else may be connected to it, and its "
                "role needs CREATEDB. Or make a copy yourself, such as by pg_dump, and give its address by --copy",
                field="copy",
            ) from error
        self._made = made
        return make_conninfo(info, dbname=made)

    def _administer(self, statement: str) -> None:
        with psycopg.connect(make_conninfo(self._source.conninfo, dbname="postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    @staticmethod
    def _url(place: str) -> str:
        return place if "://" in place else f"postgresql://?{urlencode(conninfo_to_dict(place))}"

    def _begin(self) -> None:
        self._within = []
        self._connection.execute("BEGIN")
        self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        self._connection.execute("SAVEPOINT change")

    @contextlib.contextmanager
    def committed(self) -> Iterator[None]:
        if self._made:
            with super().committed():
                yield
        else:  # its rows stay as they are
            self._within = []
            self._connection.execute("SAVEPOINT change")
            yield

    def led(self, call: Call) -> Call | None:
        if not call.driver.startswith("psycopg"):
            return None
        own, given = conninfo_to_dict(self._source.conninfo), {name: call.named.get(name) for name in _REACHED}
        reached = conninfo_to_dict(next(iter(call.arguments), call.named.get("conninfo", "")), **given)
        if any(reached.get(name) != own.get(name) for name in _REACHED):
            return None
        return call._replace(named={**call.named, "dbname": conninfo_to_dict(self._place)["dbname"]})

    def attempt(self) -> contextlib.AbstractContextManager[object]:
        return self._connection.transaction()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        given = [Jsonb(value) if isinstance(value, dict) else value for value in values]
        cursor = self._connection.execute(statement.replace("?", "%s").encode(), given or None)
        if cursor.description:
            return cursor.fetchall()
        self._within.append((statement, values))
        return []

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        with self._lock:
            try:
                return self._connection.execute(translate(statement, parameters).encode(), parameters).fetchall()
            except psycopg.Error:  # it ends what the transaction can do, so that the changes are made again
                made = self._within
                self._undo()
                for change in made:
                    self.execute(*change)
                raise

    def _undo(self) -> None:
        self._within = []
        self._connection.execute("ROLLBACK TO change")

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._undo()

    def told(self) -> list[tuple[str, str]]:
        return self._connection.execute(self._path.qualify(_TOLD), ()).fetchall()

    def close(self) -> None:
        self._connection.close()
        if self._made:
            self._administer(f"DROP DATABASE IF EXISTS {self._made}")

    def _tables(self) -> Iterator[Table]:
        found: dict[str, list[tuple[Any, ...]]] = {}
        for row in self.execute(_COLUMNS):
            found.setdefault(row[1], []).append(row)
        for ref, rows in found.items():
            columns = {row[2]: Column._make((*row[2:7], tuple(row[7] or ()) or None)) for row in rows}
            yield Table(rows[0][0], ref, columns, "ctid", rows[0][8])

    def _views(self) -> dict[str, str]:
        with self._connection.transaction():
            # The server's function itself executes a query, whose operators are found by their very types. It names
            # tables as the path finds them, and as views do.
            self._connection.execute(_SYSTEM_FIRST, (self._path.path or '""',))
            rows = self.execute(_VIEWS)
        return {name: made.rstrip().rstrip(";") for name, made in rows}

    def _is(self, name: str) -> str:
        if name == "ctid":
            return "ctid OPERATOR(pg_catalog.=) ?::pg_catalog.TID"
        return f"{quoted(name)} OPERATOR(pg_catalog.=) ?"
