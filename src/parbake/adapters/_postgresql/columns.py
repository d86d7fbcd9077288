"""What a PostgreSQL database says of its columns, with which the tags that views name are compared."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from parbake.ports.row_keys import NO_COLUMNS, Columns

if TYPE_CHECKING:
    import psycopg

_KINDS = """
SELECT c.relname, a.attname, CASE
  WHEN NOT coalesce(o.collisdeterministic, true) THEN 'text of a collation that takes different texts as equal'
  WHEN t.typtype = 'e' OR t.typname IN ('text', 'varchar') THEN 'text'
  WHEN t.typname IN ('int2', 'int4', 'int8') THEN 'integer'
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
_HAS_CAPTURE = "SELECT to_regclass('parbake_capture') IS NOT NULL"
_CAPTURED_STATE = """
SELECT
  (SELECT concat_ws(' ', count(*), sum(xmin::TEXT::BIGINT)) FROM parbake_capture) || ' ' ||
  (
    SELECT concat_ws(' ', count(*), sum(xmin::TEXT::BIGINT)) FROM pg_attribute
    WHERE attrelid = ANY(ARRAY(SELECT to_regclass(relation)::OID FROM parbake_capture)) AND attnum > 0
  )
"""
"""Changes whenever another transaction has written what is captured, or the columns of a captured table."""
_MAX_AGE_S = 60.0
"""For how many seconds the columns of tables that are not captured are taken to be as they were."""


class _Known(NamedTuple):
    """The columns as they were read."""

    columns: Columns
    read_at: float
    has_capture: bool
    captured_state: str | None


class PostgresqlColumns:
    """Reads the columns of one database again when a captured table has changed, and once a minute."""

    def __init__(self) -> None:
        self._known = _Known(NO_COLUMNS, float("-inf"), has_capture=False, captured_state=None)

    def read(self, connection: psycopg.Connection[Any]) -> Columns:
        """The columns of tables and views, and the families that triggers spell from columns.

        Captured tables are looked at each time, in the snapshot of the caller's transaction. A value that is computed
        after somebody has altered a column is then never judged by the column as it was.

        Args:
            connection: A connection to the database.
        """
        known, now = self._known, time.monotonic()
        has_capture = known.has_capture or _read_value(connection, _HAS_CAPTURE)
        state = _read_value(connection, _CAPTURED_STATE) if has_capture else None
        if state != known.captured_state or now - known.read_at > _MAX_AGE_S:
            kinds: dict[str, dict[str, str]] = {}
            for table, column, kind in connection.execute(_KINDS).fetchall():
                kinds.setdefault(table, {})[column] = kind
            tags = connection.execute(_TAGS).fetchall() if has_capture else []
            known = _Known(Columns.of(kinds, tags), now, has_capture, state)
            self._known = known
        return known.columns


def _read_value(connection: psycopg.Connection[Any], statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    return row[0] if row else None
