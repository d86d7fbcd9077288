"""What the version before has left is read or migrated: an outbox of PostgreSQL, a store, a ledger and a shop."""

import contextlib
import sqlite3
import tarfile
from pathlib import Path

import msgspec
import pytest
from tests.servers import pg
from tests.servers.test_postgresql_outbox import Outbox
from tests.unit.commands import invoke

import parbake as pb
import parbake_capture
from parbake.adapters.sqlite import SqliteSource
from parbake.ports.event_log import Advance
from parbake.stores.steps import item_names as names
from parbake_planner import Ledger


@pytest.fixture(scope="module")
def server():
    """Return a server."""
    with pg.folder() as place, pg.postgresql(place / "data") as started:
        yield started


@pytest.fixture
def outbox(server):
    """Return a fresh outbox."""
    return Outbox(server)


@pytest.fixture
async def app(outbox):
    """Return an app that hears the outbox."""
    opened = pb.App(pb.Registry(), events=[outbox.source()])
    yield opened
    await opened.close()


FIXTURES = Path(__file__).parents[1] / "fixtures"
VERSION_1 = (FIXTURES / "postgresql_outbox_1.sql").read_text()


async def test_an_outbox_without_tables_is_named(outbox):
    """Without the outbox, the error says how to make it."""
    with outbox.connect() as connection:
        connection.execute("DROP TABLE parbake_outbox CASCADE")
    with pytest.raises(pb.errors.SourceError, match="parbake capture install"):
        outbox.source().read(b"", 1)


async def test_an_outbox_of_the_version_before_is_migrated(server, tmp_path):
    """The command shows the statements, and executes them when told to; stores raise everything once."""
    outbox = Outbox.__new__(Outbox)
    outbox.name = f"outbox{next(Outbox.numbers)}"
    server.sql(f"CREATE DATABASE {outbox.name}")
    outbox.address = f"postgresql://postgres@127.0.0.1:{server.port}/{outbox.name}"
    insert = (
        "INSERT INTO parbake_outbox(id, subject, type, time) VALUES (gen_random_uuid()::text, %s, 'fact.changed', 0)"
    )
    with outbox.connect(autocommit=True) as connection:
        assert invoke("migrate", "migrate", outbox.address).output == "nothing is to be migrated\n"
        connection.execute(VERSION_1)
        for number in range(3):
            connection.execute(insert, (f"fact/{number}",))
        app = pb.App(pb.Registry(), events=[outbox.source()])
        await app.engine.store.apply([], now=1.0, advance=Advance("shop", 0, 3))  # as the version before has left it
        with pytest.raises(pb.errors.SourceError, match="parbake migrate"):
            await app.drain()
        assert "ADD xid" in invoke("migrate", "migrate", outbox.address).stdout
        with pytest.raises(pb.errors.SourceError):
            await app.drain()
        assert invoke("migrate", "migrate", outbox.address, "--apply").output == "migrated\n"
        assert invoke("migrate", "migrate", outbox.address, "--apply").output == "nothing is to be migrated\n"
        assert {"fact", "fact/*"} <= set((await app.drain()).raised)
        connection.execute(insert, ("fact/new",))
        assert set((await app.drain()).raised) == {"fact/new", "fact/*"}
        connection.execute("UPDATE parbake_format SET version = 9")
        assert invoke("migrate", "migrate", outbox.address).exit_code == 1
    await app.close()


async def test_a_store_of_the_format_before_is_read_until_it_has_a_cursor(outbox, app):
    """A store of format 3 gets format 4 with its first cursor, so that the version before refuses it from then on."""
    store = app.engine.store
    await store.stamp()
    raw = msgspec.msgpack.decode((await store._several([names.CONTROL]))[names.CONTROL]) | {"format": 3}
    await store._put([(names.CONTROL, msgspec.msgpack.encode(raw))])
    assert (await store.stamp()).control.format == 3
    outbox.tell("fact/1")
    assert set((await app.drain()).raised) == {"fact/1", "fact/*"}
    assert (await store.stamp()).control.format == 4


class Policies(pb.View):
    """The view of the app that wrote the files."""

    families = ("policy",)

    def days(self, name):
        """One policy's days."""
        self.entity(f"policy/{name}")
        return int(self.rows("SELECT days FROM policies WHERE id = :id", id=name)[0][0])


def declared():
    """Return the tasks of the app that wrote the files."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["returns", "refunds"]

    @tasks.artifact(
        freshness_sla="3650d", invalidated_by=[pb.fence("policy")], fallback_if_stale=pb.Recompute(), owner="o",
        refresh=pb.every("3000d"), keys=names,
    )  # fmt: skip
    def sentence(name: str, *, policies: pb.Source[Policies]) -> str:
        return f"{policies.days(name)} days"

    return tasks


async def test_the_files_of_the_version_before_are_read(tmp_path):
    """Its store, its ledger and its database are opened as they are; the database can be captured then."""
    with tarfile.open(FIXTURES / "before_capture.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    source = SqliteSource(tmp_path / "shop.db", families=["policy"], views=[Policies])
    tasks = declared()
    app = pb.App(
        tasks,
        sources=[source],
        store=f"lmdb://{tmp_path}/store?map_size=1MiB",
        plugins=[Ledger(tmp_path / "ledger.db")],
    )
    await app.drain()
    state = await app.ops.runs(tasks["sentence"])
    assert [run.rows for run in state.ended] == [2]
    assert (await app.serve(tasks["sentence"], "refunds")).value == "10 days"
    assert "batch" in {row.lane for row in await app.plugins[Ledger].costs(since_s=3650 * 86_400.0)}
    parbake_capture.install(f"sqlite:///{tmp_path}/shop.db", "policies:policy/{id}")
    await app.drain()
    assert (await app.serve(tasks["sentence"], "returns")).value == "30 days"
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("UPDATE policies SET days = 7 WHERE id = 'returns'")
    assert set((await app.drain()).raised) == {"policy/returns", "policy/*"}
    assert (await app.serve(tasks["sentence"], "returns")).value == "7 days"
    await app.close()
