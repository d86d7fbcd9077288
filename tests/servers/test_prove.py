"""``parbake prove`` on a real PostgreSQL server: the copy, the types, and what it may not change."""

import asyncio
import itertools

import psycopg
import pytest
from tests.servers import pg

import parbake as pb
from parbake.adapters.postgresql import PostgresqlSource
from parbake.errors import SourceError
from parbake_capture.postgresql_triggers import PostgresqlCapture
from parbake_capture.tables import parsed
from parbake_lab.prove.prove_run import ProveLimits, prove

pytest.importorskip("sqlglot")
numbers = itertools.count(1)
SCHEMA = """
CREATE TYPE state AS ENUM ('sent', 'back');
CREATE TABLE depots(id INT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, city TEXT NOT NULL, hours JSONB NOT NULL);
CREATE TABLE parcels(
  id BIGINT PRIMARY KEY, depot INT NOT NULL REFERENCES depots(id) DEFERRABLE INITIALLY DEFERRED,
  grams NUMERIC(8, 1) NOT NULL CHECK (grams > 0), state state NOT NULL, due DATE
);
CREATE VIEW weights AS SELECT id, depot, grams FROM parcels;
CREATE VIEW heavy AS SELECT id, depot, grams FROM weights WHERE grams > 100;
CREATE FUNCTION city_of(number INT) RETURNS TEXT LANGUAGE sql AS 'SELECT city FROM depots WHERE id = number';
INSERT INTO depots(city, hours) VALUES ('Bonn', '{"open": 8}'), ('Lyon', '{"open": 9}');
INSERT INTO parcels VALUES
  (1, 1, 90, 'sent', '2026-12-01'), (2, 1, 150, 'back', NULL), (3, 2, 200, 'sent', '9999-12-31');
"""


@pytest.fixture(scope="module")
def server():
    """Return the address of a server, which ends with the module."""
    with pg.folder() as place, pg.postgresql(place / "data", "fsync=off") as started:
        yield started.address


@pytest.fixture
def address(server):
    """Return the address of a database with captured tables."""
    name = f"prove{next(numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    found = psycopg.conninfo.make_conninfo(server, dbname=name)
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute(SCHEMA)
    capture = PostgresqlCapture(found)
    capture.run(capture.install([parsed("parcels:parcel/{id}"), parsed("depots:depot/{id}")], app="parcels"))
    capture.close()
    return found


class Parcels(pb.View):
    """What tasks read; some methods leave out what they read."""

    families = ("parcel", "depot")

    def whole(self, parcel: int) -> list:
        """Name all that is read."""
        self.entity(f"parcel/{parcel}")
        rows = self.rows(
            "SELECT d.id, d.city, d.hours->>'open', p.state::TEXT, p.due IS NULL FROM parcels p "
            "JOIN depots d ON d.id = p.depot WHERE p.id = :id",
            id=parcel,
        )
        for row in rows:
            self.entity(f"depot/{row[0]}")
        return rows

    def joined(self, parcel: int) -> list:
        """Leave the depot out."""
        self.entity(f"parcel/{parcel}")
        return self.rows(
            "SELECT d.hours->>'open' FROM parcels p JOIN depots d ON d.id = p.depot WHERE p.id = :id", id=parcel
        )

    def weighed(self, parcel: int) -> list:
        """Name one parcel of all that are heavy."""
        self.entity(f"parcel/{parcel}")
        return self.rows("SELECT count(*), coalesce(sum(grams), 0) FROM heavy")

    def divided(self, parcel: int) -> list:
        """Leave out a parcel; the query fails for one of its weights."""
        self.entity(f"parcel/{parcel}")
        return self.rows("SELECT 100 / (grams - 151) FROM parcels WHERE id = 2")

    def called(self, parcel: int) -> list:
        """Leave out what a function of the database reads."""
        self.entity(f"parcel/{parcel}")
        return self.rows("SELECT city_of(depot) FROM parcels WHERE id = :id", id=parcel)


