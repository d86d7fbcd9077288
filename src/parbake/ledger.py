"""The ledger: what each compute, miss, expiry, event and token took, in an SQLite file that a thread writes.

Serves are counted per task, key and minute; a row per serve would cost more than the serve. Nothing here is on the
request path: the hooks append to a queue, and the thread drains it twice a second. Rows are summed by the hour as they
come, so that the newest of them are all that has to be kept.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from parbake.errors import StoreError
from parbake.ports import Clock, Usage
from parbake.telemetry import Counters

FLUSH_S = 0.5
ENTRIES_KEPT = 200_000
SERVES_KEPT_DAYS = 35
TRIM_EVERY, TRIM_AT = 1_000, 1
"""So many flushes, or minutes at the usual load, lie between two looks at what is too old."""
_OF_THE_FILE = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR})
"""What SQLite answers of a file that is no database, is a damaged one, or has tables of another shape."""
_log = logging.getLogger("parbake.ledger")
_DDL = """
CREATE TABLE IF NOT EXISTS spending(ts REAL, kind TEXT, task TEXT, key BLOB, lane TEXT, outcome TEXT, seconds REAL,
  cpu_s REAL, rows INTEGER, bytes INTEGER, model TEXT, input INTEGER, output INTEGER, cached INTEGER);
