"""Where a ledger is kept: in an SQLite file or in PostgreSQL, by its address.

The rows, the statements and the queries are the same in both. Statements have ``?`` for parameters and use only what
both understand. What differs is in the files of SQL and in two classes with the same members:
:class:`~parbake_planner.ledger.sqlite_database.SqliteDatabase`, which describes them, and
:class:`~parbake_planner.ledger.postgresql_database.PostgresqlDatabase`.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from parbake.errors import BadInput, MissingDependency
from parbake.values.redaction import without_credentials
from parbake_planner.ledger.sqlite_database import SqliteDatabase

if TYPE_CHECKING:
    import sqlite3

    from parbake_planner.ledger.postgresql_database import PostgresqlDatabase, Session

Connection: TypeAlias = "sqlite3.Connection | Session"
LedgerDatabase: TypeAlias = "SqliteDatabase | PostgresqlDatabase"
_URLS = ("postgresql://", "postgres://")
_LIBPQ = re.compile(r"(?i)\b(?:host|hostaddr|dbname|user|password|service)\s*=")
"""How names and values begin that libpq reads: as the path of a file they would put a password into its name."""

_MALFORMED = re.compile(r"(?s)(?![A-Za-z]:[/\\])(?:[A-Za-z][A-Za-z0-9+.-]+:/|/{0,2}[^/\\]*:.*@)")
"""How an address begins that lacks slashes; a drive of Windows has one letter."""


def checked_address(address: object) -> Path | str:
    """Return the path of an SQLite file, or the URL of a database as it was given.

    Raises:
        BadInput: It is neither.
    """
    text = str(address) if isinstance(address, str | PathLike) else ""
    if text.startswith(_URLS):
        return text
    if not text or "://" in text or _LIBPQ.search(text) or _MALFORMED.match(text):
        shown = without_credentials(text) if text else address
        raise BadInput(
            f"ledger={shown!r}: expected the path of an SQLite file, or a URL that begins with {_URLS[0]}",
            field="ledger",
        )
    return Path(text)


def database_at(address: Path | str) -> LedgerDatabase:
    """Return the database of a checked address; nothing connects yet.

    Raises:
        BadInput: The URL cannot be read.
        MissingDependency: The driver is not installed.
    """
    if isinstance(address, Path):
        return SqliteDatabase(address)
    try:
        from parbake_planner.ledger.postgresql_database import PostgresqlDatabase
    except ModuleNotFoundError as error:
        raise MissingDependency.of("a ledger in PostgreSQL", "postgresql", field="psycopg") from error
    return PostgresqlDatabase(address)
