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
import time
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from parbake.errors import StoreError
from parbake.fence.cause import OVERDUE, Reason
from parbake.lanes.batch.adopted import Pick
from parbake.ledger.rows import LedgerEntry, Pending, prepare, trim, write
from parbake.ports.clock import Clock
from parbake.ports.models import Usage
from parbake.process import forks
from parbake.process.counters import Counters

T = TypeVar("T")
FLUSH_S = 0.5
TRIM_EVERY, TRIM_AT = 1_000, 1
"""So many flushes, or minutes at the usual load, lie between two looks at what is too old."""
_OF_THE_FILE = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR})
"""What SQLite answers of a file that is no database, is a damaged one, or has tables of another shape."""
_log = logging.getLogger("parbake.ledger")


class Ledger(forks.Forkable):
    """Records costs; a :class:`parbake.ports.hooks.Hook`."""

    def __init__(self, path: Path, counters: Counters, clock: Clock) -> None:
        """Write to ``path``; key heat comes from ``counters``."""
        self._path = path
        self._counters = counters
        self._clock = clock
        self._queue: queue.SimpleQueue[LedgerEntry] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._asked = threading.Event()
        self._written = threading.Condition()
        self._pending = Pending()
        self._paces: queue.SimpleQueue[tuple[bool, float]] = queue.SimpleQueue()
        self._live: queue.SimpleQueue[tuple[str, float, float]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[str, float, bytes]] = queue.SimpleQueue()
        self._flushes = 0
        self._is_written = True
        self._using = threading.Lock()
        self._connection: sqlite3.Connection | None = self._open()
        forks.watch(self)
        self._thread = threading.Thread(target=self._work, name="parbake-ledger", daemon=True)
        self._thread.start()

    def before_fork(self) -> None:
        """Wait for who reads or writes, and disconnect: no process may inherit a connection."""
        self._using.acquire()
        self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Go on; the next rows connect again."""
        self._using.release()

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

    def missed(self, task: str, key: bytes, verdict: str, reason: Reason) -> None:
        """A row per miss; a value past its SLA is an expiry."""
        kind = "expire" if reason.cause in OVERDUE else "miss"
        self._note(kind, task, _hashed(key), verdict, str(reason))

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """A row per acknowledged event."""
        self._note("event", " ".join(tags)[:200], b"", "", f"duplicates={duplicates}", seconds)

    def run(
        self,
        task: str,
        rows: int,
        seconds: float,
        *,
        cpu_s: float = 0.0,
        size_bytes: int = 0,
        trigger: str = "",
        pick: Pick | None = None,
    ) -> None:
        """A row per task of a batch run, and one for what nobody was served of the run that it replaces."""
        chosen = (pick.strategy, pick.p_hat, pick.theta) if pick else ("", None, None)
        used = (seconds, cpu_s, rows, size_bytes, "", 0, 0, 0)
        self._note("compute", task, b"", "batch", "promoted", *used, trigger, *chosen)

    def paced(self, is_batch_on: bool, p95_s: float) -> None:  # noqa: FBT001 - a callback's own order
        """How slow the requests of the last seconds were, and whether a batch run was under way."""
        self._paces.put((is_batch_on, p95_s))

    def live(self, task: str, seconds: float, cpu_s: float) -> None:
        """Add up what live tasks and refines use: a row for each would cost as much as some of them."""
        self._live.put((task, seconds, cpu_s))

    def answered(self, answer_id: str, at: float, document: bytes) -> None:
        """Keep what is known of an answer, for some days."""
        self._answers.put((answer_id, at, document))

    def settle(self, *, timeout_s: float = 10.0) -> bool:
        """Wait until what was noted before this call is written, and say whether it is; blocking."""
        until = time.monotonic() + timeout_s
        with self._written:
            enough = self._flushes + 2  # one that is under way may have begun before the last note
            while self._flushes < enough and not self._stop.is_set():
                self._asked.set()
                if not self._written.wait(max(0.0, until - time.monotonic())):
                    return False
            return self._is_written

    def close(self) -> None:
        """Write what is left and stop."""
        self._stop.set()
        self._asked.set()
        self._thread.join(timeout=10)

    def _note(self, *what: Any) -> None:
        self._queue.put(LedgerEntry(self._clock.now(), *what))

    def heat(self, task: str, *, minutes: int = 60) -> dict[bytes, int]:
        """How often each key of a task was served in the last minutes; blocking. Unknown is none."""
        since = int(self._clock.now() // 60) - minutes
        statement = "SELECT key, SUM(count) FROM serves WHERE task = ? AND minute >= ? GROUP BY key"
        return dict(self._read_or_nothing(statement, (task, since)))

    def requests(self, task: str, *, days: int) -> list[tuple[int, bytes, int]]:
        """(minute since the epoch, key, count) of the last days, in order of time; blocking."""
        since = int(self._clock.now() // 60) - days * 1440
        statement = "SELECT minute, key, count FROM serves WHERE task = ? AND minute >= ? ORDER BY minute"
        return self._read(statement, (task, since))

    def traffic(self, *, days: int) -> dict[int, int]:
        """Requests per minute since the epoch, of the last days, all tasks together; blocking. Unknown is none."""
        since = int(self._clock.now() // 60) - days * 1440
        statement = "SELECT minute, SUM(count) FROM serves WHERE minute >= ? GROUP BY minute"
        return dict(self._read_or_nothing(statement, (since,)))

    def hourly(self, *, since: float = 0.0) -> list[tuple[Any, ...]]:
        """(hour since the epoch, kind, task, lane, model, calls, seconds, cpu_s, rows, bytes, input, output, cached).

        From the hour of ``since`` (epoch seconds) on; events, which are nobody's, are left out. Blocking.
        """
        statement = "SELECT * FROM hourly WHERE hour >= ? ORDER BY hour"
        return self._read(statement, (int(since // 3600),))

    def serves(self, *, since: float = 0.0) -> dict[str, int]:
        """How often each task was served, from the hour of ``since`` on as all sums are; blocking."""
        statement = "SELECT task, SUM(count) FROM serves WHERE minute >= ? GROUP BY task"
        return dict(self._read(statement, (int(since // 3600) * 60,)))

    def by_the_hour(self, task: str, *, since: float) -> list[tuple[int, int, int]]:
        """(hour since the epoch, serves, of which computed first) of a task; blocking."""
        served = dict(
            self._read(
                "SELECT minute / 60, SUM(count) FROM serves WHERE task = ? AND minute >= ? GROUP BY minute / 60",
                (task, int(since // 3600) * 60),
            )
        )
        statement = (
            "SELECT hour, SUM(calls) FROM hourly WHERE task = ? AND kind IN ('miss', 'expire') AND hour >= ? "
            "GROUP BY hour"
        )
        missed = dict(self._read(statement, (task, int(since // 3600))))
        return [(hour, count, min(count, missed.get(hour, 0))) for hour, count in sorted(served.items())]

    def pace(self, *, since: float) -> list[tuple[int, int, int, float]]:
        """(hour, whether a batch run was under way, seconds with requests, mean of their p95 in seconds); blocking."""
        statement = "SELECT hour, batch, samples, seconds / samples FROM pace WHERE hour >= ? ORDER BY hour"
        return self._read(statement, (int(since // 3600),))

    def _read(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Raises :class:`StoreError`: what cannot be read is not nothing."""
        with self.connected() as connection:
            return connection.execute(statement, parameters).fetchall()

    @contextlib.contextmanager
    def connected(self, *, timeout_s: float = 10.0) -> Iterator[sqlite3.Connection]:
        """A connection that no child inherits; blocking. Raises :class:`StoreError` for what SQLite raises inside."""
        try:
            place = f"{self._path.resolve().as_uri()}?mode=rw"  # creates no file: the writing thread makes a new ledger
            with self._using, contextlib.closing(sqlite3.connect(place, uri=True, timeout=timeout_s)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise StoreError(f"the ledger {self._path} cannot be used ({error})", field="ledger") from error

    def _read_or_nothing(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        try:
            return self._read(statement, parameters)
        except StoreError as error:
            _log.error("%s; batch and event lane go on without it", error)
            return []

    def _open(self) -> sqlite3.Connection:
        with contextlib.ExitStack() as opened:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
                opened.callback(connection.close)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                prepare(connection)
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
            f"the ledger {self._path} cannot be written ({why}); make room for it, make the folder writable, or name "
            "another file",
            field="ledger",
        )

    def _work(self) -> None:
        while True:
            self._asked.wait(FLUSH_S)
            self._asked.clear()
            stopping = self._stop.is_set()
            try:
                with self._using:
                    self._flush()
            except (sqlite3.OperationalError, StoreError) as error:
                _log.error("the ledger could not be written and is tried again: %s", error)
            except Exception:  # noqa: BLE001 - a row that no table can hold must not end the recording of the others
                _log.exception("some rows cannot be kept by the ledger and are left out")
                self._pending = Pending()
            with self._written:
                self._is_written = not self._pending
                self._flushes += 1
                self._written.notify_all()
            if stopping:
                with self._using:
                    self._disconnect()
                return

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _flush(self) -> None:
        self._gather()
        if not self._pending:
            return
        now = self._clock.now()
        if self._connection is not None and not self._path.exists():
            _log.error("the ledger %s is gone, and a new one is begun", self._path)
            self._disconnect()
        connection = self._connection = self._connection or self._open()
        with connection:
            write(connection, self._pending, now)
            if self._flushes % TRIM_EVERY == TRIM_AT:
                trim(connection, now)
        self._pending = Pending()  # it is written: until then it is kept

    def _gather(self) -> None:
        pending, at = self._pending, self._clock.now()
        pending.rows += _taken(self._queue)
        pending.answers += _taken(self._answers)
        for task, (key, verdict, lane, seconds), count in self._counters.drain_samples():
            pending.rows.append(LedgerEntry(at, "serve", task, _hashed(key), lane, verdict, seconds, rows=count))
        for is_on, p95_s in _taken(self._paces):
            pending.paces[is_on].append(p95_s)
        for task, seconds, cpu_s in _taken(self._live):
            calls, before_s, before_cpu_s = pending.live.get(task, (0, 0.0, 0.0))
            pending.live[task] = (calls + 1, before_s + seconds, before_cpu_s + cpu_s)
        minute = int(at // 60)
        for (task, key), (count, ahead) in self._counters.drain_heat().items():
            known, known_ahead = pending.heat.get((minute, task, key), (0, 0))
            pending.heat[minute, task, key] = (known + count, known_ahead + ahead)
        pending.forget()


def _taken(waiting: queue.SimpleQueue[T]) -> Iterator[T]:
    """What waits in a queue now."""
    while not waiting.empty():
        yield waiting.get()


def _hashed(key: bytes) -> bytes:
    """A row says which computations were of one key, and not of whom."""
    return blake2b(key, digest_size=8).digest()
