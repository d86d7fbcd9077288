"""What a role has planted in a schema of the search path is run by nothing that parbake executes."""

import contextlib
import itertools

import psycopg
import pytest
from tests.servers import pg, planted
from tests.servers.test_formats import FIXTURES
from tests.unit.commands import invoke

import parbake as pb
from parbake.adapters import postgresql_store
from parbake.adapters.postgresql import PostgresqlSource, emit, prune
from parbake.process.counters import Counters
from parbake.stores.steps.item_steps import Commit
from parbake.testing import FakeClock
from parbake_lab.prove.prove_run import ProveLimits, prove
from parbake_planner.ledger.ledger_writer import LedgerWriter

TABLE = "CREATE TABLE policies(id TEXT PRIMARY KEY, days INT); INSERT INTO policies VALUES ('a', 1), ('b', 2)"
PATHS = {"public is implicitly after pg_catalog": "public", "public is before pg_catalog": "public, pg_catalog"}
OLD_FORMS = [
    "SELECT quote_ident(current_schema())",
    "SELECT concat('a', proconfig) FROM pg_catalog.pg_proc LIMIT 1",
    "SELECT 'a'::pg_catalog.text || proname FROM pg_catalog.pg_proc LIMIT 1",
]
"""What parbake must not execute with the search path of its caller."""
numbers = itertools.count(1)


class Policies(pb.View):
    """What tasks read."""

    families = ("policy",)

    def days(self, name):
        """Return the days of a policy; the statement is the user's, who calls nothing that is planted."""
        rows = self.rows("SELECT id, days FROM policies")
        for row in rows:
            self.entity(f"policy/{row[0]}")
        return dict(rows)[name]


class Totals(pb.View):
    """What leaves out most of what it reads."""

    families = ("policy",)

    def days(self, name):
        """Return the days of all policies, and name one."""
        self.entity(f"policy/{name}")
        return self.rows("SELECT days FROM policies")


tasks = pb.Registry()


@tasks.artifact(
    freshness_sla="24h", invalidated_by=[pb.fence("policy")], fallback_if_stale=pb.Recompute(), owner="support"
)
def sentence(name: str, *, policies: pb.Source[Policies]) -> str:
    """Say how many days there are."""
    return f"{policies.days(name)} days"


@pytest.fixture(scope="module")
def server():
    """Return a server with a role that owns a shop, one that reads it, and one that may create and nothing else."""
    with pg.folder() as place, pg.postgresql(place / "data") as started:
        started.sql("CREATE ROLE keeper LOGIN CREATEDB", "CREATE ROLE reader LOGIN", "CREATE ROLE mallory LOGIN")
        started.sql("GRANT pg_monitor TO keeper, reader")
        yield started


class Shop:
    """A database in which others may create, with a table of its owner."""

    def __init__(self, server, path, *statements):
        """Create it, and plant what may be planted.

        Args:
            server: The server.
            path: The search path of all roles.
            statements: What the owner executes before anything is planted.
        """
        name = f"planted{next(numbers)}"
        server.sql(f"CREATE DATABASE {name} OWNER keeper")
        server.sql(
            "GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC",
            f"ALTER DATABASE {name} SET search_path = {path}",
            dbname=name,
        )
        self.address, self.reader, mallory = (
            f"postgresql://{role}@127.0.0.1:{server.port}/{name}" for role in ("keeper", "reader", "mallory")
        )
        with self.connect() as connection:
            for statement in [TABLE, *statements]:
                connection.execute(statement)
            connection.execute("GRANT SELECT ON policies TO reader")
        self.name = name
        self.path = path
        assert planted.plant(mallory, is_first="pg_catalog" in path) > 5000

    def connect(self, **options):
        """Connect as the owner."""
        return psycopg.connect(self.address, **options)

    @contextlib.contextmanager
    def pinned(self):
        """Connect with a path on which nothing is planted."""
        with psycopg.connect(self.address, autocommit=True, options="-csearch_path=pg_catalog") as connection:
            yield connection

    def copied(self, server):
        """Return the address of a copy with the same search path."""
        name = f"{self.name}_copy"
        server.sql(
            f"CREATE DATABASE {name} TEMPLATE {self.name} OWNER keeper",
            f"ALTER DATABASE {name} SET search_path = {self.path}",
        )
        return f"postgresql://keeper@127.0.0.1:{server.port}/{name}"

    def call(self, *words):
        """Run a command on the database, which has to succeed."""
        done = invoke(words[0], *words)
        assert done.exit_code == 0, (words, done.output, done.exception)
        self.must_be_untouched()

    def capture(self, verb, *words):
        """Run a command of ``parbake capture``."""
        self.call("capture", verb, self.address, *words)

    def must_be_untouched(self):
        """Check that nothing planted has run."""
        with self.pinned() as connection:
            assert not planted.has_run(connection)


@pytest.fixture(scope="module", params=PATHS.values(), ids=PATHS)
def path(request):
    """Return a search path."""
    return request.param


@pytest.fixture(scope="module")
def shop(server, path):
    """Return a shop in which everything is planted."""
    return Shop(server, path)


def test_what_is_planted_would_run(server, path):
    """Statements that do not name the schema of what they call run what was planted."""
    shop = Shop(server, path)
    for statement in OLD_FORMS:
        with (
            shop.connect() as connection,
            pytest.raises(psycopg.Error, match=r"PLANTED .* run by keeper|is not unique"),
        ):
            connection.execute(statement)


