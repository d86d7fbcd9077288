"""The ledger: what each compute, miss, expiry and event cost. Its own SQLite file, written by a background thread.

Serves are counted per task, key and minute; a row per serve would cost more than the serve. Nothing here is on the
request path: the hooks append to a queue, and the thread drains it twice a second.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from parbake.errors import StoreError
from parbake.ports import Clock
from parbake.telemetry import Counters

FLUSH_S = 0.5
_log = logging.getLogger("parbake.ledger")
_DDL = """
CREATE TABLE IF NOT EXISTS entries(ts REAL, kind TEXT, task TEXT, key BLOB, lane TEXT, outcome TEXT, seconds REAL);
CREATE INDEX IF NOT EXISTS entries_task ON entries(task, ts);
CREATE TABLE IF NOT EXISTS serves(minute INTEGER, task TEXT, key BLOB, count INTEGER, PRIMARY KEY(minute, task, key))
  WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS serves_task ON serves(task, minute);
"""
Row = tuple[float, str, str, bytes, str, str, float]


class Ledger:
    """Records costs; a :class:`parbake.ports.Hook`."""

    def __init__(self, path: Path, counters: Counters, clock: Clock) -> None:
        """Write to ``path``; key heat comes from ``counters``."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._counters = counters
        self._clock = clock
        self._queue: queue.SimpleQueue[Row] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._connection = self._open()
        self._thread = threading.Thread(target=self._work, name="parbake-ledger", daemon=True)
        self._thread.start()

    def served(self, task: str, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """Serves are counted by the counters."""

    def computed(self, task: str, key: bytes, lane: str, seconds: float, *, outcome: str) -> None:
        """A row per computation."""
        self._queue.put((self._clock.now(), "compute", task, key, lane, outcome, seconds))

    def missed(self, task: str, key: bytes, verdict: str, reason: str) -> None:
        """A row per miss; a value past its SLA is an expiry."""
        kind = "expire" if reason.startswith(("past", "confidence")) else "miss"
        self._queue.put((self._clock.now(), kind, task, key, verdict, reason, 0.0))

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """A row per acknowledged event."""
        names = " ".join(tags)
        self._queue.put((self._clock.now(), "event", names[:200], b"", "", f"duplicates={duplicates}", seconds))

    def run(self, task: str, rows: int, seconds: float) -> None:
        """A row per task of a batch run."""
        self._queue.put((self._clock.now(), "compute", task, b"", "batch", f"rows={rows}", seconds))

    def close(self) -> None:
        """Write what is left and stop."""
        self._stop.set()
        self._thread.join(timeout=10)

    def heat(self, task: str, *, minutes: int = 60) -> dict[bytes, int]:
        """How often each key of a task was served in the last minutes; blocking."""
        since = int(self._clock.now() // 60) - minutes
        statement = "SELECT key, SUM(count) FROM serves WHERE task = ? AND minute >= ? GROUP BY key"
        return dict(self._read(statement, (task, since)))

    def requests(self, task: str, *, days: int) -> list[tuple[int, bytes, int]]:
        """(minute since the epoch, key, count) of the last days, in order of time; blocking."""
        since = int(self._clock.now() // 60) - days * 1440
        statement = "SELECT minute, key, count FROM serves WHERE task = ? AND minute >= ? ORDER BY minute"
        return self._read(statement, (task, since))

    def traffic(self, *, days: int) -> dict[int, int]:
        """Requests per minute since the epoch, of the last days, all tasks together; blocking."""
        since = int(self._clock.now() // 60) - days * 1440
        return dict(self._read("SELECT minute, SUM(count) FROM serves WHERE minute >= ? GROUP BY minute", (since,)))

    def costs(self) -> list[dict[str, Any]]:
        """Per task and kind: rows and seconds; and serves per task. Blocking."""
        by_lane = self._read(
            "SELECT task, kind, lane, COUNT(*), SUM(seconds) FROM entries WHERE kind != 'event' "
            "GROUP BY task, kind, lane"
        )
        serves = self._read("SELECT task, SUM(count) FROM serves GROUP BY task")
        names = ("task", "kind", "lane", "rows", "seconds")
        rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in by_lane]
        rows += [{"task": task, "kind": "serve", "lane": "", "rows": count, "seconds": None} for task, count in serves]
        return rows

    def _read(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=10)) as connection:
                return connection.execute(statement, parameters).fetchall()
        except sqlite3.Error:
            return []

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_DDL)
        except sqlite3.DatabaseError as error:
            connection.close()
            raise StoreError(f"{self._path} is no ledger ({error}); move it away", field="ledger") from error
        return connection

    def _work(self) -> None:
        while True:
            stopping = self._stop.wait(FLUSH_S)
            try:
                self._flush(self._connection)
            except sqlite3.Error:
                _log.exception("the ledger could not be written; what it counts goes on")
            if stopping:
                self._connection.close()
                return

    def _flush(self, connection: sqlite3.Connection) -> None:
        rows: list[Row] = []
        while not self._queue.empty():
            rows.append(self._queue.get())
        heat = self._counters.drain_heat()
        if not rows and not heat:
            return
        minute = int(time.time() // 60) if not rows else int(rows[-1][0] // 60)
        with connection:
            connection.executemany("INSERT INTO entries VALUES (?,?,?,?,?,?,?)", rows)
            connection.executemany(
                "INSERT INTO serves VALUES (?,?,?,?) "
                "ON CONFLICT(minute, task, key) DO UPDATE SET count = count + excluded.count",
                [(minute, task, key, count) for (task, key), count in heat.items()],
            )
