"""A key by which SQLite finds rows of other spellings is refused, in tables and in SQL views."""

import contextlib
import sqlite3

import pytest

import parbake as pb
import parbake_capture
from parbake.adapters.sqlite import SqliteSource, keep_in_wal
from parbake.tasks.served import Verdict

TABLES = """
CREATE TABLE policies(id TEXT PRIMARY KEY, days INTEGER);
CREATE TABLE nicknames(policy TEXT COLLATE NOCASE, n INTEGER PRIMARY KEY);
CREATE VIEW exact AS SELECT id, days FROM policies;
CREATE VIEW folded AS SELECT id COLLATE NOCASE AS id, days FROM policies;
CREATE VIEW trimmed AS SELECT id COLLATE RTRIM AS id, days FROM policies;
CREATE VIEW nested AS SELECT * FROM folded WHERE days > 0 ORDER BY days;
CREATE VIEW joined AS SELECT policy AS id, days FROM nicknames JOIN policies ON policies.id = policy;
CREATE VIEW again AS SELECT id COLLATE BINARY AS id, days FROM folded;
CREATE VIEW broken AS SELECT * FROM nowhere;
INSERT INTO policies VALUES ('returns', 30);
INSERT INTO nicknames VALUES ('returns', 1);
"""
LOOSE = {"folded": "RETURNS", "trimmed": "returns ", "nested": "RETURNS", "joined": "RETURNS"}
"""SQL views, each with another spelling by which it finds the row."""


@pytest.fixture
def file(tmp_path):
    """Return the path of a captured file."""
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        keep_in_wal(connection)
        connection.executescript(TABLES)
    parbake_capture.install(f"sqlite:///{path}", "policies:policy/{id}")
    return path


@contextlib.asynccontextmanager
async def serve_days(path, statement):
    """Run an app whose task reads days by the key of a policy; yield a function that serves a key."""

    class Policies(pb.View):
        families = ("policy",)

        def days(self, name):
            """Return the days of a policy."""
            self.entity(f"policy/{name}")
            rows = self.rows(statement, id=name)
            return rows[0][0] if rows else None

    tasks = pb.Registry()

    @tasks.artifact(
        freshness_sla="24h", invalidated_by=[pb.fence("policy")], fallback_if_stale=pb.Recompute(), owner="owner"
    )
    def days(name: str, *, policies: pb.Source[Policies]) -> int | None:
        return policies.days(name)

    app = pb.App(tasks, sources=[SqliteSource(path, families=["policy"], views=[Policies])], worker="none")

    async def serve(key):
        await app.drain()
        return await app.serve(days, key)

    try:
        yield serve
    finally:
        await app.close()


@pytest.mark.parametrize("view", LOOSE)
async def test_a_view_of_the_database_that_finds_other_spellings_is_refused(file, view):
    """A key in another spelling than the row's, for which no change is reported, makes the computation fail."""
    async with serve_days(file, f"SELECT days, days FROM {view} WHERE id = :id") as serve:
        with pytest.raises(pb.errors.ParbakeError, match="another collation"):
            await serve(LOOSE[view])


@pytest.mark.parametrize("view", LOOSE)
async def test_an_absence_in_such_a_view_is_refused(file, view):
    """A row that is added later may have any of the spellings, so that a missing one binds to no entity."""
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM policies")
    async with serve_days(file, f"SELECT days, days FROM {view} WHERE id = :id") as serve:
        with pytest.raises(pb.errors.ParbakeError, match="another collation"):
            await serve(LOOSE[view])


async def test_a_table_whose_column_finds_other_spellings_is_refused(file):
    """The collation of a column that is not captured counts, too."""
    statement = "SELECT days, days FROM nicknames JOIN policies ON policies.id = policy WHERE policy = :id"
    async with serve_days(file, statement) as serve:
        with pytest.raises(pb.errors.ParbakeError, match="another collation"):
            await serve("RETURNS")


@pytest.mark.parametrize("view", LOOSE)
async def test_a_selected_key_is_accepted_in_such_a_view(file, view):
    """A key that stands in the row as it was named is that of the row."""
    async with serve_days(file, f"SELECT days, id FROM {view} WHERE id = :id") as serve:
        assert (await serve("returns")).value == 30
        with pytest.raises(pb.errors.ParbakeError, match="policy/"):
            await serve(LOOSE[view])


@pytest.mark.parametrize("view", ["exact", "again"])
async def test_a_view_of_the_database_that_compares_bytes_is_accepted(file, view):
    """A view that finds no other spelling is read by key, and a change or a new row outdates the value."""
    async with serve_days(file, f"SELECT days, days FROM {view} WHERE id = :id") as serve:
        assert (await serve("returns")).value == 30
        assert (await serve("RETURNS")).value is None
        with contextlib.closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE policies SET days = 5")
            connection.execute("INSERT INTO policies VALUES ('RETURNS', 6)")
        served = await serve("returns")
        assert (served.value, served.verdict) == (5, Verdict.FRESH)
        assert (await serve("RETURNS")).value == 6