async def test_a_captured_shop_runs_nothing_that_was_planted(shop):
    """Capture, polls, reports, views, an event, a pruning, a wait and the end of the capture run nothing planted."""
    install = ("--table", "policies:policy/{id}", "--reader", "reader", "--max-silence", "10m", "--apply")
    shop.capture("install", *install)
    shop.capture("install", *install)
    shop.capture("check")
    shop.capture("show")
    source = PostgresqlSource(
        shop.reader, families=["policy"], views=[Policies], captured={"policies": ["policy/{id}"]}
    )
    app = pb.App(tasks, sources=[source], worker="none")
    await app.drain()
    assert (await app.serve(sentence, "a")).value == "1 days"
    with shop.connect() as connection:
        connection.execute("UPDATE policies SET days = 3")
        emit(connection, "policy/b", "policy.changed")
    assert "policy/b" in (await app.drain()).raised
    assert (await app.serve(sentence, "a")).value == "3 days"
    assert (await app.ready()).conditions == ()
    with source.open(Policies, None) as view:
        assert view._session.columns().kinds["policies"] == {"id": "text", "days": "integer"}
    assert source.untold() == []
    for is_autocommit in (False, True):
        with shop.connect(autocommit=is_autocommit) as connection:
            prune(connection)
            assert connection.execute("SHOW search_path").fetchone() == (shop.path,)
    with shop.connect(autocommit=True) as connection:
        connection.execute("SELECT parbake_wait('3'::pg_catalog.xid8, '1 ms')")
    shop.capture("readers")
    with shop.pinned() as connection:
        connection.execute("UPDATE public.parbake_reader SET heard = heard - '1 day'::interval")
        stores = connection.execute("SELECT store FROM public.parbake_reader").fetchall()
    for (store,) in stores:
        shop.capture("retire", store, "--apply")
    shop.capture("remove", "--apply")
    await app.close()
    shop.must_be_untouched()


@pytest.mark.parametrize("version", [1, 2])
def test_a_migration_runs_nothing_that_was_planted(server, path, version):
    """An outbox of an earlier version is migrated, and its table is captured anew, without running anything planted."""
    event = "INSERT INTO parbake_outbox(id, subject, type, time) VALUES ('1', 'policy/a', 'policy.changed', 1)"
    shop = Shop(server, path, (FIXTURES / f"postgresql_outbox_{version}.sql").read_text(), event)
    shop.call("migrate", shop.address, "--apply")
    shop.capture("install", "--table", "policies:policy/{id}", "--replace", "--apply")
    shop.capture("check")


@pytest.mark.parametrize("is_given", [False, True])
async def test_a_proof_runs_nothing_that_was_planted(server, path, is_given):
    """A copy is made or given, rows are changed and what views read is compared, without running anything planted."""
    pytest.importorskip("sqlglot")
    shop = Shop(server, path, "CREATE VIEW long AS SELECT id FROM policies WHERE days > 1", "CREATE TABLE bare(n INT)")
    shop.capture("install", "--table", "policies:policy/{id}", "--apply")
    copy = shop.copied(server) if is_given else ""
    leaving = pb.Registry()

    @leaving.artifact(
        freshness_sla="24h", invalidated_by=[pb.fence("policy")], fallback_if_stale=pb.Recompute(), owner="support"
    )
    def total(name: str, *, policies: pb.Source[Totals]) -> str:
        return f"{policies.days(name)} days"

    app = pb.App(leaving, sources=[PostgresqlSource(shop.address, families=["policy"], views=[Totals])])
    limits = ProveLimits(keys={"total": ["a", "b"]}, copy=copy)
    proof = await prove(app, limits, progress=lambda done, total: None)
    assert proof.unproved == {}
    assert {one.what for one in proof.findings} == {
        "policies.days",
        "policies (row deleted)",
        "policies (row inserted)",
    }
    shop.must_be_untouched()
    if is_given:  # the proof goes on where the database refuses a change
        with psycopg.connect(copy, options="-csearch_path=pg_catalog") as connection:
            assert not planted.has_run(connection)


@pytest.mark.parametrize("schema", ["parbake", "public"])
async def test_a_store_runs_nothing_that_was_planted(shop, schema):
    """A store works where others may create in its schema, and where they may not, without running anything planted."""
    items = postgresql_store.PostgresqlItems.from_url(f"{shop.address}?schema={schema}")
    await items.open()
    assert await items.commit(Commit({b"a": None}, {b"a": b"1"}))
    assert await items.commit(Commit({b"a": b"1"}, {b"a": b"2"}, items.host))
    await items.put([(b"b", b"1"), (b"c", b"1")])
    await items.put([(b"new%d" % number, b"1") for number in range(60)])
    assert await items.fetch([b"a", b"b"]) == [b"2", b"1"]
    assert await items.range(b"a", b"", 5) == [(b"a", b"2")]
    assert await items.count(b"new") == 60
    await items.remove([b"a"])
    await items._link._tell_of_damage()
    assert "damaged" in await items.heal()
    assert len(await items.discard()) == 1
    await items.close()
    shop.must_be_untouched()


def test_a_ledger_runs_nothing_that_was_planted(shop):
    """A ledger is made, written and read without running anything planted."""
    ledger = LedgerWriter(shop.address, Counters(), FakeClock(1e9))
    ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored", cpu_s=0.0)
    assert ledger.settle()
    assert len(ledger.hourly()) == 1
    ledger.close()
    shop.must_be_untouched()


def test_django_asks_its_connection_without_running_what_was_planted(shop):
    """What the cache asks on a connection of Django runs nothing planted."""
    pytest.importorskip("django")
    from parbake.contrib.django import transactions

    with shop.connect() as connection:
        for statement in (transactions._STATES["postgresql"], transactions._TICKETS["postgresql"]):
            assert connection.execute(statement).fetchone()
    shop.must_be_untouched()
