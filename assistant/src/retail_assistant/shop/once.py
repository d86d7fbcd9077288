"""Idempotent writes: a write that is sent again with its key is made only once."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable

from retail_assistant.shop.errors import BadValue, KeyReused, NotProposed
from retail_assistant.shop.schema import transaction

KEPT_S = 24 * 3600.0
"""Seconds after which a key is dropped."""
LONGEST_KEY = 255
RETRIED_S = 60.0
"""Seconds within which a write without a key is taken for a repetition of the same one."""


def once(
    conn: sqlite3.Connection,
    key: str,
    request: bytes,
    write: Callable[[sqlite3.Connection], int | None],
    *,
    now: float,
    shopper: str = "",
) -> int | None:
    """Make a write and record its key in one transaction, or return the result of the same request's earlier write.

    Args:
        conn: The shop file.
        key: The client's key for this write.
        request: The bytes that identify the request: method, path and body.
        write: Writes, and returns the position of its outbox row; ``None`` if it raises no tag.
        now: Epoch seconds.
        shopper: Whose key it is; empty for operators.

    Raises:
        KeyReused: The key was used for another request.
        BadValue: The key is empty, too long, or not printable.
    """
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise BadValue(f"idempotency-key must have 1 to {LONGEST_KEY} printable characters", field="idempotency-key")
    key, digest = f"{key}\n{shopper}", hashlib.sha256(request).digest()
    with transaction(conn):
        conn.execute("DELETE FROM written WHERE at < ?", (now - KEPT_S,))
        before = conn.execute("SELECT digest, position FROM written WHERE key = ?", (key,)).fetchone()
        if before is None:
            position = write(conn)
            conn.execute("INSERT OR REPLACE INTO written VALUES (?, ?, ?, ?)", (key, digest, position, now))
            return position
    if before[0] != digest:
        raise KeyReused("this idempotency-key was used for another request; send a new one", field="idempotency-key")
    known: int | None = before[1]
    return known


def or_known(
    conn: sqlite3.Connection, request: bytes, write: Callable[[sqlite3.Connection], int], *, now: float
) -> int:
    """Make a write, or return what the same request's write returned within the last :data:`RETRIED_S`.

    Args:
        conn: The shop file.
        request: The bytes that identify the request.
        write: Writes, and returns a number. It raises :class:`NotProposed`, and writes nothing, if it was done before.
        now: Epoch seconds.

    Raises:
        NotProposed: The same request has written nothing lately.
    """
    digest = hashlib.sha256(request).digest()
    key = f"retried\n{digest.hex()}"  # no shopper is called like a digest, so that this is never a client's key
    with transaction(conn):
        try:
            result = write(conn)
        except NotProposed:
            known = conn.execute("SELECT position FROM written WHERE key = ? AND at >= ?", (key, now - RETRIED_S))
            if (row := known.fetchone()) is None:
                raise
            return int(row[0])
        conn.execute("DELETE FROM written WHERE at < ?", (now - KEPT_S,))
        conn.execute("INSERT OR REPLACE INTO written VALUES (?, ?, ?, ?)", (key, digest, result, now))
        return result
