"""What a PostgreSQL database says of its columns, with which the tags that views name are compared."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from parbake.ports.row_keys import NO_COLUMNS, Columns

if TYPE_CHECKING:
    import psycopg

_KINDS = """
SELECT c.relname, a.attname, CASE
  WHEN NOT coalesce(o.collisdeterministic, true) THEN 'text of a collation that takes different texts as equal'
  WHEN t.typtype = 'e' OR t.typname IN ('text', 'varchar', 'name') THEN 'text'
  WHEN t.typname IN ('int2', 'int4', 'int8', 'oid') THEN 'integer'
  ELSE t.typname
END
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation o ON o.oid = a.attcollation
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_table_is_visible(c.oid)
  AND c.relnamespace NOT IN ('pg_catalog'::REGNAMESPACE, 'information_schema'::REGNAMESPACE)
"""
_TAGS = "SELECT DISTINCT relation, unnest(tags) FROM parbake_capture"
_KEPT_S = 60.0
"""For how many seconds the columns are taken to be as they were."""


class PostgresqlColumns:
    """Reads the columns of one database at most once a minute."""

    def __init__(self) -> None:
        self._columns = NO_COLUMNS
        self._read_at = float("-inf")

    def read(self, connection: psycopg.Connection[Any]) -> Columns:
        """The columns of tables and views, and the families that triggers spell from columns.

        Args:
            connection: A connection to the database.
        """
        now = time.monotonic()
        if now - self._read_at > _KEPT_S:
            kinds: dict[str, dict[str, str]] = {}
            for table, column, kind in connection.execute(_KINDS).fetchall():
                kinds.setdefault(table, {})[column] = kind
            row = connection.execute("SELECT to_regclass('parbake_capture') IS NOT NULL").fetchone()
            tags = connection.execute(_TAGS).fetchall() if row and row[0] else []
            self._columns = Columns.of(kinds, tags)
            self._read_at = now
        return self._columns
