"""Alerts that wait to be delivered, in an SQLite file that several processes may share."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from parbake.process import forks

KEPT_S = 86_400.0
"""An alert that nobody took for a day is given up."""
MOST = 10_000
FIRST_S, LONGEST_S = 1.0, 300.0
"""Between two tries; the pause doubles from one try to the next."""
CLAIMED_S = 20.0
"""A process that has taken an alert for delivery keeps it from the others for this long."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS alerts"
    " (id TEXT PRIMARY KEY, body BLOB NOT NULL, at REAL NOT NULL, tries INTEGER NOT NULL, next_at REAL NOT NULL)"
)


class Waiting(NamedTuple):
    """One alert: its id, its body, and how often its delivery was tried before."""

    id: str
    body: bytes
    tries: int


class AlertQueue(forks.Forkable):
    """Alerts in the order in which they are to be tried; every method blocks, and raises ``sqlite3.Error``."""

    def __init__(self, path: Path) -> None:
        """The file is made with the first alert."""
        self._path = path
        self._using = threading.Lock()
        forks.watch(self)

    def before_fork(self) -> None:
        """Wait for who uses the file: no process may inherit a connection to it."""
        self._using.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._using.release()

    def after_fork_in_child(self) -> None:
        """The lock is held by a thread that is missing here."""
        self._using = threading.Lock()

    def add(self, body: bytes) -> Waiting:
        """Keep an alert, durably, and take it for a first delivery; of too many the oldest go."""
        now, alert = time.time(), Waiting(uuid.uuid4().hex, body, 0)
        with self._opened() as connection:
            connection.execute("INSERT INTO alerts VALUES (?, ?, ?, 1, ?)", (alert.id, body, now, now + CLAIMED_S))
            connection.execute(
                "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts ORDER BY at DESC LIMIT -1 OFFSET ?)", (MOST,)
            )
        return alert

    def claim(self) -> Waiting | None:
        """Take the alert whose turn it is, ``None`` if it is nobody's now."""
        now = time.time()
        with self._opened() as connection:
            row = connection.execute(
                "UPDATE alerts SET next_at = ?, tries = tries + 1 WHERE id ="
                " (SELECT id FROM alerts WHERE next_at <= ? ORDER BY next_at LIMIT 1) RETURNING id, body, tries - 1",
                (now + CLAIMED_S, now),
            ).fetchone()
        return None if row is None else Waiting(*row)

    def delivered(self, alert: Waiting) -> None:
        """Forget an alert that was taken."""
        with self._opened() as connection:
            connection.execute("DELETE FROM alerts WHERE id = ?", (alert.id,))

    def failed(self, alert: Waiting) -> bool:
        """Try an alert later; ``False`` where it has waited too long and is given up."""
        now, pause = time.time(), min(LONGEST_S, FIRST_S * 2.0**alert.tries)
        with self._opened() as connection:
            connection.execute("UPDATE alerts SET next_at = ? WHERE id = ?", (now + pause, alert.id))
            given_up = connection.execute("DELETE FROM alerts WHERE id = ? AND at < ?", (alert.id, now - KEPT_S))
        return not given_up.rowcount

    def pause_s(self) -> float | None:
        """Seconds until the next alert is to be tried, ``None`` if none waits."""
        if not self._path.exists():
            return None
        with self._opened() as connection:
            (next_at,) = connection.execute("SELECT min(next_at) FROM alerts").fetchone()
        return None if next_at is None else max(0.0, next_at - time.time())

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self._using, contextlib.closing(sqlite3.connect(self._path, timeout=5)) as connection, connection:
            connection.execute(_TABLE)
            yield connection
