"""What a PostgreSQL database says of its columns, with which the tags that views name are compared."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from parbake.adapters._postgresql.search_path import CallerPath
from parbake.ports.row_keys import NO_COLUMNS, Columns

if TYPE_CHECKING:
    import psycopg

# These are executed within the transaction of a view, with the search path of the caller, which decides what is
# visible. So each function, operator and type is named with its schema.
_KINDS = """
SELECT c.relname, a.attname, CASE
  WHEN NOT coalesce(o.collisdeterministic, true) THEN 'text of a collation that takes different texts as equal'
  WHEN t.typtype OPERATOR(pg_catalog.=) 'e' OR t.typname OPERATOR(pg_catalog.=) ANY('{text,varchar}'::pg_catalog.NAME[])
  THEN 'text'
  WHEN t.typname OPERATOR(pg_catalog.=) ANY('{int2,int4,int8}'::pg_catalog.NAME[]) THEN 'integer'
  ELSE t.typname::pg_catalog.TEXT
END
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
  AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid
LEFT JOIN pg_catalog.pg_collation o ON o.oid OPERATOR(pg_catalog.=) a.attcollation
WHERE c.relkind OPERATOR(pg_catalog.=) ANY('{r,p,v,m,f}'::pg_catalog."char"[])
  AND pg_catalog.pg_table_is_visible(c.oid) AND c.relnamespace OPERATOR(pg_catalog.<>) ALL(
    '{pg_catalog,information_schema}'::pg_catalog.REGNAMESPACE[]
  )
"""
_TAGS = "SELECT DISTINCT relation, pg_catalog.unnest(tags) FROM OWN.parbake_capture"
_HAS_CAPTURE = "SELECT pg_catalog.to_regclass(%s) IS NOT NULL"
_CAPTURED_STATE = """
SELECT pg_catalog.concat_ws(
  ' ',
  (
    SELECT pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.TEXT::BIGINT))
    FROM OWN.parbake_capture
  ),
  (
    SELECT pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.TEXT::BIGINT))
    FROM pg_catalog.pg_attribute
    WHERE attrelid OPERATOR(pg_catalog.=) ANY(
      ARRAY(SELECT pg_catalog.to_regclass(relation)::pg_catalog.OID FROM OWN.parbake_capture)
    ) AND attnum OPERATOR(pg_catalog.>) 0
  )
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

    def read(self, connection: psycopg.Connection[Any], path: CallerPath) -> Columns:
        """The columns of tables and views, and the families that triggers spell from columns.

        Captured tables are looked at each time, in the snapshot of the caller's transaction. A value that is computed
        after somebody has altered a column is then never judged by the column as it was.

        Args:
            connection: A connection to the database, with the search path of the caller.
            path: That path.
        """
        known, now = self._known, time.monotonic()
        execute = connection.execute
        captured = f"{path.outbox_schema}.parbake_capture"
        has_capture = known.has_capture or bool(_value(execute(_HAS_CAPTURE, (captured,))))
        state = _value(execute(path.qualify(_CAPTURED_STATE), ())) if has_capture else None
        if state != known.captured_state or now - known.read_at > _MAX_AGE_S:
            kinds: dict[str, dict[str, str]] = {}
            for table, column, kind in execute(_KINDS).fetchall():
                kinds.setdefault(table, {})[column] = kind
            tags = execute(path.qualify(_TAGS), ()).fetchall() if has_capture else []
            known = _Known(Columns.of(kinds, tags), now, has_capture, state)
            self._known = known
        return known.columns


def _value(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None