def app_of(address, method, beside=str):
    """Return an app with a task for one method of the view, without keys=; ``beside`` returns what else it reads."""
    tasks = pb.Registry()

    @tasks.artifact(invalidated_by=[pb.fence("parcel"), pb.fence("depot")], freshness_sla="1d",
                    fallback_if_stale=pb.Recompute(), owner="parcels")  # fmt: skip
    def label(parcel: int, *, parcels: pb.Source[Parcels]) -> str:
        return f"{getattr(parcels, method)(parcel)}{beside()}"

    source = PostgresqlSource(address, families=["parcel", "depot"], views=[Parcels], name="parcels")
    return pb.App(tasks, sources=[source])


def found_in(address, method, beside=str, anew=None, **limits):
    """Return the places of what is left out in a method, and the number of values that were judged."""
    limits = ProveLimits(keys={"label": ["1", "2", "3"]}, **limits)
    app = app_of(address, method, beside)
    proof = asyncio.run(prove(app, limits, progress=lambda done, total: None, anew=anew))
    assert proof.unproved == {}
    return {finding.what for finding in proof.findings}, proof.values


@pytest.mark.parametrize(
    ("method", "places"),
    [
        ("whole", set()),
        ("joined", {"depots.hours", "parcels.depot"}),
        ("weighed", {"parcels.grams"}),
        ("divided", {"parcels.grams"}),
        ("called", {"depots.city"}),
    ],
)
def test_what_is_left_out_is_found_on_a_copy(address, method, places):
    """Joins, views and functions of the database are seen through; the database itself keeps its rows and its peers."""
    with psycopg.connect(address, autocommit=True) as connection:
        before = connection.execute("SELECT * FROM parcels ORDER BY id").fetchall()
    found, values = found_in(address, method)
    assert values == 3
    assert places - {"parcels.depot"} <= found
    assert bool(found) == bool(places)
    with psycopg.connect(address, autocommit=True) as connection:
        assert connection.execute("SELECT * FROM parcels ORDER BY id").fetchall() == before
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'parbake_prove%'").fetchall()
    assert left == []


def cities(address):
    """Read the cities over a connection of one's own."""
    with psycopg.connect(address) as connection:
        return connection.execute("SELECT city FROM depots ORDER BY id").fetchall()


def test_a_connection_of_a_task_is_found(address):
    """A task that connects to a database by itself is found, although the driver raises no event about it."""
    assert found_in(address, "whole", lambda: cities(address))[0] == {"reads a database by psycopg"}


@pytest.mark.parametrize("is_given", [False, True])
def test_what_a_program_loads_at_its_start_is_found(server, address, is_given):
    """What the program read when it began is found, unless the copy is a given one, whose rows stay as they are."""
    copy, name = f"copy{next(numbers)}", psycopg.conninfo.conninfo_to_dict(address)["dbname"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {copy} TEMPLATE {name}")
    given = server.removesuffix("/postgres") + f"/{copy}"
    first = cities(address)

    def anew():
        begun = cities(address)
        return app_of(address, "whole", lambda: begun)

    found, _ = found_in(address, "whole", lambda: first, anew, copy=given if is_given else "")
    assert found == (set() if is_given else {"the program keeps what it read before"})
    assert cities(given) == first


def test_a_copy_may_be_given(server, address):
    """With --copy, a copy that was made before is used and kept; without, a database in use is an error."""
    copy = f"copy{next(numbers)}"
    name = psycopg.conninfo.conninfo_to_dict(address)["dbname"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {copy} TEMPLATE {name}")
    with psycopg.connect(address, autocommit=True):
        with pytest.raises(SourceError, match="--copy"):
            found_in(address, "joined")
        given = server.removesuffix("/postgres") + f"/{copy}"
        assert "depots.hours" in found_in(address, "joined", copy=given)[0]
    with psycopg.connect(given, autocommit=True) as connection:
        assert connection.execute("SELECT count(*), sum(grams) FROM parcels").fetchone() == (3, 440)
    with pytest.raises(SourceError, match="--copy"):
        found_in(address, "joined", copy=given + "_nowhere")
