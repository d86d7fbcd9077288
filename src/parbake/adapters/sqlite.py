"""An SQLite database as a source: views on read transactions, and the transactional outbox.

The outbox row is written in the transaction of the change that it reports (:func:`emit`). SQLite has one writer at a
time, so positions are in commit order, without gaps that could be filled later.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sqlite3
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from parbake.adapters._sqlite_captured import CapturedTable, captured_tables
from parbake.adapters._sqlite_columns import SqliteColumns
from parbake.errors import SourceError
from parbake.ports.row_keys import Columns
from parbake.ports.sources import Extent, SourceEvent
from parbake.ports.views import View, families_not_captured, said_of_not_captured, tables_read, untold
from parbake.process import forks
from parbake.protocol.recording import Tracker
from parbake.protocol.tags import check_reported, family_names, raised_by

ViewT = TypeVar("ViewT")
LOOK_S, PATIENCE_S = 0.0005, 0.25
"""Interval and limit, in seconds, of the wait for reads to end before a fork."""
OUTBOX_DDL = """
CREATE TABLE IF NOT EXISTS parbake_outbox(
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  subject TEXT NOT NULL,
  type TEXT NOT NULL,
  time REAL NOT NULL
)
"""
CAPTURE_DDL = """
CREATE TABLE IF NOT EXISTS parbake_capture(
  relation TEXT NOT NULL,
  app TEXT NOT NULL,
  tags TEXT NOT NULL,
  triggers TEXT NOT NULL,
  PRIMARY KEY (relation, app)
);
CREATE TABLE IF NOT EXISTS parbake_format(part TEXT PRIMARY KEY, version INTEGER NOT NULL);
INSERT OR IGNORE INTO parbake_format VALUES ('outbox', 2)
"""
"""The tables that ``parbake capture`` adds: what is captured, and the version of the format."""

_RETRY_S = 0.005


def keep_in_wal(connection: sqlite3.Connection, *, within_s: float = 10.0) -> None:
    """Switch a file to WAL mode, in which others read while one writes.

    Where several connections switch a new file at once, SQLite fails all but one without waiting for the lock, whatever
    the timeout of the connection (https://www.sqlite.org/wal.html). It is therefore tried again.

    Args:
        connection: A connection to the file, outside of any transaction.
        within_s: For how many seconds it is tried.

    Raises:
        sqlite3.OperationalError: The file stayed locked, or cannot be written.
    """
    until = time.monotonic() + within_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_RETRY_S)
        else:
            return


def emit(connection: sqlite3.Connection, subject: str, event_type: str, *, now: float | None = None) -> int:
    """Write an outbox row in the caller's open transaction; returns its position.

    For a program that does not have the source. The source's own ``emit`` also refuses a family that nobody reports.

    Args:
        connection: The connection with the open transaction.
        subject: The tag, such as ``policy/returns``.
        event_type: The type; it ends in .changed, .created, .deleted or .bulk.
        now: Time of the change, in epoch seconds; the current time by default.
    """
    raised_by(subject, event_type)
    cursor = connection.execute(
        "INSERT INTO parbake_outbox(id, subject, type, time) VALUES (?, ?, ?, ?)",
        (uuid.uuid4().hex, subject, event_type, time.time() if now is None else now),
    )
    return cast("int", cursor.lastrowid)


def prune(connection: sqlite3.Connection, upto: int) -> int:
    """Delete outbox rows up to a position in the caller's open transaction; returns how many.

    Delete only rows that every store has applied (``await app.ops.applied()``). Losing an unread row invalidates
    everything that the source's families fence.
    """
    return connection.execute("DELETE FROM parbake_outbox WHERE position <= ?", (upto,)).rowcount


def _event(position: int, at: float | None, *raw: bytes) -> SourceEvent:
    try:
        told, subject, event_type = (value.decode() for value in raw)
        return SourceEvent(position, told, subject, event_type, at=at or 0.0)
    except UnicodeDecodeError as error:
        return SourceEvent(position, "", "", "", problem=f"not UTF-8: {error}", raw=b" ".join(raw))


def _explained(error: sqlite3.Error) -> str:
    if any(f"no such table: {table}" in str(error) for table in ("parbake_outbox", "sqlite_sequence")):
        return "its parbake_outbox is missing or unlike parbake.adapters.sqlite.OUTBOX_DDL: execute that"
    return str(error)


class _Captured(NamedTuple):
    """What is captured in a version of a file's schema."""

    version: tuple[int, tuple[int, int]]
    tables: tuple[CapturedTable, ...]
    untold: tuple[str, ...]
    trouble: str


class _Session:
    def __init__(self, connection: sqlite3.Connection, columns: SqliteColumns) -> None:
        self._connection = connection
        self._columns = columns

    def columns(self) -> Columns:
        return self._columns.read(self._connection)

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        return self._connection.execute(statement, parameters).fetchall()


class _Connection(NamedTuple):
    """A connection, and the device and inode of the file that it has open."""

    to: sqlite3.Connection
    file: tuple[int, int]


class SqliteSource(forks.Forkable):
    """Views and outbox of one SQLite file (see :class:`parbake.ports.sources.OrderedSource`).

    A position is rolled back with its transaction, so there are no gaps: a missing row was deleted.

    Keep the file in WAL mode (:func:`keep_in_wal`). Otherwise a view that is open during a computation blocks
    the writers. A file that is moved, deleted or replaced is noticed at the next read.
    """

    is_gapless = True
    is_waited_for = True
    pause_s = (0.005, 0.1)
    """The shortest and the longest pause between two polls, in seconds."""

    def __init__(
        self,
        path: str | Path,
        *,
        families: Collection[str],
        views: Collection[type[View]],
        name: str = "shop",
        uncaptured: Collection[str] = (),
        captured: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """Create the source, without connecting yet.

        Args:
            path: The file.
            families: The tag families whose changes the outbox reports.
            views: The views that the source provides.
            name: The source's name.
            uncaptured: The tables that views may read although no trigger tells of them, because their writers emit, or
                because their changes outdate nothing. Where tables are captured, any other one is named at the start.
            captured: The tables whose changes triggers must tell, each with the templates of its tags as ``parbake
                capture`` has them. While a table lacks them, its families are raised with every poll.
        """
        self.name = name
        self.uncaptured = frozenset(uncaptured)
        self._wanted = {**captured} if captured else {}
        self.families = family_names(families, of=f"source {name!r}")
        self.path = Path(path)
        self._views = frozenset(views)
        self._idle: queue.SimpleQueue[_Connection] = queue.SimpleQueue()
        self._is_closed = False
        self._columns = SqliteColumns()
        self._captured = _Captured((-1, (0, 0)), (), (), "")
        self._counting, self._in_use, self._has_inherited = threading.Lock(), 0, False
        forks.watch(self)

    def before_fork(self) -> None:
        """Wait briefly until there are no readers, and close every connection.

        A process that inherits a connection counts its locks as its own, and would read without locks.
        """
        ends = time.monotonic() + PATIENCE_S
        self._counting.acquire()
        while self._in_use > 0 and time.monotonic() < ends:
            self._counting.release()
            time.sleep(LOOK_S)
            self._counting.acquire()
        with contextlib.suppress(queue.Empty, sqlite3.Error):
            while True:
                self._idle.get_nowait().to.close()

    def after_fork_in_parent(self) -> None:
        """Let the waiting readers connect."""
        self._counting.release()

    def after_fork_in_child(self) -> None:
        """Reconnect at the next use, unless a reader was active during the fork."""
        forks.abandon(self._idle)
        self._idle, self._counting = queue.SimpleQueue(), threading.Lock()
        self._has_inherited, self._in_use = self._has_inherited or self._in_use > 0, 0

    def emit(self, connection: sqlite3.Connection, subject: str, event_type: str, *, now: float | None = None) -> int:
        """Write an outbox row in the open transaction if the source reports its family; returns its position.

        Args:
            connection: The caller's connection to the source's database, with the open transaction.
            subject: The tag, such as ``policy/returns``.
            event_type: The type; it ends in .changed, .created, .deleted or .bulk.
            now: Time of the change, in epoch seconds; the current time by default.

        Raises:
            BadInput: The family is not among the source's, so that the event would outdate nothing.
        """
        check_reported(subject, event_type, self.families, of=f"source {self.name!r}")
        return emit(connection, subject, event_type, now=now)

    def provides(self, view: type[Any]) -> bool:
        return view in self._views

    @contextlib.contextmanager
    def open(self, view: type[ViewT], tracker: Tracker) -> Iterator[ViewT]:
        """Open a view on one snapshot; raises :class:`SourceError` if the file cannot be read."""
        with self._connection() as connection:
            connection.execute("BEGIN")
            try:
                yield cast("ViewT", cast("type[View]", view)(_Session(connection, self._columns), tracker))
            finally:
                connection.execute("ROLLBACK")

    def extent(self) -> Extent:
        """Return where the log begins and ends.

        SQLite remembers the last position even if rows were deleted.
        """
        last = "SELECT seq FROM sqlite_sequence WHERE name = 'parbake_outbox'"
        with self._opened() as (connection, file):
            connection.execute("BEGIN")
            try:
                given = connection.execute(last).fetchone()
                first = connection.execute("SELECT min(position) FROM parbake_outbox").fetchone()[0]
                captured = self._captured_now(connection, file)
            finally:
                connection.execute("ROLLBACK")
        end = given[0] if given else 0
        families = set(self.families)
        return Extent(
            end if first is None else first - 1,
            max(end, first or 0),
            schema=f"{captured.version}" if captured.tables else "",
            states={table.relation: table.state for table in captured.tables},
            families_by_relation={t.relation: tuple(families.intersection(t.families)) for t in captured.tables},
            untold=tuple(families.intersection(captured.untold)),
            trouble=captured.trouble,
            advice="; ".join(table.advice for table in captured.tables if table.advice),
        )

    def untold(self) -> list[str]:
        """Name the tables that views read and of whose changes nobody tells; blocking."""
        with self._connection() as connection:
            listed = connection.execute(
                "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view') "
                "AND name NOT LIKE 'parbake\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            ).fetchall()
            tables = {name for name, kind, _ in listed if kind == "table"}
            reads = {name: {name} for name in tables}
            for name, kind, made in listed:  # a view is listed behind those that it was made of
                if kind == "view":
                    reads[name] = {table for one in tables_read(made) for table in reads.get(one, ())}
            has_capture = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'parbake_capture'").fetchone()
            rows = connection.execute("SELECT relation FROM parbake_capture").fetchall() if has_capture else []
        return untold(self._views, {relation for (relation,) in rows}, self.uncaptured, reads)

    def _captured_now(self, connection: sqlite3.Connection, file: tuple[int, int]) -> _Captured:
        """What is captured, looked up again whenever the schema or the file has changed."""
        version = (int(connection.execute("PRAGMA schema_version").fetchone()[0]), file)
        if version != self._captured.version:
            tables = captured_tables(connection)
            lacking = families_not_captured(self._wanted, {table.relation: list(table.tags) for table in tables})
            broken = {name for table in tables if table.problem for name in table.families}
            problems = [table.problem for table in tables if table.problem]
            self._captured = _Captured(
                version,
                tuple(tables),
                tuple(broken.union(*lacking.values())),
                "; ".join([*problems, *map(said_of_not_captured, lacking)]),
            )
        return self._captured

    def poll(self, after: int, limit: int) -> list[SourceEvent]:
        # As bytes: SQLite columns accept any value, and one invalid row must not make a page unreadable.
        statement = (
            "SELECT position, CAST(time AS REAL), CAST(id AS BLOB), CAST(subject AS BLOB), CAST(type AS BLOB) "
            "FROM parbake_outbox WHERE position > ? ORDER BY position LIMIT ?"
        )
        with self._connection() as connection:
            return [_event(*row) for row in connection.execute(statement, (after, limit))]

    def close(self) -> None:
        self._is_closed = True
        while not self._idle.empty():
            self._idle.get().to.close()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._opened() as opened:
            yield opened.to

    @contextlib.contextmanager
    def _opened(self) -> Iterator[_Connection]:
        self._count(1)
        try:
            with self._connected() as connection:
                yield connection
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._counting:
            self._in_use += more

    @contextlib.contextmanager
    def _connected(self) -> Iterator[_Connection]:
        connection = self._take()
        try:
            yield connection
        except sqlite3.Error as error:
            connection.to.close()
            raise SourceError(f"source {self.name!r}: {_explained(error)}", field=self.name) from error
        except BaseException:
            self._give_back(connection)
            raise
        self._give_back(connection)

    def _take(self) -> _Connection:
        """An idle connection to the file that is at the path now, or a new one."""
        file = self._file()
        with contextlib.suppress(queue.Empty):
            while True:
                connection = self._idle.get_nowait()
                if connection.file == file:
                    return connection
                connection.to.close()  # the file was moved, deleted or replaced
        return _Connection(self._connect(), file)

    def _file(self) -> tuple[int, int]:
        try:
            found = os.stat(self.path)  # noqa: PTH116 - every read does it, and pathlib's takes longer
        except OSError:
            return 0, 0
        return found.st_dev, found.st_ino

    def _give_back(self, connection: _Connection) -> None:
        """Keep a connection for the next reader, or close it if the source is closed."""
        if self._is_closed:
            connection.to.close()
        else:
            self._idle.put(connection)

    def _connect(self) -> sqlite3.Connection:
        if self._has_inherited:
            raise SourceError(
                f"source {self.name!r}: this process was forked while its parent was reading {self.path}, and SQLite "
                "cannot lock it here then; fork while no task is being computed",
                field=self.name,
            )
        if not self.path.is_file():
            what = "is not a file" if self.path.exists() else "does not exist"
            raise SourceError(f"source {self.name!r}: {self.path} {what}", field=self.name)
        try:
            uri = f"{self.path.resolve().as_uri()}?mode=ro"
            return sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise SourceError(f"source {self.name!r}: {error}", field=self.name) from error
