"""A database whose writer knows nothing of parbake but ``parbake_wait``, and apps that read it.

Limits are shortened, so that a store that is silent for about a second trusts nothing any more.
"""

import contextlib

import psycopg
from tests.servers import pg
from tests.waiting import eventually

import parbake as pb
from parbake.adapters.postgresql import OUTBOX_DDL, PostgresqlSource, emit
from parbake.errors import ParbakeError, SourceError
from parbake.tasks.served import Verdict

SILENCE_S, REPORT_S = 0.4, 0.3
MAX_SILENCE = "1200 ms"
"""More than a store's silence and twice the pause between its reports."""
TABLE = "CREATE TABLE facts(name TEXT PRIMARY KEY, version INT); INSERT INTO facts VALUES ('a', 0)"
WAIT = "SELECT parbake_wait(%s::TEXT::XID8, '20 ms')"


class Facts(pb.View):
    """Reads one fact."""

    families = ("fact",)

    def version(self, name: str) -> int:
        """Return the version of a fact."""
        self.entity(f"fact/{name}")
        return int(self.rows("SELECT version FROM facts WHERE name = :name", name=name)[0][0])


def declared() -> tuple[pb.Registry, object]:
    """Return a registry with one task that reads a fact, and the task."""
    tasks = pb.Registry()

    @tasks.artifact(
        freshness_sla="1h", invalidated_by=[pb.fence("fact")], fallback_if_stale=pb.Recompute(), owner="owner"
    )
    def fact(name: str, facts: pb.Source[Facts]) -> int:
        return facts.version(name)

    return tasks, fact


class Database:
    """A database with one fact and an outbox, whose writer knows nothing of parbake but ``parbake_wait``."""

    numbers = iter(range(1, 1000))

    def __init__(self, server, name=""):
        """Create it, unless it is there."""
        self.server = server
        self.name = name or f"waited{next(self.numbers)}"
        if not name:
            server.sql(f"CREATE DATABASE {self.name}")
            self.sql(TABLE)
            self.install()

    @property
    def address(self):
        """Its address."""
        return f"postgresql://postgres@127.0.0.1:{self.server.port}/{self.name}"

    def install(self):
        """Create the outbox."""
        self.sql(OUTBOX_DDL, f"UPDATE parbake_setting SET value = '{MAX_SILENCE}'")

    def sql(self, *statements):
        """Run statements; return the rows of the last one."""
        return self.server.sql(*statements, dbname=self.name)

    def change(self):
        """Commit a new version; return it with the transaction's id."""
        with psycopg.connect(self.address) as connection:
            cursor = connection.execute("UPDATE facts SET version = version + 1 RETURNING version")
            (version,) = cursor.fetchone()
            return version, emit(connection, "fact/a", "fact.changed")

    def wait(self, ticket):
        """Ask once whether every store has applied a transaction."""
        with psycopg.connect(self.address, autocommit=True) as connection:
            return connection.execute(WAIT, (str(ticket),)).fetchone()[0]

    def answer(self, ticket):
        """Ask until the answer is not "not yet", and return it."""
        found = [False]

        def has_answered():
            found[0] = self.wait(ticket)
            return found[0] is not False

        eventually(has_answered)
        return found[0]

    def begin_runs_earlier(self):
        """Let the present run of the server be one that was noticed long ago."""
        self.sql(pg.BEGIN_RUN_EARLIER)


@contextlib.asynccontextmanager
async def reading(database, store="memory://", **options):
    """Yield an app that reads the database, with its task and its source."""
    tasks, task = declared()
    source = PostgresqlSource(database.address, families=["fact"], views=[Facts])
    app = pb.App(tasks, store=store, sources=[source], silence_limit=f"{SILENCE_S}s", **options)
    app.task, app.source = task, source
    try:
        yield app
    finally:
        await app.close()


async def served_fresh(app):
    """Return the version that an app serves as fresh; ``None`` if it serves none."""
    with contextlib.suppress(ParbakeError):
        served = await app.serve(app.task, "a")
        if served.verdict is Verdict.FRESH:
            return served.value
    return None


def cut_off(app):
    """Cut an app off from its database; return what connects it again."""
    connection, app.source._connection = app.source._connection, refused
    return lambda: setattr(app.source, "_connection", connection)


def refused():
    """Refuse a connection, as a network does that was cut."""
    raise SourceError("cut off", field="shop")


async def drained(app):
    """Poll once."""
    with contextlib.suppress(ParbakeError):
        await app.drain()
