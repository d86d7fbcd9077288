"""A PostgreSQL database as a source: views on read transactions of the primary, and the transactional outbox.

Positions must be in commit order, because a poll that has seen position 8 never asks for 7 again. A sequence alone does
not guarantee this: a slow transaction may take 7 and commit after 8. The outbox's trigger therefore takes a lock before
it takes the position, and the lock is released only after the commit is visible. This holds for every writer, in any
language. The cost is that transactions that emit wait for each other from the insert to the commit. Therefore emit
last, which also avoids deadlocks on rows. Needs PostgreSQL 14 or later.

A sequence does not take numbers back: a transaction that is rolled back leaves a gap that means nothing. Deleted rows
are therefore not detected by gaps but recorded by another trigger, whichever client deletes them.
"""

from __future__ import annotations

import contextlib
import queue
import re
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from parbake.errors import MissingDependency, SourceError
from parbake.ports.sources import Extent, SourceEvent
from parbake.ports.views import View
from parbake.process import forks
from parbake.protocol.recording import Tracker
from parbake.protocol.tags import check_reported, family_names, raised_by

if TYPE_CHECKING:
    import psycopg

ViewT = TypeVar("ViewT")
TIMEOUT_S = 10
OUTBOX_DDL = """
CREATE TABLE IF NOT EXISTS parbake_outbox(
  position BIGINT PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  subject TEXT NOT NULL,
  type TEXT NOT NULL,
  time DOUBLE PRECISION NOT NULL
);
CREATE SEQUENCE IF NOT EXISTS parbake_outbox_position OWNED BY parbake_outbox.position;
CREATE OR REPLACE FUNCTION parbake_outbox_place() RETURNS trigger LANGUAGE plpgsql AS $place$
BEGIN
  PERFORM pg_advisory_xact_lock(1885434466, TG_RELID::int);
  NEW.position := nextval('parbake_outbox_position');
  RETURN NEW;
END
$place$;
CREATE OR REPLACE TRIGGER parbake_outbox_place BEFORE INSERT ON parbake_outbox
  FOR EACH ROW EXECUTE FUNCTION parbake_outbox_place();
CREATE TABLE IF NOT EXISTS parbake_outbox_gone(upto BIGINT NOT NULL);
CREATE OR REPLACE FUNCTION parbake_outbox_note_gone() RETURNS trigger LANGUAGE plpgsql AS $note$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO parbake_outbox_gone SELECT last_value FROM parbake_outbox_position;
  ELSE
    INSERT INTO parbake_outbox_gone SELECT max(position) FROM gone HAVING max(position) IS NOT NULL;
  END IF;
  RETURN NULL;
END
$note$;
CREATE OR REPLACE TRIGGER parbake_outbox_deleted AFTER DELETE ON parbake_outbox
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION parbake_outbox_note_gone();
CREATE OR REPLACE TRIGGER parbake_outbox_truncated BEFORE TRUNCATE ON parbake_outbox
  FOR EACH STATEMENT EXECUTE FUNCTION parbake_outbox_note_gone();
"""
_LAST = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM parbake_outbox_position"
_GONE = f"SELECT max(upto) FROM parbake_outbox_gone WHERE upto <= ({_LAST})"  # noqa: S608  # this file's own text
"""Up to which position rows were deleted. Higher ones are from before the positions began again at 1."""
_TOKEN = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"[^"]*"|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|::|:([A-Za-z_]\w*)|%""",
    re.DOTALL,
)


def emit(connection: psycopg.Connection[Any], subject: str, event_type: str, *, now: float | None = None) -> int:
    """Write an outbox row in the caller's open transaction; returns its position.

    For a program that does not have the source. The source's own ``emit`` also refuses a family that nobody reports.

    Emit last: other transactions that emit wait until this one ends.

    Args:
        connection: The connection with the open transaction.
        subject: The tag, such as ``policy/returns``.
        event_type: The type; it ends in .changed, .created, .deleted or .bulk.
        now: Time of the change, in epoch seconds; the current time by default.
    """
    raised_by(subject, event_type)
    cursor = connection.execute(
        "INSERT INTO parbake_outbox(id, subject, type, time) VALUES (%s, %s, %s, %s) RETURNING position",
        (uuid.uuid4().hex, subject, event_type, time.time() if now is None else now),
    )
    row = cursor.fetchone()
    return cast("int", row[0]) if row else 0


