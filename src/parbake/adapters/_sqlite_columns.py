"""What an SQLite file says of its columns, with which the tags that views name are compared."""

from __future__ import annotations

import sqlite3

import msgspec

from parbake.ports.row_keys import NO_COLUMNS, Columns

_DECLARED = """
SELECT m.name, c.name, upper(c.type) FROM sqlite_master m, pragma_table_xinfo(m.name) c
WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
"""
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
            kinds: dict[str, dict[str, str]] = {}
            for table, column, declared in connection.execute(_DECLARED).fetchall():
                kinds.setdefault(table, {})[column] = _kind(declared)
            rows = []
            if connection.execute(_HAS_CAPTURE).fetchone():
                rows = connection.execute("SELECT relation, tags FROM parbake_capture").fetchall()
            tags = [
                (relation, tag) for relation, encoded in rows for tag in msgspec.json.decode(encoded, type=list[str])
            ]
            self._columns = Columns.of(kinds, tags)
            self._version = version
        return self._columns


def _kind(declared: str) -> str:
    """The kind of a column, by the rules of affinity (https://www.sqlite.org/datatype3.html, section 3.1)."""
    if "INT" in declared:
        return "integer"
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    return declared.lower() or "no type"
