"""What the version before has left in stores, in a ledger, in an outbox with triggers and in a shop is used further."""

import base64
import contextlib
import gzip
import json
import shutil
import sqlite3
import tarfile
from pathlib import Path

import boto3
import msgspec
import psycopg
import pytest
from tests.servers import pg
from tests.servers.launch import dynamodb, valkey
from tests.servers.test_formats import FIXTURES, Policies, declared
from tests.unit.commands import invoke

import parbake as pb
import parbake_capture
from parbake.adapters._postgresql import outbox
from parbake.adapters.postgresql import PostgresqlSource
from parbake.adapters.sqlite import SqliteSource
from parbake.ports.event_log import Move
from parbake_planner import Ledger
from retail_assistant.shop import schema

OUTBOX_2 = (FIXTURES / "postgresql_outbox_2.sql").read_text()
"""The outbox of version 2 with the triggers of a table ``policies``, as the version before installed them."""
CURSOR = """
SELECT
  (SELECT system_identifier FROM pg_control_system()) || '.' ||
    (SELECT oid FROM pg_database WHERE datname = current_database()),
  left(pg_walfile_name(pg_current_wal_lsn()), 8), parbake_run(), pg_current_snapshot()::TEXT,
  (pg_current_wal_flush_lsn() - '0/0')::BIGINT,
  (SELECT json_object_agg(relation, concat(array_to_string(families, ','), ' ', state)) FROM parbake_capture_states())
"""
"""What the version before kept in a cursor."""


