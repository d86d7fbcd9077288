"""A PostgreSQL database as a source: views on read transactions of the primary, and the transactional outbox.

Writers do not wait for each other: an outbox row takes no lock, and nothing is sent to a listener, because ``NOTIFY``
takes a lock of the whole server until the commit and makes ``PREPARE TRANSACTION`` fail. How such an outbox is read
without missing a row: :mod:`parbake.adapters._postgresql.outbox`. Needs PostgreSQL 14 or later.
"""

from __future__ import annotations

import contextlib
import queue
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import msgspec

from parbake.adapters._postgresql import outbox
from parbake.adapters._postgresql.columns import PostgresqlColumns
from parbake.adapters._postgresql.conninfo import parameters
from parbake.adapters._postgresql.outbox import Primary
from parbake.adapters._postgresql.pruning import delete_applied
from parbake.adapters._postgresql.reports import Reports, trusted_for_s
from parbake.adapters._postgresql.search_path import CallerPath, pin, pin_own, restore
from parbake.errors import MissingDependency, SourceError
from parbake.ports.row_keys import Columns
from parbake.ports.sources import LogPage, SourceEvent
from parbake.ports.views import View, untold
from parbake.process import forks
from parbake.protocol.recording import Tracker
from parbake.protocol.table_names import table_name
from parbake.protocol.tags import check_reported, family_names, raised_by

if TYPE_CHECKING:
    import psycopg

ViewT = TypeVar("ViewT")
TIMEOUT_S = 10
_SQL = Path(outbox.__file__).parent / "sql"
_VERSION = 3
_NO_TRANSACTION = 0
"""What libpq says of a connection without an open transaction (``PQTRANS_IDLE``)."""
OUTBOX_DDL = (_SQL / f"postgresql_outbox_{_VERSION}.sql").read_text()
_TABLES_OF_VIEWS = """
WITH RECURSIVE reads(name, oid) AS (
  SELECT relname, oid FROM pg_catalog.pg_class
  WHERE relkind OPERATOR(pg_catalog.=) ANY('{r,p,v,m,f}'::pg_catalog."char"[]) AND pg_catalog.pg_table_is_visible(oid)
  UNION
  SELECT reads.name, d.refobjid FROM reads
  JOIN pg_catalog.pg_class v ON v.oid OPERATOR(pg_catalog.=) reads.oid
    AND v.relkind OPERATOR(pg_catalog.=) 'v'  -- what a materialized view shows changes with its REFRESH
  JOIN pg_catalog.pg_rewrite r ON r.ev_class OPERATOR(pg_catalog.=) reads.oid
  JOIN pg_catalog.pg_depend d ON d.objid OPERATOR(pg_catalog.=) r.oid
    AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.REGCLASS
    AND d.refobjid OPERATOR(pg_catalog.<>) r.ev_class
)
SELECT reads.name, pg_catalog.array_agg(DISTINCT c.relname)
FROM reads JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) reads.oid
WHERE c.relkind OPERATOR(pg_catalog.=) ANY('{r,p,m,f}'::pg_catalog."char"[])
  AND c.relnamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.REGNAMESPACE
  AND c.relname OPERATOR(pg_catalog.!~~) 'parbake\\_%' GROUP BY reads.name
"""
"""Executed with the search path of the caller, which decides what is visible; so its operators name their schema."""
_REPORT = (
    "SELECT OWN.parbake_report(%s::TEXT, %s::BIGINT, %s::PG_SNAPSHOT, %s::TEXT, make_interval(secs => %s), %s::BOOLEAN)"
)
_LAST_REPORT = "SELECT number, seen::TEXT FROM OWN.parbake_reader WHERE store = %s AND run = %s"
_ANOTHER_STATE, _TOO_SILENT, _ANOTHER_RUN = "PB001", "PB002", "PB003"
"""Why the database refuses a report: the store is in an earlier state, it trusts itself for too long, or the server has
begun another run."""
_LACKING = (
    "parbake_outbox", "parbake_capture", "parbake_reader", "parbake_report", "parbake_run", '"xid"', '"store"',
    '"number"',
)  # fmt: skip
_TOKEN = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"[^"]*"|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|::|:([A-Za-z_]\w*)|%""",
    re.DOTALL,
)


