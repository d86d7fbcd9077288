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

from parbake.adapters.postgresql import OUTBOX_DDL, TIMEOUT_S, PostgresqlSource, translate
from parbake.errors import SourceError
from parbake.values.redaction import without_credentials
from parbake_capture.tables import Captured
from parbake_lab.prove.copies import Column, Copy, Table
from parbake_lab.prove.drivers import Call

_COLUMNS = """
SELECT
  c.relname, c.oid::REGCLASS::TEXT, a.attname, format_type(a.atttypid, NULL), NOT a.attnotnull,
  coalesce(a.attnum = ANY(k.indkey), false),
  EXISTS (SELECT FROM pg_index u WHERE u.indrelid = c.oid AND u.indisunique AND a.attnum = ANY(u.indkey)),
  (SELECT ARRAY[p.relname, pa.attname]::TEXT[] FROM pg_constraint f JOIN pg_class p ON p.oid = f.confrelid
   JOIN pg_attribute pa ON pa.attrelid = p.oid AND pa.attnum = f.confkey[array_position(f.conkey, a.attnum)]
   WHERE f.conrelid = c.oid AND f.contype = 'f' AND a.attnum = ANY(f.conkey) LIMIT 1),
  EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
          WHERE t.tgrelid = c.oid AND p.prosrc LIKE '%parbake_outbox%')
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
LEFT JOIN pg_index k ON k.indrelid = c.oid AND k.indisprimary
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE 'parbake\\_%'
  AND c.relnamespace::REGNAMESPACE::TEXT NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY pg_table_is_visible(c.oid), c.oid, a.attnum
"""
_VIEWS = """
SELECT relname, pg_get_viewdef(oid) FROM pg_class
WHERE relkind IN ('v', 'm') AND relnamespace::REGNAMESPACE::TEXT NOT IN ('pg_catalog', 'information_schema')
"""
_REACHED = ("host", "port", "dbname")
_FUNCTIONS = """
SELECT proname FROM pg_proc
WHERE pronamespace::REGNAMESPACE::TEXT NOT IN ('pg_catalog', 'information_schema') AND proname NOT LIKE 'parbake\\_%'
"""


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
                (original,) = connection.execute("SELECT quote_ident(current_database())").fetchone() or ("",)
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
        return self.execute("SELECT subject, type FROM parbake_outbox WHERE xid = pg_current_xact_id()")

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
        return {name: made.rstrip().rstrip(";") for name, made in self.execute(_VIEWS)}

    def _is(self, name: str) -> str:
        return "ctid = ?::TID" if name == "ctid" else super()._is(name)
