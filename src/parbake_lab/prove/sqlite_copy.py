"""The copy of an SQLite file."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from parbake.adapters.sqlite import OUTBOX_DDL, SqliteSource
from parbake.errors import SourceError
from parbake_capture.tables import Captured
from parbake_lab.prove.copies import Column, Copy, Table, quoted
from parbake_lab.prove.drivers import Call


class SqliteCopy(Copy):
    """A copy in a temporary file."""

    dialect = "sqlite"
    refusals = (sqlite3.Error, OverflowError, ValueError)

    def __init__(self, source: SqliteSource, tables: Sequence[Captured]) -> None:
        """Copy the file of a source; raises :class:`SourceError` if it cannot be read.

        Args:
            source: The source.
            tables: Further tables to capture on the copy.
        """
        if not source.path.is_file():
            raise SourceError(f"source {source.name!r}: {source.path} does not exist", field=source.name)
        self._folder = tempfile.TemporaryDirectory(prefix="parbake-prove-")
        self._original, path = source.path, Path(self._folder.name) / "copy.db"
        self._path = path
        try:
            with (
                contextlib.closing(sqlite3.connect(f"{source.path.resolve().as_uri()}?mode=ro", uri=True)) as original,
                contextlib.closing(sqlite3.connect(path)) as copy,
            ):
                original.backup(copy)
                copy.execute("PRAGMA journal_mode=WAL")
                copy.execute(OUTBOX_DDL)
        except sqlite3.Error as error:
            self._folder.cleanup()
            raise SourceError(f"source {source.name!r} cannot be copied: {error}", field=source.name) from error
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA foreign_keys=ON")
        with self.closed_if_it_fails():
            super().__init__(source.name, f"sqlite:///{path}", source.uncaptured, tables)
        self._begin()

    def _begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._last = self._position()

    def led(self, call: Call) -> Call | None:
        given = call.named.get("database", next(iter(call.arguments), ""))
        place = os.fsdecode(given) if isinstance(given, str | bytes | os.PathLike) else ""
        path = urlsplit(place).path if place.startswith("file:") else place
        if call.driver != "sqlite3" or os.path.realpath(path) != os.path.realpath(self._original):
            return None
        named = {**call.named, "database": place.replace(path, str(self._path))}
        return call._replace(arguments=(), named=named) if not call.arguments[1:] else None

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        return self._connection.execute(statement, parameters).fetchall()

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        self._connection.execute("SAVEPOINT change")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK TO change")
            self._connection.execute("RELEASE change")

    def told(self) -> list[tuple[str, str]]:
        return self.execute("SELECT subject, type FROM parbake_outbox WHERE position > ?", (self._last,))

    def close(self) -> None:
        self._connection.close()
        self._folder.cleanup()

    def _position(self) -> int:
        return int(self.execute("SELECT coalesce(max(position), 0) FROM parbake_outbox")[0][0])

    def _named(self, kind: str) -> list[tuple[str, str]]:
        return self.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = ? AND name NOT LIKE 'parbake\\_%' ESCAPE '\\' "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            (kind,),
        )

    def _tables(self) -> Iterator[Table]:
        telling = "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%parbake_outbox%'"
        told = {row[0] for row in self.execute(telling)}
        for name, made in self._named("table"):
            if not made.upper().startswith("CREATE VIRTUAL"):
                columns = {column.name: column for column in self._columns(name)}
                yield Table(name, quoted(name), columns, "rowid", name in told)

    def _columns(self, table: str) -> Iterator[Column]:
        refers = {
            row[0]: (row[1], row[2] or "")
            for row in self.execute('SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)', (table,))
        }
        unique = {
            row[0]
            for row in self.execute(
                'SELECT x.name FROM pragma_index_list(?) i, pragma_index_info(i.name) x WHERE i."unique"', (table,)
            )
        }
        asked = 'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?) WHERE hidden = 0'
        for name, kind, is_filled, place in self.execute(asked, (table,)):
            yield Column(
                name, kind.lower(), not is_filled and not place, bool(place), name in unique, refers.get(name)
            )  # fmt: skip

    def _views(self) -> dict[str, str]:
        return {
            name: re.split(r"\sAS\s", made, maxsplit=1, flags=re.IGNORECASE)[1] for name, made in self._named("view")
        }