def emit(connection: psycopg.Connection[Any], subject: str, event_type: str, *, now: float | None = None) -> int:
    """Write an outbox row in the caller's open transaction; returns the id of the transaction, which is its ticket.

    For a program that does not have the source. The source's own ``emit`` also refuses a family that nobody reports.

    Args:
        connection: The connection with the open transaction.
        subject: The tag, such as ``policy/returns``.
        event_type: The type; it ends in .changed, .created, .deleted or .bulk.
        now: Time of the change, in epoch seconds; the current time by default.
    """
    raised_by(subject, event_type)
    # It has the caller's search path. Nothing here is looked up in it but the table: each value is taken as its column
    # is, and a cast from one type of the server to another is nobody else's to make.
    cursor = connection.execute(
        "INSERT INTO parbake_outbox(subject, type, time) VALUES (%s, %s, %s) RETURNING xid::pg_catalog.TEXT::BIGINT",
        (subject, event_type, time.time() if now is None else now),
    )
    row = cursor.fetchone()
    return cast("int", row[0]) if row else 0


def prune(connection: psycopg.Connection[Any], *, forget: str = "7 days") -> int:
    """Delete the outbox rows that every store has applied, in the caller's open transaction; returns how many.

    Args:
        connection: A connection with the right to delete.
        forget: After how long a store that reports nothing is retired, as an interval of PostgreSQL; not before it
            trusts nothing any more. If it comes back after rows were deleted that it has not read, all families of the
            source are raised for it. A year after its last report its row is deleted, and the store is refused.
    """
    is_open = not connection.autocommit or connection.info.transaction_status != _NO_TRANSACTION
    with contextlib.nullcontext() if is_open else connection.transaction():
        before = pin(connection, is_local=True)
        try:
            before.refuse_strangers(field="connection")
        except SourceError:
            restore(connection, before)
            raise
        deleted = delete_applied(
            lambda statement, *values: connection.execute(before.qualify(statement), values), forget
        )
        restore(connection, before)  # an error of the server ends the transaction, and the setting with it
    return deleted


def migration(conninfo: str) -> list[str]:
    """The statements that bring the outbox of a database to the present version; none if it has that, or no outbox.

    Raises :class:`SourceError` if the database cannot be reached, or if its outbox is of a later version.
    """
    has_xid = "SELECT FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'xid' AND NOT attisdropped"
    with _migrating(conninfo) as (connection, path):
        if not path.has_outbox:
            return []
        version = 1
        if connection.execute(has_xid, (f"{path.outbox_schema}.parbake_outbox",)).fetchone() is not None:
            statement = path.qualify("SELECT version FROM OWN.parbake_format WHERE part = 'outbox'")
            format_row = connection.execute(statement, ()).fetchone()
            version = format_row[0] if format_row else 2
    if version > _VERSION:
        raise SourceError(f"the outbox has version {version}, and this parbake knows {_VERSION}", field="DATABASE")
    if version == _VERSION:
        return []
    if version == 1:
        # What was deleted under the earlier version is unknown now, so that each store raises all families once.
        return [
            (_SQL / "postgresql_outbox_1_to_2.sql").read_text(),
            OUTBOX_DDL,
            "INSERT INTO parbake_outbox_gone DEFAULT VALUES;",
        ]
    return [(_SQL / "postgresql_outbox_2_to_3.sql").read_text(), OUTBOX_DDL]


def run_migration(conninfo: str, statements: Sequence[str]) -> None:
    """Execute the statements of a migration in one transaction; raises :class:`SourceError` if the database refuses."""
    with _migrating(conninfo) as (connection, path), connection.transaction():
        connection.execute(path.set_for_transaction())
        for statement in statements:
            connection.execute(statement.encode())


@contextlib.contextmanager
def _migrating(conninfo: str) -> Iterator[tuple[psycopg.Connection[Any], CallerPath]]:
    psycopg = _client()
    try:
        with connected(conninfo, field="DATABASE") as connection:
            yield connection, pin_own(connection, field="DATABASE", is_installing=True)
    except psycopg.Error as error:
        raise SourceError(f"the outbox cannot be migrated: {error}", field="DATABASE") from error


def connected(conninfo: str, *, field: str) -> psycopg.Connection[Any]:
    """Connect to a primary, because a replica may lag behind an acknowledged event; without a transaction.

    Args:
        conninfo: A libpq URL or string.
        field: What an error names that says the URL cannot be read. Other errors are the client's.
    """
    # Texts are text also where a database has no encoding (SQL_ASCII), and would come as bytes.
    settings: dict[str, Any] = {
        **parameters(conninfo, field=field, kind=SourceError), "connect_timeout": TIMEOUT_S,
        "target_session_attrs": "primary", "client_encoding": "utf8", "fallback_application_name": "parbake",
    }  # fmt: skip
    return cast("psycopg.Connection[Any]", _client().connect("", autocommit=True, **settings))


def translate(statement: str, names: Collection[str]) -> str:
    """Rewrite ``:name`` parameters to psycopg's ``%(name)s``; literals, comments and casts are not changed."""

    def rewrite(match: re.Match[str]) -> str:
        name = match[2]
        return f"%({name})s" if name in names else match[0].replace("%", "%%")

    return _TOKEN.sub(rewrite, statement)


