"""Every embedded source passes the public suite."""

import contextlib
import sqlite3

import pytest

import parbake as pb
from parbake.adapters.sqlite import OUTBOX_DDL, SqliteSource
from parbake.adapters.sqlite import emit as pb_emit
from parbake.testing.source_suite import SourceSuite


class Sqlite:
    """A SQLite file."""

    def __init__(self, path):
        """Create the tables."""
        self.path = path
        with self.transaction() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS fact(name TEXT PRIMARY KEY, value TEXT)")
            connection.execute(OUTBOX_DDL)

    def source(self, **options):
        """Return a source over the file."""
        return SqliteSource(self.path, **options)

    def broken(self, **options):
        """Return a source over a missing file."""
        return SqliteSource(self.path.with_name("missing"), **options)

    @contextlib.contextmanager
    def transaction(self):
        """Open a connection and run the body in one transaction."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            yield connection

    def execute(self, connection, statement):
        """Run a statement."""
        connection.execute(statement)

    emit = staticmethod(pb_emit)


class TestSqlite(SourceSuite):
    """SQLite."""

    def backend(self, tmp_path):
        """Return a fresh file."""
        return Sqlite(tmp_path / "shop.sqlite")


def test_a_sqlite_file_without_an_outbox_says_how_to_make_one(tmp_path):
    """Without the outbox table the error names the statement that creates it."""
    sqlite3.connect(tmp_path / "shop.sqlite").close()
    (tmp_path / "shop.sqlite").touch()
    source = SqliteSource(tmp_path / "shop.sqlite", families=["fact"], views=[])
    for ask in (source.extent, lambda: source.poll(0, 10)):
        with pytest.raises(pb.errors.SourceError, match="OUTBOX_DDL"):
            ask()
