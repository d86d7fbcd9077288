"""An outbox in a PostgreSQL database of its own, and the fixtures ``outbox``, ``source`` and ``app``."""

import psycopg
import pytest

import parbake as pb
from parbake.adapters.postgresql import OUTBOX_DDL, PostgresqlSource, emit


class Outbox:
    """An outbox in a database of its own."""

    numbers = iter(range(1, 1000))

    def __init__(self, server):
        """Create the database and its outbox."""
        self.name = f"outbox{next(self.numbers)}"
        server.sql(f"CREATE DATABASE {self.name}")
        self.address = psycopg.conninfo.make_conninfo(server.address, dbname=self.name)
        with self.connect() as connection:
            connection.execute(OUTBOX_DDL)

    def connect(self, **options):
        """Return a connection."""
        return psycopg.connect(self.address, **options)

    def source(self, **options):
        """Return a source that reads the outbox."""
        return PostgresqlSource(self.address, families=["fact"], views=[], **options)

    def tell(self, *subjects):
        """Emit events in one transaction; return its ticket."""
        with self.connect() as connection:
            return [emit(connection, subject, "fact.changed") for subject in subjects][-1]


@pytest.fixture
def outbox(server):
    """Return a fresh outbox."""
    return Outbox(server)


@pytest.fixture
def source(outbox):
    """Return a source that reads it."""
    opened = outbox.source()
    yield opened
    opened.close()


@pytest.fixture
async def app(source):
    """Return an app that hears the outbox."""
    opened = pb.App(pb.Registry(), events=[source])
    yield opened
    await opened.close()