class _Session:
    def __init__(self, connection: psycopg.Connection[Any], path: CallerPath, columns: PostgresqlColumns) -> None:
        self._connection = connection
        self._path = path
        self._columns = columns
        self._origins: dict[str, list[bool]] = {}

    def columns(self) -> Columns:
        return self._columns.read(self._connection, self._path)

    def origins(self, statement: str) -> Sequence[bool] | None:
        return self._origins.get(statement)

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        cursor = self._connection.execute(translate(statement, parameters).encode(), parameters)
        result = cursor.pgresult
        if result is not None and statement not in self._origins:
            self._origins[statement] = [result.ftable(place) != 0 for place in range(result.nfields)]
        return cursor.fetchall()


class _Connection(NamedTuple):
    """A pinned connection, the server that it reaches, and its path before, which do not change while it lasts."""

    to: psycopg.Connection[Any]
    server: Primary
    path: CallerPath

    def execute(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = (), **options: Any) -> Any:
        """Execute a statement.

        Args:
            statement: The statement, in which ``OWN`` stands for the schema of the outbox.
            values: Its values.
            options: Those of the driver.
        """
        return self.to.execute(self.path.qualify(statement), values, **options)

    def begin_view(self) -> None:
        """Begin the transaction of a view, whose statements are looked up where their author means them to be."""
        begin = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
        self.to.execute(begin + self.path.set_for_transaction(), prepare=False)


