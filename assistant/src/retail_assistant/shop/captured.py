"""Which tables of the shop tell of their changes by triggers, whoever writes to the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import cast

from parbake_capture import Captured
from parbake_capture.sqlite_triggers import SqliteCapture
from retail_assistant.shop.schema import SCHEMA_VERSION, check, transaction, version

TABLES = (
    Captured("orders", ("user/{shopper}",)),
    Captured("policies", ("policy/{id}",)),
    Captured("products", ("product/{asin}",)),
    Captured("promotions", ("promotion/{id}",)),
    Captured("purchases", ("user/{shopper}",)),
    Captured("reviews", ("reviews/{asin}",)),
)
UNCAPTURED = ("complaints", "explorations", "meta", "shoppers", "views")
"""Tables that views read and no trigger tells of. An answer that complaints withdraw is emitted by hand, the shop's own
words come with a new file, and the rest outdates nothing at once."""
_BEFORE = "10"
"""The version of shop files without triggers."""


def capture(conn: sqlite3.Connection) -> None:
    """Install the triggers in a shop file; raises each family once, so do it after the first rows are written."""
    execute(conn, SqliteCapture(conn).install(TABLES, app="shop"))


def migration(conn: sqlite3.Connection) -> list[str]:
    """The statements that bring a shop file to the present version; none if it has that.

    Raises:
        NotAShop: The file is not a shop, or has a version that cannot be migrated.
    """
    if version(conn) != _BEFORE:
        check(conn)
        return []
    stated = f"UPDATE meta SET value = '{SCHEMA_VERSION}' WHERE key = 'schema_version'"  # noqa: S608  # our own number
    return [*SqliteCapture(conn).install(TABLES, app="shop"), stated]


def put_right(conn: sqlite3.Connection) -> None:
    """Put back the triggers that a shop file lacks, and the guards that an earlier version did not make."""
    if not any(state.problem for state in SqliteCapture(conn).states()):
        return
    with transaction(conn):  # looks again, since several processes may start at once
        for statement in SqliteCapture(conn).install(TABLES, app="shop"):
            conn.execute(statement)


def execute(conn: sqlite3.Connection, statements: Sequence[str]) -> None:
    """Execute statements in one transaction."""
    SqliteCapture(conn).run(statements)


def last_change(conn: sqlite3.Connection) -> int:
    """The position of the last event of the open transaction, which a trigger has written."""
    return cast("int", conn.execute("SELECT max(position) FROM parbake_outbox").fetchone()[0])