def prune(connection: psycopg.Connection[Any], upto: int) -> int:
    """Delete outbox rows up to a position in the caller's open transaction; returns how many.

    Delete only rows that every store has applied (``await app.ops.applied()``). Losing an unread row invalidates
    everything that the source's families fence.
    """
    deleted = connection.execute("DELETE FROM parbake_outbox WHERE position <= %s", (upto,)).rowcount
    behind = f"DELETE FROM parbake_outbox_gone WHERE upto < ({_GONE})"  # noqa: S608  # this file's own text
    connection.execute(behind.encode())
    return deleted


def translate(statement: str, names: Collection[str]) -> str:
    """Rewrite ``:name`` parameters to psycopg's ``%(name)s``; literals, comments and casts are not changed."""

    def rewrite(match: re.Match[str]) -> str:
        name = match[2]
        return f"%({name})s" if name in names else match[0].replace("%", "%%")

    return _TOKEN.sub(rewrite, statement)


class _Session:
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        return self._connection.execute(translate(statement, parameters).encode(), parameters).fetchall()


class PostgresqlSource(forks.Forkable):
    """Views and outbox of one PostgreSQL database (see :class:`parbake.ports.sources.Source`)."""

    is_gapless = False

    def __init__(
        self, conninfo: str, *, families: Collection[str], views: Collection[type[View]], name: str = "shop"
    ) -> None:
        """Create the source, without connecting yet.

        Args:
            conninfo: A libpq URL or string.
            families: The tag families whose changes the outbox reports.
            views: The views that the source provides.
            name: The source's name.
        """
        self.name = name
        self.families = family_names(families, of=f"source {name!r}")
        self._conninfo = conninfo
        self._views = frozenset(views)
        self._idle: queue.SimpleQueue[psycopg.Connection[Any]] = queue.SimpleQueue()
        self._notes_gone = False
        forks.watch(self)

    def after_fork_in_child(self) -> None:
        """Reconnect at the next use. Closing the parent's connections here would end its sessions."""
        forks.abandon(self._idle)
        self._idle = queue.SimpleQueue()

    def emit(
        self, connection: psycopg.Connection[Any], subject: str, event_type: str, *, now: float | None = None
    ) -> int:
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
        """Open a view on one snapshot; raises :class:`SourceError` if the database cannot be read."""
        with self._connection() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield cast("ViewT", cast("type[View]", view)(_Session(connection), tracker))
            finally:
                connection.execute("ROLLBACK")

    def extent(self) -> Extent:
        """Return where the log begins and ends.

        An outbox from an earlier version does not record deletions.
        """
        with self._connection() as connection:
            if not self._notes_gone:
                (table,) = connection.execute("SELECT to_regclass('parbake_outbox_gone')").fetchone() or (None,)
                self._notes_gone = table is not None
            gone = f"coalesce(({_GONE}), 0)" if self._notes_gone else "0::bigint"
            row = connection.execute(f"SELECT {gone}, ({_LAST})".encode()).fetchone()
        return Extent(*(row or (0, 0)))

    def poll(self, after: int, limit: int) -> list[SourceEvent]:
        statement = (
            "SELECT position, id, subject, type FROM parbake_outbox WHERE position > %s ORDER BY position LIMIT %s"
        )
        with self._connection() as connection:
            return [SourceEvent(*row) for row in connection.execute(statement, (after, limit))]

    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        psycopg = _client()
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._connect(psycopg)
        try:
            yield connection
        except psycopg.Error as error:
            connection.close()
            self.close()  # after a restart of the server, all idle connections are broken
            why = str(error)
            if isinstance(error, psycopg.errors.UndefinedTable) and "parbake_outbox" in why:
                why = "its parbake_outbox is missing or unlike parbake.adapters.postgresql.OUTBOX_DDL: execute that"
            raise SourceError(f"source {self.name!r}: {why}", field=self.name) from error
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)

    def _connect(self, client: Any) -> psycopg.Connection[Any]:
        """Connect to the primary; a replica may lag behind an acknowledged event."""
        try:
            connection = client.connect(
                self._conninfo, autocommit=True, connect_timeout=TIMEOUT_S, target_session_attrs="primary"
            )
        except client.Error as error:
            raise SourceError(f"source {self.name!r} cannot be reached: {error}", field=self.name) from error
        return cast("psycopg.Connection[Any]", connection)


def _client() -> Any:
    try:
        import psycopg
    except ModuleNotFoundError as error:
        raise MissingDependency.of("a PostgreSQL source", "postgresql", field="psycopg") from error
    return psycopg
