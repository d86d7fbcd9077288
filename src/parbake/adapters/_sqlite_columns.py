"""What an SQLite file says of its columns, with which the tags that views name are compared.

SQLite names no collation of the columns of an SQL view. Each column is therefore compared with texts that differ only
in case or in a blank at the end, in a query that reads no row.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping

import msgspec

from parbake.ports.row_keys import NO_COLUMNS, Columns

_RELATIONS = """
SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
"""
_DECLARED = "SELECT name, upper(type) FROM pragma_table_xinfo(?)"
_HAS_CAPTURE = "SELECT 1 FROM sqlite_master WHERE name = 'parbake_capture'"


class SqliteColumns:
    """Reads the columns of one file again whenever its schema has changed."""

    def __init__(self) -> None:
        self._columns = NO_COLUMNS
        self._version = -1

    def read(self, connection: sqlite3.Connection) -> Columns:
        """The columns of tables and views, and the families that triggers spell from columns.

        Args:
            connection: A connection to the file.
        """
        (version,) = connection.execute("PRAGMA schema_version").fetchone()
        if version != self._version:
            kinds: dict[str, Mapping[str, str]] = {}
            for (relation,) in connection.execute(_RELATIONS).fetchall():
                with contextlib.suppress(sqlite3.Error):  # an SQL view whose table is gone can be read by nobody
                    kinds[relation] = _kinds(connection, relation)
            rows = []
            if connection.execute(_HAS_CAPTURE).fetchone():
                rows = connection.execute("SELECT relation, tags FROM parbake_capture").fetchall()
            tags = [
                (relation, tag) for relation, encoded in rows for tag in msgspec.json.decode(encoded, type=list[str])
            ]
            self._columns = Columns.of(kinds, tags)
            self._version = version
        return self._columns


def _kinds(connection: sqlite3.Connection, relation: str) -> Mapping[str, str]:
    """The kind of each column of a table or an SQL view."""
    kinds = {name: _kind(declared) for name, declared in connection.execute(_DECLARED, (relation,)).fetchall()}
    names = [quoted(name) for name in kinds]
    compared = ", ".join(f"{name} = 'A' OR {name} = 'a '" for name in names)
    # The first part of a UNION gives its columns their collations. The inner LIMIT keeps a view from being computed,
    # and the outer one keeps the comparison from being moved into the parts, where it had the collation of each.
    listed = ", ".join(names)
    letters = ", ".join(["'a'"] * len(names))
    query = (
        f"SELECT {compared} FROM (SELECT {listed} FROM (SELECT {listed} FROM {quoted(relation)} LIMIT -1 OFFSET 0) "  # noqa: S608  # quoted names of the schema
        f"WHERE 0 UNION ALL SELECT {letters} LIMIT 1)"
    )
    is_loose = connection.execute(query).fetchone()
    return {
        name: f"{kind} with another collation than BINARY" if loose else kind
        for (name, kind), loose in zip(kinds.items(), is_loose, strict=True)
    }


def quoted(name: str) -> str:
    """A name as statements of SQL write it."""
    return '"' + name.replace('"', '""') + '"'


def _kind(declared: str) -> str:
    """The kind of a column, by the rules of affinity (https://www.sqlite.org/datatype3.html, section 3.1)."""
    if "INT" in declared:
        return "integer"
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    return declared.lower() or "no type"
