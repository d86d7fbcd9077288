"""What a PostgreSQL store refuses, and what its errors say: servers, tables, roles, disks and URLs."""

import re
import sys
from pathlib import Path

import pytest
from tests.servers import pg
from tests.waiting import until

from parbake.adapters.postgresql_store import PostgresqlItems, open_url
from parbake.errors import ForeignStore, MissingDependency, StoreError, StoreFull, StoreUnreachable
from parbake.stores import open_store
from parbake.stores.steps.item_steps import Commit

GUIDE = (Path(__file__).parents[2] / "docs/howto/stores.md").read_text()
PASSWORD = "hunter2-geheim"


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["UPDATE {0}.parbake_store SET format = 9"], "a format that this version does not know"),
        (["DELETE FROM {0}.parbake_store"], "a format that this version does not know"),
        (["DROP TABLE {0}.parbake_store"], "not a store's"),
        (["ALTER TABLE {0}.parbake_items ADD more TEXT"], "not a store's"),
        (
            ["ALTER TABLE {0}.parbake_items RENAME TO i", "CREATE VIEW {0}.parbake_items AS TABLE {0}.i"],
            "not a store's",
        ),
        (["ALTER TABLE {0}.parbake_store RENAME format TO version"], "not a store's"),
    ],
)
async def test_a_schema_that_holds_something_else_is_refused(pg_opened, pg_server, pg_schema, statements, told):
    """Another format or a table of another kind is refused, and left as it is."""
    await pg_opened(pg_server.address, schema=pg_schema)
    pg_server.sql(*(statement.format(pg_schema) for statement in statements))
    with pytest.raises(ForeignStore, match=told) as caught:
        await pg_opened(pg_server.address, schema=pg_schema)
    assert caught.value.field == "store.schema"


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
async def test_a_server_that_may_lose_an_acknowledgement_is_refused(pg_opened, pg_server, pg_schema, setting):
    """It is refused by its setting, with the way out; with consent it is used."""
    if setting == "synchronous_commit":
        pg_server.sql("CREATE ROLE hasty LOGIN SUPERUSER", "ALTER ROLE hasty SET synchronous_commit = off")
        address = pg_server.address.replace("postgres@", "hasty@")
    else:
        address = pg_server.address
        pg_server.sql(f"ALTER SYSTEM SET {setting} = off", "SELECT pg_reload_conf()")
    try:
        await until(lambda: pg_server.sql(f"SHOW {setting}") == [("off",)] or "hasty" in address)
        with pytest.raises(StoreError, match=f"{setting}=off") as caught:
            await pg_opened(address, schema=pg_schema)
        assert caught.value.field == "store.durability"
        items = await pg_opened(address, schema=pg_schema, durability="server")
        assert await items.commit(Commit({}, {b"ca": b"1"}))
    finally:
        pg_server.sql("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")


async def test_a_standby_is_refused(pg_opened, place_of_standby, pg_server, pg_schema):
    """A standby is refused with a way out."""
    with pg.postgresql(place_of_standby, made=True) as standby:
        with pytest.raises(StoreError, match="is a standby") as caught:
            await pg_opened(standby.address, schema=pg_schema)
        assert caught.value.field == "store.role"


@pytest.fixture
def place_of_standby(pg_server):
    """Return the data folder of a standby of the pg_server."""
    with pg.folder() as folder:
        words = ["-h", "127.0.0.1", "-p", pg_server.port, "-U", "postgres", "-X", "stream", "-c", "fast", "-R"]
        pg.run("pg_basebackup", "-D", folder / "standby", *words)
        yield folder / "standby"


