"""Where PostgreSQL looks up what a statement names: for what is not a view's, in the server's own schema alone.

Whoever may create in a schema of the search path may make a function, an operator or a type there that fits a statement
better than the server's own. It would run with the rights of whoever executes the statement.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from parbake.adapters._postgresql.owners import OUTBOX, OUTBOX_FUNCTIONS, said_of_strangers, strangers
from parbake.errors import SourceError

if TYPE_CHECKING:
    import psycopg

PINNED = "pg_catalog, pg_temp"
"""Functions, operators and types of the server itself; others may create in neither schema."""
_READ = """
WITH place AS MATERIALIZED (
  SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) coalesce(
    (
      SELECT c.relnamespace FROM pg_catalog.pg_class c
      WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('parbake_outbox')
    ),
    (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.=) pg_catalog.current_schema())
  )
)
SELECT
  pg_catalog.current_setting('search_path'),
  (SELECT pg_catalog.quote_ident(nspname) FROM place),
  pg_catalog.quote_ident(pg_catalog.current_schema()),
  pg_catalog.to_regclass('parbake_outbox') IS NOT NULL,
  <strangers>
""".replace("<strangers>", strangers("(SELECT oid FROM place)", OUTBOX, OUTBOX_FUNCTIONS))
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
        strangers: What has the name of something of parbake's in the outbox's schema, and belongs to a role that need
            not be trusted; ``None`` if there is nothing.
        is_open: Whether every role may create in that schema.
    """

    path: str
    outbox_schema: str | None
    first_schema: str | None
    has_outbox: bool
    strangers: str | None = None
    is_open: bool | None = False

    def refuse_strangers(self, *, field: str, is_installing: bool = False) -> None:
        """Raise :class:`SourceError` if something of the outbox belongs to a role that need not be trusted.

        Whoever reads need not be whoever has installed. So where only roles that were named may create in the schema,
        each of them is trusted to have installed, but not by another one that installs.

        Args:
            field: What the error names.
            is_installing: Whether the outbox is to be made or altered.
        """
        if self.strangers and (is_installing or self.is_open):
            to_do = "let the search_path begin with another schema"
            if not is_installing:
                to_do = f"{to_do}, or let not everybody create in it (REVOKE CREATE ON SCHEMA ... FROM PUBLIC)"
            raise SourceError(said_of_strangers(self.strangers, self.outbox_schema, to_do=to_do), field=field)

    def qualify(self, statement: str) -> bytes:
        """Put the schema of the outbox in the place of ``OWN``; the statement has to be executed with parameters.

        This is done once and with the text of a statement alone. Names of tables and schemas are its parameters, so
        that one that has ``OWN.`` in it is left as it is.

        Args:
            statement: The statement, with ``OWN.`` before each name of the outbox, and never within a literal.
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


def pin_own(connection: psycopg.Connection[Any], *, field: str, is_installing: bool = False) -> CallerPath:
    """Pin a connection of parbake's own, which is closed if the outbox is a stranger's; returns what its path was.

    Args:
        connection: The connection.
        field: What the error names.
        is_installing: Whether the outbox is to be made or altered.

    Raises:
        SourceError: Something of the outbox belongs to a role that need not be trusted.
    """
    found = pin(connection)
    try:
        found.refuse_strangers(field=field, is_installing=is_installing)
    except SourceError:
        connection.close()
        raise
    return found


def restore(connection: psycopg.Connection[Any], before: CallerPath) -> None:
    """Set the path of the open transaction to what it was.

    Args:
        connection: The connection.
        before: What :func:`pin` has returned.
    """
    connection.execute(_SET, (before.path, True))
