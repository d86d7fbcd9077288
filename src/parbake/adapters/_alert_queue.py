"""Alerts that wait for delivery, in an SQLite file that several processes may share."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from parbake.errors import ParbakeError
from parbake.ports.alerts import REPEATED_S
from parbake.process import forks
from parbake.process.private_files import make_file
from parbake.process.writable import check_writable
from parbake.values.backoff import Backoff

KEPT_S = 86_400.0
"""Seconds (one day) after which an undelivered alert is dropped."""
MOST = 10_000
BACKOFF = Backoff(1.0, 300.0)
CLAIMED_S = 20.0
"""Seconds for which a process that delivers an alert has it to itself."""
_FIRST = """SELECT waiting.id FROM alerts AS waiting WHERE NOT EXISTS (
    SELECT 1 FROM alerts AS earlier WHERE earlier.at < waiting.at
    AND nullif(json_extract(CAST(earlier.body AS TEXT), '$.dedupe_key'), '')
        = json_extract(CAST(waiting.body AS TEXT), '$.dedupe_key')
)"""
"""Alerts of one trouble are delivered in their order, so that its end is not told before its beginning."""
_CLAIM = (
    "UPDATE alerts SET next_at = ?, tries = tries + 1 WHERE id = ("  # noqa: S608  # the parts are this file's own
    + _FIRST
    + " AND waiting.next_at <= ? ORDER BY waiting.next_at LIMIT 1) RETURNING id, body, tries - 1"
)
_NEXT = "SELECT min(next_at) FROM alerts WHERE id IN (" + _FIRST + ")"  # noqa: S608  # as above
_INDEX = """CREATE INDEX IF NOT EXISTS alerts_of_a_trouble
ON alerts (nullif(json_extract(CAST(body AS TEXT), '$.dedupe_key'), ''), at)"""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS alerts"
    " (id TEXT PRIMARY KEY, body BLOB NOT NULL, at REAL NOT NULL, tries INTEGER NOT NULL, next_at REAL NOT NULL)"
)
_TOLD = "CREATE TABLE IF NOT EXISTS told (trouble TEXT PRIMARY KEY, kind TEXT NOT NULL, at REAL NOT NULL)"
_TELL = (
    "INSERT INTO told VALUES (?, ?, ?) ON CONFLICT (trouble) DO UPDATE SET kind = excluded.kind, at = excluded.at"
    " WHERE told.kind <> excluded.kind OR abs(told.at - excluded.at) >= ?"
)


class Waiting(NamedTuple):
    """One alert: its id, its body, and the number of earlier delivery attempts."""

    id: str
    body: bytes
    tries: int


class AlertQueue(forks.Forkable):
    """Alerts in the order of their next attempts; every method blocks, and raises ``sqlite3.Error``."""

    def __init__(self, path: Path) -> None:
        """The file is created with the first alert; raises :class:`ParbakeError` if it could not be."""
        check_writable(path, field="queue", error=ParbakeError)
        self._path = path
        self._using = threading.Lock()
        forks.watch(self)

    def before_fork(self) -> None:
        """Wait for users of the file, because a child must not inherit a connection."""
        self._using.acquire()

    def after_fork_in_parent(self) -> None:
        """Resume."""
        self._using.release()

    def after_fork_in_child(self) -> None:
        """Replace the lock, which a thread may hold that does not exist here."""
        self._using = threading.Lock()

    def add(self, body: bytes, *, trouble: str = "", kind: str = "") -> Waiting | None:
        """Store an alert durably and claim it for a first attempt; if there are too many, the oldest are dropped.

        Args:
            body: The alert.
            trouble: What it is about, the same for all processes that share the file; empty if nothing tells.
            kind: Its kind.

        Returns:
            The alert; ``None`` if an earlier one of the same trouble waits, so that this one has to wait, too, or if
            another process has just told of the trouble.
        """
        now, alert = time.time(), Waiting(uuid.uuid4().hex, body, 0)
        with self._opened() as connection:
            if trouble and not connection.execute(_TELL, (trouble, kind, now, REPEATED_S)).rowcount:
                return None
            connection.execute("DELETE FROM told WHERE at < ?", (now - KEPT_S,))
            connection.execute("INSERT INTO alerts VALUES (?, ?, ?, 1, ?)", (alert.id, body, now, now + CLAIMED_S))
            is_first = connection.execute(_FIRST + " AND waiting.id = ?", (alert.id,)).fetchone() is not None
            if not is_first:
                connection.execute("UPDATE alerts SET next_at = ?, tries = 0 WHERE id = ?", (now, alert.id))
            connection.execute(
                "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts ORDER BY at DESC LIMIT -1 OFFSET ?)", (MOST,)
            )
        return alert if is_first else None

    def claim(self) -> Waiting | None:
        """Claim the next alert to deliver; ``None`` if there is none now."""
        now = time.time()
        with self._opened() as connection:
            row = connection.execute(
                _CLAIM,
                (now + CLAIMED_S, now),
            ).fetchone()
        return None if row is None else Waiting(*row)

    def delivered(self, alert: Waiting) -> None:
        """Delete a delivered alert."""
        with self._opened() as connection:
            connection.execute("DELETE FROM alerts WHERE id = ?", (alert.id,))

    def failed(self, alert: Waiting) -> bool:
        """Schedule another attempt; ``False`` if the alert has waited too long and is dropped."""
        now, pause = time.time(), BACKOFF.pause_s(alert.tries)
        with self._opened() as connection:
            connection.execute("UPDATE alerts SET next_at = ? WHERE id = ?", (now + pause, alert.id))
            given_up = connection.execute("DELETE FROM alerts WHERE id = ? AND at < ?", (alert.id, now - KEPT_S))
        return not given_up.rowcount

    def pause_s(self) -> float | None:
        """Seconds until the next attempt; ``None`` if there are no alerts."""
        if not self._path.exists():
            return None
        with self._opened() as connection:
            (next_at,) = connection.execute(_NEXT).fetchone()
        return None if next_at is None else max(0.0, next_at - time.time())

    def count(self) -> int:
        """How many alerts wait."""
        if not self._path.exists():
            return 0
        with self._opened() as connection:
            return int(connection.execute("SELECT count(*) FROM alerts").fetchone()[0])

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with contextlib.suppress(OSError):  # SQLite says what is wrong
            make_file(self._path)
        with self._using, contextlib.closing(sqlite3.connect(self._path, timeout=5)) as connection, connection:
            connection.execute(_TABLE)
            connection.execute(_INDEX)
            connection.execute(_TOLD)
            yield connection
