"""A small world for engine tests: a SQLite source that can be changed, and declarations with defaults."""

import contextlib
import sqlite3

import parbake as pb
from parbake.adapters.sqlite import OUTBOX_DDL, SqliteSource, emit
from parbake.testing import FakeClock
from parbake_llm import Prompts
from parbake_planner import Ledger, Planner


class Facts(pb.View):
    """Values by name, each an entity of the family ``fact``."""

    families = ("fact",)

    def get(self, name):
        """Return one value, or ``None``."""
        self.entity(f"fact/{name}")
        rows = self.rows("SELECT value FROM fact WHERE name = :name", name=name)
        return rows[0][0] if rows else None

    def names(self):
        """Return all names."""
        self.whole_set("fact")
        return [row[0] for row in self.rows("SELECT name FROM fact ORDER BY name")]


class World:
    """A database, its source and a clock that stands still."""

    def __init__(self, folder):
        """Create the tables."""
        folder.mkdir(exist_ok=True)
        self.path = folder / "facts.sqlite"
        self.clock = FakeClock()
        self._sources = []
        self.source = self.source_of(Facts)
        with self.connected() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE fact(name TEXT PRIMARY KEY, value TEXT)")
            connection.execute(OUTBOX_DDL)

    def source_of(self, *views, families=("fact",)):
        """Return a source of this database with these views; the world closes it."""
        source = SqliteSource(self.path, families=families, views=views, name="facts")
        self._sources.append(source)
        return source

    def close(self):
        """Close every source."""
        for source in self._sources:
            source.close()

    @contextlib.contextmanager
    def connected(self):
        """Open a connection and run the body in one transaction."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            yield connection

    def put(self, name, value, *, tell=True):
        """Change a fact, in one transaction with its outbox row."""
        with self.connected() as connection:
            connection.execute(
                "INSERT INTO fact VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = ?", (name, value, value)
            )
            if tell:
                emit(connection, f"fact/{name}", "fact.changed")

    def app(self, tasks, *, ledger=None, book=None, **options):
        """Return an app over this world, with its store in memory; with every plugin if it has a ledger."""
        settings = {"sources": [self.source], "clock": self.clock, "silence_limit": "30s"}
        if ledger is not None:
            settings["plugins"] = [Ledger(ledger, book=book), Planner(), Prompts()]
        return pb.App(tasks, **(settings | options))


def contract(**changes):
    """Return contract settings: an SLA of one hour, fenced by ``fact``, recomputed when stale."""
    settings = {
        "freshness_sla": "1h",
        "invalidated_by": [pb.fence("fact")],
        "fallback_if_stale": pb.Recompute(),
        "owner": "team",
    }
    return settings | changes


def reading(view, method, *items, batched=False):
    """Declare a task that reads one key with a method of a view."""
    tasks = pb.Registry()
    settings = contract(invalidated_by=list(items))
    if batched:

        @tasks.artifact(**settings)
        def value(keys: pb.Keys[str], *, facts: pb.Source[view]) -> dict[str, str]:
            return {key: str(method(facts, key)) for key in keys}

    else:

        @tasks.artifact(**settings)
        def value(key: str, *, facts: pb.Source[view]) -> str:
            return str(method(facts, key))

    return tasks, value
