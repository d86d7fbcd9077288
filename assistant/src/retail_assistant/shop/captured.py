"""Which tables of the shop tell of their changes by triggers, whoever writes to the file."""

from __future__ import annotations

import sqlite3
from typing import cast

from parbake_capture.sqlite_triggers import SqliteCapture
from parbake_capture.tables import Captured

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


def capture(conn: sqlite3.Connection) -> None:
    """Install the triggers in a shop file; raises each family once, so do it after the first rows are written."""
    triggers = SqliteCapture(conn)
    triggers.run(triggers.install(TABLES, app="shop"))


def last_change(conn: sqlite3.Connection) -> int:
    """The position of the last event of the open transaction, which a trigger has written."""
    return cast("int", conn.execute("SELECT max(position) FROM parbake_outbox").fetchone()[0])
