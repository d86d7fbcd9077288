"""Where PostgreSQL looks up what a statement names: for what is not a view's, in the server's own schema alone.

Whoever may create in a schema of the search path may make a function, an operator or a type there that fits a statement
better than the server's own. It would run with the rights of whoever executes the statement.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import psycopg

PINNED = "pg_catalog, pg_temp"
"""Functions, operators and types of the server itself; others may create in neither schema."""
_READ = """
SELECT
  pg_catalog.current_setting('search_path'),
  pg_catalog.quote_ident(coalesce(
    (
      SELECT n.nspname FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
      WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('parbake_outbox')
    ),
    pg_catalog.current_schema()
  )),
  pg_catalog.quote_ident(pg_catalog.current_schema()),
  pg_catalog.to_regclass('parbake_outbox') IS NOT NULL
"""
_SET = "SELECT pg_catalog.set_config('search_path', %s, %s)"
_PART = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^\s,"]+))\s*(?:,|\Z)')


class CallerPath(NamedTuple):
    """The search path that a connection had before it was pinned, and what it finds.

    Attributes:
        path: The path, as the server writes it.
        outbox_schema: The quoted schema of the outbox that the path finds; without an outbox, that of new objects.
            ``None`` if the path names no schema that may be used.
        first_schema: The quoted schema in which the path lets new objects be made; ``None`` as above.
        has_outbox: Whether the path finds an outbox.
    """

    path: str
    outbox_schema: str | None
    first_schema: str | None
    has_outbox: bool

    def qualify(self, statement: str) -> bytes:
        """Put the schema of the outbox in the place of ``OWN``; the statement has to be executed with parameters.

        Args:
            statement: The statement, with ``OWN.`` before each name of the outbox.
        """
        schema = f"{self.outbox_schema.replace('%', '%%')}." if self.outbox_schema else ""
        return statement.replace("OWN.", schema).encode()

    def set_for_transaction(self) -> bytes:
        """The statement that sets the path until the end of the transaction; it takes no snapshot."""
        from psycopg import sql

        names = [
            quoted.replace('""', '"') if quoted or not plain else plain.encode().lower().decode()
            for quoted, plain in _PART.findall(self.path)
        ]
        listed = ", ".join(sql.Literal(name).as_string(None) for name in names or [""])
        return f"SET LOCAL search_path = {listed}".encode()


def read_path(connection: psycopg.Connection[Any]) -> CallerPath:
    """The search path of a connection, and what it finds."""
    row = connection.execute(_READ.encode()).fetchone()
    return CallerPath(*row) if row else CallerPath("", None, None, has_outbox=False)


def pin(connection: psycopg.Connection[Any], *, is_local: bool = False) -> CallerPath:
    """Let a connection look names up in the server's own schema alone; returns what its path was.

    Args:
        connection: The connection.
        is_local: Whether to do so only until the end of the open transaction.
    """
    found = read_path(connection)
    connection.execute(_SET, (PINNED, is_local))
    return found


def restore(connection: psycopg.Connection[Any], before: CallerPath) -> None:
    """Set the path of the open transaction to what it was.

    Args:
        connection: The connection.
        before: What :func:`pin` has returned.
    """
    connection.execute(_SET, (before.path, True))
