"""A ledger in PostgreSQL 14 or later, which several hosts share. Its tables are in a schema of their own.

Nothing waits longer for the server than a limit, also if the server hangs or the network drops its answers.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any, TypeVar, cast

import psycopg
from psycopg import errors as pg

from parbake.adapters._postgresql.conninfo import parameters
from parbake.errors import BadInput, StoreError, StoreUnreachable
from parbake.values.redaction import one_line

T = TypeVar("T")
_SCHEMA = "parbake_ledger"
_CONNECT_S, _STATEMENT_S, PATIENCE_S = 5, 30, 35
_OPTIONS = {
    "application_name": "parbake ledger", "target_session_attrs": "read-write", "keepalives_idle": _STATEMENT_S,
    "tcp_user_timeout": 1000 * _STATEMENT_S,
}  # fmt: skip
_SETTINGS = (
    f"SET search_path TO {_SCHEMA}; SET statement_timeout TO '{_STATEMENT_S}s'; "
    f"SET idle_in_transaction_session_timeout TO '{_STATEMENT_S}s'; "
    "SET default_transaction_isolation TO 'read committed'"
)
_ALONE, _TRIM = 0x7061726C6564, 0x706172747269
"""Two advisory locks of the database, which has one ledger."""


class PostgresqlDatabase:
    """One database; its members are those of :class:`parbake_planner.ledger.sqlite_database.SqliteDatabase`."""

    kind = "postgresql"
    remedy = f"rename its schema {_SCHEMA}, or name another database"
    errors = (psycopg.Error,)
    passing = (
        pg.OperationalError, pg.InterfaceError, pg.InternalError, pg.InsufficientPrivilege, pg.UndefinedTable,
    )  # fmt: skip
    alone = f"SELECT pg_advisory_xact_lock({_ALONE})"
    may_trim = f"SELECT pg_try_advisory_xact_lock({_TRIM})"
    columns = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    pause_s = 2.0

    def __init__(self, url: str) -> None:
        """Read the URL, as libpq does; raises :class:`BadInput` if it cannot be read."""
        given = parameters(url, field="ledger", kind=BadInput)
        self._settings: dict[str, Any] = {**_OPTIONS, **given}
        place = f"{given.get('host', '')}:{given.get('port', '')}".rstrip(":")
        self.name = f"postgresql://{place}/{given.get('dbname', '')}"

    def connect(self, *, timeout_s: float, is_new: bool = False) -> Session:
        """Connect to a server that can be written; see the other class."""
        del is_new
        limit = {"connect_timeout": min(_CONNECT_S, max(2, int(timeout_s)))}
        connection = _Limited.connect(**{**limit, **self._settings, "autocommit": True})
        connection.execute(_SETTINGS.encode())
        return Session(connection)

    def set_up(self, connection: Session) -> None:
        """Do nothing: all connections are alike."""

    def overwrite_deleted(self, connection: Session) -> None:
        """Do nothing: the server's files are its own; see ``docs/howto/privacy.md``."""

    def compact(self, connection: Session) -> None:
        """Do nothing, for the same reason."""

    def refused(self, error: Exception) -> StoreError:
        """Make the error for a database that cannot be opened: is it a right, other tables, or the server?"""
        why = one_line(error)
        if isinstance(error, pg.InsufficientPrivilege | pg.InvalidSchemaName):  # a schema that it may not use
            to_do = f"create the schema {_SCHEMA} for its role, or grant the role the tables"
            return StoreError(f"the ledger {self.name} may not be used ({why}); {to_do}", field="ledger")
        if isinstance(error, pg.UndefinedColumn | pg.UndefinedTable | pg.WrongObjectType | pg.DuplicateObject):
            return StoreError(f"{self.name} is not a ledger ({why}); {self.remedy}", field="ledger")
        return StoreUnreachable(f"the ledger {self.name} cannot be reached ({why})", field="ledger")

    def is_gone(self) -> bool:
        """Whether it is gone; a server says so itself."""
        return False


class _Limited(psycopg.Connection[Any]):
    """Gives up when the server has neither sent nor taken anything for a while."""

    def wait(self, gen: Generator[Any, Any, T], *more: Any, **options: Any) -> T:
        return super().wait(self._limited(gen), *more, **options)

    def _limited(self, steps: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        ready, until = None, time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                wanted = steps.send(ready)
            except StopIteration as done:
                return cast("T", done.value)
            ready = yield wanted
            until = time.monotonic() + PATIENCE_S if ready else until
        self.close()
        raise psycopg.OperationalError(f"no answer within {PATIENCE_S} s")


class Session:
    """A connection with the methods of :class:`sqlite3.Connection` that a ledger uses; ``with`` is one transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        """Run a statement, and return its cursor."""
        return self._connection.execute(_spelled(statement), parameters)

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each row, without waiting for one before the next is sent."""
        if rows:
            self._connection.cursor().executemany(_spelled(statement), rows)

    def __enter__(self) -> None:
        self._connection.execute(b"BEGIN")

    def __exit__(self, kind: object, *_: object) -> None:
        if not self._connection.closed:
            self._connection.execute(b"ROLLBACK" if kind else b"COMMIT")

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()


def _spelled(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()