async def test_a_role_needs_few_grants_and_is_told_which(pg_opened, pg_server, pg_schema):
    """The error names the statements; a role that has just these can do all that a store needs."""
    pg_server.sql(f"CREATE ROLE {pg_schema}_app LOGIN")
    address = pg_server.address.replace("postgres@", f"{pg_schema}_app@")
    with pytest.raises(StoreError, match="CREATE ON DATABASE") as caught:
        await pg_opened(address, schema=pg_schema)
    assert caught.value.field == "store.user"
    await pg_opened(pg_server.address, schema=pg_schema)
    with pytest.raises(StoreError, match=f"GRANT USAGE ON SCHEMA {pg_schema} TO {pg_schema}_app;") as caught:
        await pg_opened(address, schema=pg_schema)
    assert caught.value.field == "store.user"
    told = str(caught.value).partition("execute: ")[2].partition(". To create")[0]
    (block, *_) = re.findall(r"^```sql\n(GRANT.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    of_guide = re.sub(r"\bshop\b", f"{pg_schema}_app", re.sub(r"\bparbake\b", pg_schema, block))
    assert of_guide.split(";\n")[:-1] == told.split("; ")
    pg_server.sql(f"REVOKE EXECUTE ON FUNCTION {pg_schema}.parbake_commit FROM public", *told.split("; "))
    store = open_store(f"{address}?schema={pg_schema}")
    generation, _, _ = await store.begin()
    await store.append("list", b"k", b"1")
    assert await store.sweep([generation]) == 0
    assert await store.swap("a", None, b"1")
    await store.close()


async def test_a_full_disk_is_named_and_reads_go_on(pg_items, pg_server, pg_schema):
    """What the pg_server cannot extend its files for is ``StoreFull``; nothing was written, and reads are answered."""
    await pg_items.put([(b"ca", b"1")])
    pg_server.sql(
        f"CREATE FUNCTION {pg_schema}.full() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$",
        f"CREATE TRIGGER full_disk BEFORE INSERT ON {pg_schema}.parbake_items FOR EACH ROW "
        f"EXECUTE FUNCTION {pg_schema}.full()",
    )
    for call in (
        lambda: pg_items.commit(Commit({b"cb": None}, {b"cb": b"1"})),
        lambda: pg_items.put([(b"cb", b"1")]),
        lambda: pg_items.put([(b"c%d" % n, b"1") for n in range(100)]),
    ):
        with pytest.raises(StoreFull, match="disk is full") as caught:
            await call()
        assert caught.value.field == "store.disk"
    assert await pg_items.fetch([b"ca", b"cb"]) == [b"1", None]
    await pg_items.remove([b"ca"])


async def test_a_password_is_used_and_never_shown(pg_opened, monkeypatch):
    """A password from the URL or the environment is used, and no error shows it."""
    with pg.folder() as folder, pg.postgresql(folder / "data") as server:
        server.sql(f"CREATE ROLE shop LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (folder / "data" / "pg_hba.conf").write_text(rules)
        server.sql("SELECT pg_reload_conf()")
        server.restart()
        bare = server.address.replace("postgres@", "shop@")
        items = await pg_opened(server.address.replace("postgres@", f"shop:{PASSWORD}@"))
        for variable in ("PARBAKE_POSTGRESQL_PASSWORD", "PGPASSWORD"):
            with monkeypatch.context() as patch:
                patch.setenv(variable, PASSWORD)
                await pg_opened(bare)
        failures = []
        monkeypatch.setenv("PARBAKE_POSTGRESQL_PASSWORD", PASSWORD + "x")
        for attempt in (pg_opened(bare), pg_opened(bare.replace("shop@", f"shop:{PASSWORD}y@"))):
            with pytest.raises(StoreError) as caught:
                await attempt
            assert caught.value.field == "store.user"
            failures.append(caught.value)
        server.kill()
        with pytest.raises(StoreUnreachable) as caught:
            await items.fetch([b"ca"])
        failures.append(caught.value)
    for failure in failures:
        assert f"127.0.0.1:{server.port}" in str(failure)
        assert PASSWORD not in f"{failure} {failure!r} {failure.__cause__}"
        assert failure.__suppress_context__


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("schema=Shop", "store.schema"),
        ("schema=pg_shop", "store.schema"),
        ("duribility=server", "store"),
        ("durability=often", "store.durability"),
        ("timeout_s=soon", "store.timeout_s"),
        ("timeout_s=0", "store.timeout_s"),
        ("connections=0", "store.connections"),
        ("%zz=1", "store"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(query, field):
    """An invalid option is refused by its name, without showing any part that may be a password."""
    with pytest.raises(StoreError) as caught:
        open_url(f"postgresql://user:{PASSWORD}@127.0.0.1:1/shop?{query}")
    assert caught.value.field == field
    assert PASSWORD not in str(caught.value)


def test_an_address_that_cannot_be_read_is_refused():
    """A password that is not percent-encoded is not shown by the error."""
    with pytest.raises(StoreError, match="percent-encode") as caught:
        open_url(f"postgresql://user:%{PASSWORD}@127.0.0.1/shop")
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_server_that_is_away_is_named():
    """Nothing listens: the error has the address, in time."""
    items = PostgresqlItems.from_url("postgresql://127.0.0.1:1/shop?timeout_s=2")
    with pytest.raises(StoreUnreachable, match=r"postgresql://127\.0\.0\.1:1/shop"):
        await items.open()
    await items.close()


def test_without_the_client_the_extra_is_named(monkeypatch):
    """Without the client the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in [name for name in sys.modules if name.startswith("parbake.adapters") and "postgresql" in name]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingDependency, match=r"\.\[postgresql\]"):
        __import__("parbake.adapters.postgresql_store")
