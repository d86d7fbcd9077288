"""The tables of a ledger: numbered files of SQL, one for each kind of database, and the check that they are there."""

from __future__ import annotations

import re
from pathlib import Path

from parbake.errors import StoreError
from parbake_planner.ledger.database import Connection, LedgerDatabase

_FORMAT = 2
"""The number of the files that this version of parbake reads and writes; a ledger stores the number of its own."""
_ADDED_TO = 1
"""The oldest format that this one only adds tables to. A ledger of it gets them."""
_TABLE = re.compile(r"^CREATE TABLE IF NOT EXISTS (\w+)\(\n(.*?)^\)", re.MULTILINE | re.DOTALL)
_COLUMN = re.compile(r"^  ([a-z]\w*) (.+?),?$", re.MULTILINE)


def prepare(connection: Connection, database: LedgerDatabase) -> None:
    """Create the tables of a new ledger, add what an older one lacks, and check all of them.

    Args:
        connection: A connection to the database, outside of any transaction.
        database: The database.

    Raises:
        StoreError: The ledger has another format, or a table has other columns.
    """
    database.set_up(connection)  # type: ignore[arg-type]  # a connection of this database
    script = Path(__file__).with_name("sql").joinpath(f"ledger_{_FORMAT}.{database.kind}.sql").read_text("utf-8")
    tables = {table: dict(_COLUMN.findall(body)) for table, body in _TABLE.findall(script)}
    has_number = _columns(connection, database, "ledger_format")
    if not has_number or _version(connection) in range(_ADDED_TO, _FORMAT):
        with connection:
            connection.execute(database.alone)
            for statement in script.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute("UPDATE ledger_format SET version = ? WHERE version < ?", (_FORMAT, _FORMAT))
            for table, columns in tables.items():
                known = _columns(connection, database, table)
                # Only tables of an earlier parbake; a foreign table is left as it is.
                for name in list(columns)[len(known) :] if list(known) == list(columns)[: len(known)] else ():
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")
    if (version := _version(connection)) != _FORMAT:
        raise StoreError(
            f"the ledger {database.name} has format {version}, and this version of parbake reads format {_FORMAT}: "
            "install the version that wrote it, or name another ledger",
            field="ledger",
        )
    for table, columns in tables.items():
        known = _columns(connection, database, table)
        if list(known) != list(columns) or not all(columns[name].upper().startswith(known[name]) for name in known):
            raise StoreError(
                f"{database.name} is not a ledger (its table {table} has other columns); {database.remedy}",
                field="ledger",
            )


def _version(connection: Connection) -> int:
    (version,) = connection.execute("SELECT MAX(version) FROM ledger_format").fetchone()
    return int(version or 0)


def _columns(connection: Connection, database: LedgerDatabase, table: str) -> dict[str, str]:
    """The columns of a table, in their order, with their types in capitals; empty without the table."""
    return {name: kind.upper() for name, kind in connection.execute(database.columns, (table,)).fetchall()}