CREATE INDEX IF NOT EXISTS spending_task ON spending(task, ts);
CREATE TABLE IF NOT EXISTS hourly(hour INTEGER, kind TEXT, task TEXT, lane TEXT, model TEXT, calls INTEGER,
  seconds REAL, cpu_s REAL, rows INTEGER, bytes INTEGER, input INTEGER, output INTEGER, cached INTEGER,
  PRIMARY KEY(hour, kind, task, lane, model)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS serves(minute INTEGER, task TEXT, key BLOB, count INTEGER, PRIMARY KEY(minute, task, key))
  WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS serves_task ON serves(task, minute);
"""
_INSERT = "INSERT INTO spending VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_SUMMED = "calls, seconds, cpu_s, rows, bytes, input, output, cached"
_ADD = (
    "INSERT INTO hourly VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(hour, kind, task, lane, model) DO UPDATE SET "  # noqa: S608 - names of ours
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMMED.split(", "))
)


class Entry(NamedTuple):
    """One row: what happened when (epoch seconds), to what, and what it used.

    ``kind`` is ``compute``, ``tokens``, ``miss``, ``expire`` or ``event``; ``key`` a hash of the key; ``model`` the
    generator's name, ``input`` its tokens that were not ``cached``.
    """

    ts: float
    kind: str
    task: str
    key: bytes = b""
    lane: str = ""
    outcome: str = ""
    seconds: float = 0.0
    cpu_s: float = 0.0
    rows: int = 0
    bytes: int = 0
    model: str = ""
    input: int = 0
    output: int = 0
    cached: int = 0


class Ledger:
    """Records costs; a :class:`parbake.ports.Hook`."""

    def __init__(self, path: Path, counters: Counters, clock: Clock) -> None:
        """Write to ``path``; key heat comes from ``counters``."""
        self._path = path
        self._counters = counters
        self._clock = clock
        self._queue: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._flushes = 0
        self._connection = self._open()
        self._thread = threading.Thread(target=self._work, name="parbake-ledger", daemon=True)
        self._thread.start()

    def served(self, task: str, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """Serves are counted by the counters."""

    def computed(self, task: str, key: bytes, lane: str, seconds: float, *, outcome: str, cpu_s: float = 0.0) -> None:
        """A row per computation."""
        self._note("compute", task, _hashed(key), lane, outcome, seconds, cpu_s, 1)

    def spent(self, task: str, lane: str, model: str, usage: Usage) -> None:
        """A row per generation that told its tokens."""
        cached = usage.cached_tokens or 0
        sent = max(0, (usage.input_tokens or 0) - cached)
        self._note("tokens", task, b"", lane, "", 0.0, 0.0, 0, 0, model, sent, usage.output_tokens or 0, cached)

    def missed(self, task: str, key: bytes, verdict: str, reason: str) -> None:
        """A row per miss; a value past its SLA is an expiry."""
        kind = "expire" if reason.startswith(("past", "confidence")) else "miss"
        self._note(kind, task, _hashed(key), verdict, reason)

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """A row per acknowledged event."""
        self._note("event", " ".join(tags)[:200], b"", "", f"duplicates={duplicates}", seconds)

    def run(self, task: str, rows: int, seconds: float, *, cpu_s: float = 0.0, size_bytes: int = 0) -> None:
        """A row per task of a batch run."""
        self._note("compute", task, b"", "batch", "promoted", seconds, cpu_s, rows, size_bytes)

    def close(self) -> None:
        """Write what is left and stop."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _note(self, *what: Any) -> None:
        self._queue.put(Entry(self._clock.now(), *what))

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

    def hourly(self, *, since: float = 0.0) -> list[tuple[Any, ...]]:
        """(hour since the epoch, kind, task, lane, model, calls, seconds, cpu_s, rows, bytes, input, output, cached).

        From the hour of ``since`` (epoch seconds) on; events, which are nobody's, are left out. Blocking.
        """
        statement = "SELECT * FROM hourly WHERE hour >= ? ORDER BY hour"
        return self._read(statement, (int(since // 3600),))

    def serves(self, *, since: float = 0.0) -> dict[str, int]:
        """How often each task was served; blocking."""
        statement = "SELECT task, SUM(count) FROM serves WHERE minute >= ? GROUP BY task"
        return dict(self._read(statement, (int(since // 60),)))

    def asked_for(self, task: str, begin: float, end: float) -> int:
        """How many keys of a task were served between two moments (epoch seconds); blocking."""
        statement = "SELECT COUNT(DISTINCT key) FROM serves WHERE task = ? AND minute BETWEEN ? AND ?"
        return int(self._read(statement, (task, int(begin // 60), int(end // 60)))[0][0])

    def by_the_hour(self, task: str, *, since: float) -> list[tuple[int, int, int]]:
        """(hour since the epoch, serves, of which computed first) of a task; blocking."""
        served = dict(
            self._read(
                "SELECT minute / 60, SUM(count) FROM serves WHERE task = ? AND minute >= ? GROUP BY minute / 60",
                (task, int(since // 60)),
            )
        )
        statement = (
            "SELECT hour, SUM(calls) FROM hourly WHERE task = ? AND kind IN ('miss', 'expire') AND hour >= ? "
            "GROUP BY hour"
        )
        missed = dict(self._read(statement, (task, int(since // 3600))))
        return [(hour, count, min(count, missed.get(hour, 0))) for hour, count in sorted(served.items())]

    def _read(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=10)) as connection:
                return connection.execute(statement, parameters).fetchall()
        except sqlite3.Error:
            return []

    def _open(self) -> sqlite3.Connection:
        with contextlib.ExitStack() as opened:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
                opened.callback(connection.close)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.executescript(_DDL)
            except (OSError, sqlite3.DatabaseError) as error:
                raise self._refused(error) from error
            opened.pop_all()
        return connection

    def _refused(self, error: OSError | sqlite3.DatabaseError) -> StoreError:
        """What is said of the file itself, and what of the disk or of who else uses it."""
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in _OF_THE_FILE:
            return StoreError(f"{self._path} is no ledger ({error}); move it away", field="ledger")
        why = error.strerror if isinstance(error, OSError) else error
        return StoreError(
            f"the ledger {self._path} cannot be written ({why}); make room for it and the folder writable, or name "
            "another file",
            field="ledger",
        )

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
        rows: list[Entry] = []
        while not self._queue.empty():
            rows.append(self._queue.get())
        heat = self._counters.drain_heat()
        self._flushes += 1
        if not rows and not heat:
            return
        minute = int(self._clock.now() // 60)
        with connection:
            connection.executemany(_INSERT, rows)
            connection.executemany(_ADD, [_summed(row) for row in rows if row.kind != "event"])
            connection.executemany(
                "INSERT INTO serves VALUES (?,?,?,?) "
                "ON CONFLICT(minute, task, key) DO UPDATE SET count = count + excluded.count",
                [(minute, task, key, count) for (task, key), count in heat.items()],
            )
            if self._flushes % TRIM_EVERY == TRIM_AT:
                connection.execute(
                    "DELETE FROM spending WHERE rowid <= (SELECT MAX(rowid) FROM spending) - ?", (ENTRIES_KEPT,)
                )
                connection.execute("DELETE FROM serves WHERE minute < ?", (minute - SERVES_KEPT_DAYS * 1440,))


def _summed(row: Entry) -> tuple[Any, ...]:
    return (int(row.ts // 3600), row.kind, row.task, row.lane, row.model, 1, *row[6:10], *row[11:])


def _hashed(key: bytes) -> bytes:
    """A row says which computations were of one key, and not of whom."""
    return blake2b(key, digest_size=8).digest()
