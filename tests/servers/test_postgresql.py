"""PostgreSQL as a source of views, on a server that the tests start and remove."""

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
from tests.servers import pg
from tests.unit.commands import invoke
from tests.waiting import HANGS_S

import parbake as pb
import parbake_capture
from parbake.adapters.postgresql import OUTBOX_DDL, PostgresqlSource, emit
from parbake.cli.support import examination
from parbake.testing.source_suite import Facts, Seen, SourceSuite

GUIDE = (Path(__file__).parents[2] / "docs/howto/postgresql.md").read_text()
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server():
    """Return the address of a server, which ends with the module."""
    with pg.folder() as place, pg.postgresql(place / "data") as started:
        yield started.address


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


def test_a_view_cannot_write(source):
    """A view cannot write."""
    with pytest.raises(pb.errors.SourceError, match="read-only"), source.open(Facts, Seen()) as facts:
        facts.rows("INSERT INTO fact VALUES ('a', 'b') RETURNING name")


def test_a_connection_that_was_cut_is_replaced(database, source):
    """After the server dropped its connections, one poll fails and the next one works."""
    source.read(b"", 1)
    with psycopg.connect(database.address, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(pb.errors.SourceError):
        source.read(b"", 1)
    assert source.read(b"", 1).events == []


async def test_the_clock_of_the_database_can_be_compared(source):
    """``parbake doctor`` reads the time of the server, which is this machine's."""
    app = pb.App(pb.Registry(), sources=[source])
    found = [one async for one in examination._clocks(app)]
    await app.close()
    assert [(one.state, one.about) for one in found] == [("ok", "clock")]


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
        assert (lacking.exit_code, "outbox is missing" in " ".join(lacking.output.split())) == (1, True)
        parbake_capture.install(address, "policies:policy/{id}")
        assert invoke("pg_shop", "check", "pg_shop:app").output == "nothing is wrong\n"
        del sys.modules["pg_shop"]  # the command has closed its app
        app = importlib.import_module("pg_shop").app
        app.sync.run(app.drain())
        assert app.sync.serve(app.tasks["sentence"], "returns").value == "You have 30 days for returns."
        connection.execute(change)
        app.sync.run(app.drain())
        assert app.sync.serve(app.tasks["sentence"], "returns").value == "You have 10 days for returns."
        app.sync.close()