class PostgresqlSource(forks.Forkable):
    """Views and outbox of one PostgreSQL database (see :class:`parbake.ports.sources.UnorderedSource`)."""

    pause_s = (0.005, 0.1)
    """The shortest and the longest pause between two polls, in seconds."""

    def __init__(
        self,
        conninfo: str,
        *,
        families: Collection[str],
        views: Collection[type[View]],
        name: str = "shop",
        uncaptured: Collection[str] = (),
        captured: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """Create the source, without connecting yet.

        Args:
            conninfo: A libpq URL or string.
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
        self.conninfo = conninfo
        self._views = frozenset(views)
        self._idle: queue.SimpleQueue[_Connection] = queue.SimpleQueue()
        self._reports: dict[str, Reports] = {}
        self._columns = PostgresqlColumns()
        self._is_closed = False
        forks.watch(self)

    def after_fork_in_child(self) -> None:
        """Reconnect at the next use. Closing the parent's connections here would end its sessions."""
        forks.abandon(self._idle)
        self._idle = queue.SimpleQueue()

    def emit(
        self, connection: psycopg.Connection[Any], subject: str, event_type: str, *, now: float | None = None
    ) -> int:
        """Write an outbox row in the open transaction if the source reports its family; returns the transaction's id.

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
            connection.begin_view()
            try:
                session = _Session(connection.to, connection.path, self._columns)
                yield cast("ViewT", cast("type[View]", view)(session, tracker))
            finally:
                connection.to.execute("ROLLBACK")

    def read(self, cursor: bytes, limit: int) -> LogPage:
        """Read at most ``limit`` rows of transactions that a cursor does not cover; see the port."""
        known = outbox.decode(cursor, name=self.name)
        with self._connection() as connection:
            server = connection.server
            reported = None
            if known is not None and outbox.is_restarted(known, server):
                reported = connection.execute(_LAST_REPORT, (known.reader, known.server.run)).fetchone()
            before, lost = outbox.resumed(known, server, reported, name=self.name)
            row = connection.execute(outbox.READ, outbox.parameters(before, limit)).fetchone()
        page = outbox.Page(row, limit)
        page.judged(before, name=self.name)
        is_restarted = known is not None and known.server != server
        reports = self._reports.get(before.reader, Reports())
        return page.reading(
            before,
            self.families,
            self._wanted,
            lost=lost,
            is_restarted=is_restarted,
            serial=reports.serial,
            is_report_due=reports.is_due(server.run, time.monotonic()),
        )

    def covers(self, cursor: bytes, ticket: int) -> bool:
        """Whether a transaction is visible in a cursor's snapshot, on the server as it is now.

        Args:
            cursor: The cursor.
            ticket: The transaction's id.
        """
        known = outbox.decode(cursor, name=self.name)
        if known is None:
            return False
        with self._connection() as connection:
            connection.execute("SELECT 1")  # a connection from before a crash does not answer
        return outbox.covers(known, ticket, connection.server)

    def told(self, ticket: int) -> list[SourceEvent]:
        with self._connection() as connection:
            rows = connection.execute(outbox.TOLD, (str(ticket),)).fetchall()
        return [SourceEvent(*row) for row in rows]

    def untold(self) -> list[str]:
        """Name the tables that views read and of whose changes nobody tells; blocking."""
        with self._connection() as connection:
            captured = connection.execute("SELECT DISTINCT relation FROM OWN.parbake_capture").fetchall()
            with connection.to.transaction():
                connection.to.execute(connection.path.set_for_transaction())
                rows = connection.to.execute(_TABLES_OF_VIEWS).fetchall()
        plain = {table_name(relation) for (relation,) in captured}
        return untold(self._views, plain, self.uncaptured, {name: set(tables) for name, tables in rows})

    def report(self, cursor: bytes, silence_s: float, *, has_news: bool) -> None:
        """Report progress at once if there is news, and else every two seconds; see the port.

        Args:
            cursor: A cursor that the store keeps.
            silence_s: For how many seconds after a heartbeat the store trusts what it holds.
            has_news: Whether events were applied since the last report.
        """
        known = outbox.decode(cursor, name=self.name)
        if known is None:
            return

        def send(is_lasting: bool) -> int:  # noqa: FBT001  # passed by position, as the only one
            values = (known.reader, known.number, known.seen, known.server.run, trusted_for_s(silence_s), is_lasting)
            with self._connection() as connection:
                row = connection.execute(_REPORT, values, prepare=True).fetchone()
            return int(row[0]) if row else 0

        reports = self._reports.setdefault(known.reader, Reports())
        reports.report(known, send, time.monotonic(), has_news=has_news, source=self.name)

    def may_beat(self, cursor: bytes) -> bool:
        known = outbox.decode(cursor, name=self.name)
        if known is None:
            return False
        return self._reports.get(known.reader, Reports()).may_beat(known.server.run, time.monotonic())

    def renewed(self, cursor: bytes) -> bytes:
        known = outbox.decode(cursor, name=self.name)
        return b"" if known is None else msgspec.msgpack.encode(outbox.renewed(known))

    def leave(self, cursor: bytes) -> None:
        known = outbox.decode(cursor, name=self.name)
        if known is None:
            return
        with self._connection() as connection:
            connection.execute("SELECT OWN.parbake_leave(%s::TEXT)", (known.reader,))

    def close(self) -> None:
        self._is_closed = True
        self._drop_idle()

    def _drop_idle(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().to.close()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[_Connection]:
        psycopg = _client()
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._connect(psycopg)
        try:
            yield connection
        except psycopg.Error as error:
            connection.to.close()
            self._drop_idle()  # after a restart of the server, all idle connections are broken
            raise self._failed(psycopg, error) from error
        except BaseException:
            connection.to.close()
            raise
        self._idle.put(connection)
        if self._is_closed:  # meanwhile, such as during a poll
            self._drop_idle()

    def _failed(self, psycopg: Any, error: Any) -> SourceError:
        errors = psycopg.errors
        code = getattr(error, "sqlstate", None)
        reason = str(error)
        if code in (_ANOTHER_STATE, _TOO_SILENT, _ANOTHER_RUN):
            reason = error.diag.message_primary  # without the lines of the function
        if code == _ANOTHER_STATE:
            return outbox.went_back(self.name, reason)
        if code == _TOO_SILENT:
            reason = (
                f"{reason}: lower silence_limit, or raise what the database allows with 'parbake capture install "
                "DATABASE --max-silence 10m --apply'"
            )
        elif isinstance(error, errors.InsufficientPrivilege) and "parbake_report" in reason:
            reason = (
                f"{reason}: this server may not report how far it has read, so that writers cannot wait for it and it "
                "trusts nothing that it holds; grant it with 'parbake capture install DATABASE --reader ROLE --apply'"
            )
        elif isinstance(error, errors.UndefinedTable | errors.UndefinedFunction | errors.UndefinedColumn) and any(
            name in reason for name in _LACKING
        ):
            reason = (
                "its outbox is missing or of an earlier version: run 'parbake capture install' or 'parbake migrate' "
                "on it, or execute parbake.adapters.postgresql.OUTBOX_DDL"
            )
        return SourceError(f"source {self.name!r}: {reason}", field=self.name)

    def _connect(self, psycopg: Any) -> _Connection:
        try:
            connection = connected(self.conninfo, field=self.name)
        except psycopg.Error as error:
            raise SourceError(f"source {self.name!r} cannot be reached: {error}", field=self.name) from error
        try:
            path = pin_own(connection, field=self.name)
            return _Connection(
                connection, Primary(*connection.execute(path.qualify(outbox.IDENTITY), ()).fetchone() or ()), path
            )
        except psycopg.Error as error:
            connection.close()
            raise self._failed(psycopg, error) from error


def _client() -> Any:
    try:
        import psycopg
    except ModuleNotFoundError as error:
        raise MissingDependency.of("a PostgreSQL source", "postgresql", field="psycopg") from error
    return psycopg