@pytest.fixture
def files(tmp_path):
    """Return a folder with what the version before has left."""
    with tarfile.open(FIXTURES / "before_copies.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@contextlib.contextmanager
def lmdb_store(files):
    """Yield the URL of a store in a file."""
    yield f"lmdb://{files}/store?map_size=1MiB"


@contextlib.contextmanager
def postgresql_store(files):
    """Yield the URL of a store in a database into which the version's dump was loaded."""
    with pg.folder() as place, pg.postgresql(place / "data") as server:
        server.sql("CREATE DATABASE store")
        server.sql((files / "store_postgresql.sql").read_text(), dbname="store")
        yield f"postgresql://postgres@127.0.0.1:{server.port}/store"


@contextlib.contextmanager
def valkey_store(files):
    """Yield the URL of a store on a server that starts with the version's append-only file."""
    with pg.folder() as place:
        shutil.copytree(files / "appendonlydir", place / "appendonlydir")
        with valkey(place) as server:
            yield server.url


@contextlib.contextmanager
def dynamodb_store(files):
    """Yield the URL of a store in a table that has the version's items."""
    with dynamodb() as endpoint:
        url = f"dynamodb://eu-west-1/shop?endpoint={endpoint}&create=true"
        client = boto3.client("dynamodb", endpoint_url=endpoint, region_name="eu-west-1")
        client.create_table(
            TableName="shop",
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "k", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "p", "AttributeType": "B"}, {"AttributeName": "k", "AttributeType": "B"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )  # fmt: skip
        for item in json.loads((files / "store_dynamodb.json").read_text()):
            decoded = {
                name: {kind: base64.b64decode(value) if kind == "B" else value for kind, value in field.items()}
                for name, field in item.items()
            }
            client.put_item(TableName="shop", Item=decoded)
        yield url


@pytest.mark.usefixtures("aws_environment")
@pytest.mark.parametrize("store", [lmdb_store, postgresql_store, valkey_store, dynamodb_store])
async def test_a_store_of_the_version_before_is_served(files, store):
    """Its values are served or computed again, the change that it was never told of is seen, and so are later ones."""
    with store(files) as url, contextlib.closing(sqlite3.connect(files / "shop.db")) as writer:
        tasks = declared()
        journal = pb.Durability(journal=files / f"journal{store.__name__.removesuffix('_store').removeprefix('lmdb')}")
        source = SqliteSource(files / "shop.db", families=["policy"], views=[Policies])
        app = pb.App(
            tasks, store=url, sources=[source], durability=journal, plugins=[Ledger(files / "ledger.db")], open=["note"]
        )
        for _ in range(3):
            with contextlib.suppress(pb.errors.StoreError):
                await app.drain()
        assert (await app.serve(tasks["sentence"], "refunds")).value == "10 days"
        assert (await app.serve(tasks["sentence"], "returns")).value == "30 days"
        (_, control) = await app.engine.store.stamp()
        assert control.is_trusted
        parbake_capture.install(f"sqlite:///{files}/shop.db", "policies:policy/{id}")
        await app.drain()
        for days in (7, 8):
            with writer:
                writer.execute("UPDATE policies SET days = ? WHERE id = 'returns'", (days,))
            await app.drain()
            assert (await app.serve(tasks["sentence"], "returns")).value == f"{days} days"
        run = await app.materialize(tasks["sentence"])
        assert [built.rows for built in run.built] == [2]
        await app.materialize(tasks["sentence"], anew=True)
        await app.ops.rollback(tasks["sentence"])
        assert (await app.serve(tasks["sentence"], "returns")).value == "8 days"
        assert "batch" in {row.lane for row in await app.plugins[Ledger].costs(since_s=3650 * 86_400.0)}
        await app.close()


async def test_an_outbox_with_triggers_of_the_version_before_is_migrated(tmp_path):
    """Servers refuse it and say what to do; after the migration the store's cursor goes on, and writers can wait."""
    with pg.folder() as place, pg.postgresql(place / "data") as server:
        server.sql(
            "CREATE TABLE policies(id TEXT PRIMARY KEY, days INT)", "INSERT INTO policies VALUES ('returns', 30)"
        )
        server.sql(OUTBOX_2)
        report = "SELECT parbake_report('reader', 6, pg_current_snapshot(), parbake_run(), INTERVAL '30 s', true)"
        server.sql(report)
        ((*primary, seen, lsn, states),) = server.sql(CURSOR)
        cursor = [1, primary, seen, lsn, seen, lsn, states, "reader", 7]
        tasks = declared()
        source = PostgresqlSource(server.address, families=["policy"], views=[Policies])
        app = pb.App(tasks, store=f"lmdb://{tmp_path}/store", sources=[source])
        move = Move("shop", b"", msgspec.msgpack.encode(cursor), heard_at=None)
        await app.engine.store.apply([], now=1.0, advance=move)
        with pytest.raises(pb.errors.SourceError, match="parbake migrate"):
            await app.drain()
        assert "ADD writer" in invoke("migrate", "migrate", server.address).stdout
        assert invoke("migrate", "migrate", server.address, "--apply").output == "migrated\n"
        assert invoke("migrate", "migrate", server.address, "--apply").output == "nothing is to be migrated\n"
        server.sql("UPDATE policies SET days = 10")
        ack = await app.drain()
        assert "policy" in {tag.partition("/")[0] for tag in ack.raised}
        assert (await app.serve(tasks["sentence"], "returns")).value == "10 days"
        decoded = outbox.decode((await app.engine.store.applied("shop")).cursor, name="shop")
        assert (decoded.reader, decoded.number > 7) == ("reader", True)
        server.sql(pg.BEGIN_RUN_EARLIER)
        with psycopg.connect(server.address, autocommit=True) as writer:
            writer.execute("BEGIN")
            writer.execute("UPDATE policies SET days = 11")
            (ticket,) = writer.execute("SELECT pg_current_xact_id()::TEXT").fetchone()
            writer.execute("COMMIT")
            await app.drain()
            assert writer.execute("SELECT parbake_wait(%s::TEXT::XID8)", (ticket,)).fetchone() == (True,)
        assert (await app.serve(tasks["sentence"], "returns")).value == "11 days"
        parbake_capture.install(server.address)
        assert invoke("capture", "capture", "check", server.address).exit_code == 0
        await app.close()


def test_the_fixtures_are_there():
    """The files of the version before are part of the tests."""
    assert (Path(FIXTURES) / "before_copies.tar.gz").is_file()


async def test_a_shop_of_the_version_before_is_opened(tmp_path):
    """Its file needs no migration or is migrated, its triggers are whole, and a change of a policy is told."""
    path = tmp_path / "shop.db"
    path.write_bytes(gzip.decompress((FIXTURES / "before_copies_shop.db.gz").read_bytes()))
    with contextlib.closing(schema.connect(path)) as connection:
        schema.check(connection)
    parbake_capture.install(f"sqlite:///{path}", app="shop")
    with contextlib.closing(parbake_capture.open_capture(f"sqlite:///{path}")) as capture:
        states = capture.states()
        assert states
        assert [state for state in states if state.problem] == []
    app = pb.App(pb.Registry(), events=[SqliteSource(path, families=["policy"], views=[])])
    await app.drain()
    with contextlib.closing(sqlite3.connect(path)) as writer, writer:
        (policy,) = writer.execute("SELECT id FROM policies LIMIT 1").fetchone()
        writer.execute("UPDATE policies SET body = body || ' ' WHERE id = ?", (policy,))
    assert f"policy/{policy}" in (await app.drain()).raised
    await app.close()
