"""The ordered change log that shares each write's transaction."""

from __future__ import annotations

import sqlite3
import uuid


def emit(conn: sqlite3.Connection, subject: str, kind: str, now: float) -> int:
    """Add one change to the outbox, inside the caller's transaction, and return its position.

    ``subject`` is the tag that the change raises (``policy/returns``), ``kind`` what happened to it
    (``policy.changed``), ``now`` the time in epoch seconds. Writers are serialised by ``BEGIN IMMEDIATE``, so
    positions grow in commit order.
    """
    cursor = conn.execute(
        "INSERT INTO parbake_outbox (id, subject, type, time) VALUES (?, ?, ?, ?)",
        (uuid.uuid4().hex, subject, kind, now),
    )
    return int(cursor.lastrowid or 0)


def last_position(conn: sqlite3.Connection) -> int:
    """Return the position of the newest outbox row, 0 when nothing was ever written."""
    row = conn.execute("SELECT max(position) FROM parbake_outbox").fetchone()
    return int(row[0] or 0)
