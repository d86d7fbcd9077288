"""A shop in a PostgreSQL database whose tables are captured, and the fixtures ``server`` and ``shop``."""

import contextlib

import psycopg
import pytest
from tests.servers import pg

from parbake.adapters.postgresql import PostgresqlSource
from parbake.testing.source_suite import told_by
from parbake_capture.postgresql_triggers import PostgresqlCapture
from parbake_capture.tables import parsed

TABLES = """
CREATE TABLE policies(id TEXT PRIMARY KEY, days INT);
CREATE TABLE notes(id INT PRIMARY KEY, policy TEXT REFERENCES policies ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE stock(shop INT, item TEXT, n INT, PRIMARY KEY (shop, item)) PARTITION BY RANGE (shop);
CREATE TABLE stock_1 PARTITION OF stock FOR VALUES FROM (0) TO (100);
CREATE TABLE stock_2 PARTITION OF stock FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (shop);
CREATE TABLE stock_2a PARTITION OF stock_2 FOR VALUES FROM (100) TO (150);
INSERT INTO policies VALUES ('a', 1), ('b', 2), ('white space', 3);
INSERT INTO notes VALUES (1, 'a'), (2, 'b');
INSERT INTO stock VALUES (1, 'pen', 5), (101, 'pen', 6);
"""
CAPTURED = ("policies:policy/{id},catalog", "notes", "stock:stock/{shop}-{item}")


@pytest.fixture(scope="module")
def server():
    """Return a server with a role that has no rights."""
    with pg.folder() as place, pg.postgresql(place / "data", "max_prepared_transactions=5") as started:
        started.sql("CREATE ROLE stranger")
        yield started


class Shop:
    """A database with the tables, captured."""

    numbers = iter(range(1, 1000))

    def __init__(self, server):
        """Create it."""
        self.name = f"shop{next(self.numbers)}"
        server.sql(f"CREATE DATABASE {self.name}")
        self.address = f"postgresql://postgres@127.0.0.1:{server.port}/{self.name}"
        self.connection = psycopg.connect(self.address, autocommit=True)
        self.connection.execute(TABLES)
        self.connection.execute("GRANT UPDATE, SELECT ON policies TO stranger")
        self.capture(*CAPTURED)
        self.source = PostgresqlSource(self.address, families=["policy", "catalog", "note", "stock"], views=[])
        self.cursor = None

    def capture(self, *tables, app="app"):
        """Capture tables."""
        capture = PostgresqlCapture(self.address)
        with contextlib.closing(capture):
            named = [parsed(text.replace("notes", "notes:note/{id}")) for text in tables]
            capture.run(capture.install(named, app=app) if named else capture.repair(app=app).statements)

    def told(self, statement=""):
        """Run statements one by one; return the subjects told since, and the trouble."""
        for one in filter(None, map(str.strip, [statement] if "$$" in statement else statement.split(";"))):
            self.connection.execute(one)
        page = self.source.read(self.cursor or b"", 1)
        events, self.cursor = told_by(self.source, self.cursor)
        return {event.subject.replace(" ", "%20") for event in events}, page.trouble


@pytest.fixture
def shop(server):
    """Return a fresh shop whose outbox is read."""
    made = Shop(server)
    made.told()
    yield made
    made.source.close()
    made.connection.close()
