"""Every embedded source passes the public suite."""

import contextlib
import sqlite3

import parbake as pb
from parbake.testing import SourceSuite


class Sqlite:
    """A SQLite file."""

    def __init__(self, path):
        """Create the tables once."""
        self.path = path
        with self.transaction() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS fact(name TEXT PRIMARY KEY, value TEXT)")
            connection.execute(pb.OUTBOX_DDL)

    def source(self, **options):
        """A source over the file."""
        return pb.SqliteSource(self.path, **options)

    def broken(self, **options):
        """A source over no file."""
        return pb.SqliteSource(self.path.with_name("missing"), **options)

    @contextlib.contextmanager
    def transaction(self):
        """One transaction."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            yield connection

    def execute(self, connection, statement):
        """Run a statement."""
        connection.execute(statement)

    emit = staticmethod(pb.emit)


class TestSqlite(SourceSuite):
    """SQLite."""

    def backend(self, tmp_path):
        """Return a fresh file."""
        return Sqlite(tmp_path / "shop.sqlite")
