"""What a role has made under a name of parbake's own, before parbake has, is not taken for it and runs nothing."""

import contextlib
import itertools
import re

import psycopg
import pytest
from tests.servers import pg
from tests.unit.commands import invoke

from parbake.adapters._postgresql import owners
from parbake.adapters.postgresql import OUTBOX_DDL, PostgresqlSource, migration, prune
from parbake.adapters.postgresql_store import PostgresqlItems
from parbake.errors import ForeignStore, SourceError
from parbake.stores.steps.item_steps import Commit
from parbake_capture.postgresql_triggers import PostgresqlCapture
from parbake_capture.tables import parsed

NOTE = "INSERT INTO pwned VALUES (current_user)"
EVIL = f"""
CREATE TABLE pwned(who TEXT); GRANT ALL ON pwned TO PUBLIC;
CREATE FUNCTION evil() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN {NOTE}; RETURN NEW; END $$;
CREATE FUNCTION noted() RETURNS BOOLEAN LANGUAGE plpgsql AS $$ BEGIN {NOTE}; RETURN true; END $$
"""
SHAPES = {
    "parbake_format": "part TEXT PRIMARY KEY, version INT NOT NULL",
    "parbake_outbox": "position BIGINT, xid XID8, id TEXT, subject TEXT, type TEXT, time FLOAT8",
    "parbake_outbox_gone": "xid XID8, upto PG_SNAPSHOT",
    "parbake_setting": "name TEXT PRIMARY KEY, value INTERVAL NOT NULL",
    "parbake_run_start": "is_only BOOLEAN PRIMARY KEY, run TEXT, noted TIMESTAMPTZ, writer XID8",
    "parbake_reader": "store TEXT, number BIGINT, seen PG_SNAPSHOT, run TEXT, heard TIMESTAMPTZ",
    "parbake_capture": "relation TEXT, app TEXT, tags TEXT[], checksum TEXT, PRIMARY KEY (relation, app)",
    "parbake_store": "single BOOLEAN PRIMARY KEY DEFAULT true, format INTEGER NOT NULL",
    "parbake_items": "name BYTEA NOT NULL PRIMARY KEY, value BYTEA NOT NULL",
}
TRAPS = {
    "trigger": "CREATE TRIGGER t BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION evil()",
    "rule": f"CREATE RULE r AS ON INSERT TO {{}} DO ALSO {NOTE}",
    "policy": "CREATE POLICY p ON {0} USING (noted()); ALTER TABLE {0} ENABLE ROW LEVEL SECURITY",
}
PLANTED_OUTBOX = [name for name in SHAPES if name in owners.OUTBOX]
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server():
    """Return a server with a role that owns a shop, one that reads it, and one that may create and nothing else."""
    with pg.folder() as place, pg.postgresql(place / "data") as started:
        started.sql(*(f"CREATE ROLE {role} LOGIN" for role in ("keeper", "reader", "mallory", "installer")))
        started.sql("GRANT pg_monitor TO keeper, reader, installer")
        yield started


class Shop:
    """A database in whose schema ``public`` every role may create."""

    def __init__(self, server):
        """Create it."""
        self.server, self.name = server, f"tables{next(numbers)}"
        server.sql(f"CREATE DATABASE {self.name} OWNER keeper")
        self.sql("GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC", "CREATE TABLE policies(id TEXT PRIMARY KEY)")
        self.sql("ALTER TABLE policies OWNER TO keeper")
        self.sql(EVIL, by="mallory")

    def address(self, role):
        """Return the address for a role."""
        return f"postgresql://{role}@127.0.0.1:{self.server.port}/{self.name}"

    def sql(self, *statements, by="postgres"):
        """Execute statements as a role; return the rows of the last one."""
        with psycopg.connect(self.address(by), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def plant(self, name, trap="trigger"):
        """Make a table of a name with a trap on it."""
        self.sql(f"CREATE TABLE {name}({SHAPES[name]})", f"GRANT ALL ON {name} TO PUBLIC", by="mallory")
        self.sql(TRAPS[trap].format(name), by="mallory")

    def install(self, role):
        """Capture the table as a role, and let another one read the outbox."""
        with contextlib.closing(PostgresqlCapture(self.address(role))) as capture:
            capture.run(capture.install([parsed("policies:policy/{id}")], app="app"))
            capture.run(capture.grant(["reader"]))

    def read(self, role):
        """Poll the outbox as a role."""
        source = PostgresqlSource(self.address(role), families=["policy"], views=[])
        with contextlib.closing(source):
            assert source.read(b"", 10).is_end

    def must_be_untouched(self):
        """Check that nothing planted has run."""
        assert self.sql("SELECT who FROM pwned") == []


@pytest.fixture
def shop(server):
    """Return a shop."""
    return Shop(server)


def open_items(shop, role):
    """Return the items of a store in ``public``."""
    return PostgresqlItems.from_url(f"{shop.address(role)}?schema=public&durability=server")


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("name", PLANTED_OUTBOX)
def test_a_planted_table_of_the_outbox_is_refused(shop, name, trap):
    """Capture, its statements, a migration, a poll and a pruning refuse a table of a stranger, and run no trap."""
    shop.plant(name, trap)
    refusal = rf"public holds {name} of the role mallory.* drop it"
    done = invoke("capture", "capture", "install", shop.address("keeper"), "--table", "policies:policy/{id}", "--apply")
    assert re.search(refusal, str(done.exception))
    with pytest.raises(psycopg.errors.RaiseException, match="mallory") as refused:
        shop.sql(OUTBOX_DDL, by="keeper")
    assert "drop it" in refused.value.diag.message_hint
    with pytest.raises(SourceError, match=refusal) as error:
        migration(shop.address("keeper"))
    assert error.value.field == "DATABASE"
    with pytest.raises(SourceError, match=refusal) as error:
        shop.read("keeper")
    assert error.value.field == "shop"
    with psycopg.connect(shop.address("keeper")) as connection:
        with pytest.raises(SourceError, match=refusal):
            prune(connection)
        assert connection.execute("SHOW search_path").fetchone() == ('"$user", public',)
    shop.must_be_untouched()
    shop.sql(f"DROP TABLE {name}", by="mallory")
    shop.install("keeper")
    shop.read("keeper")


@pytest.mark.parametrize(
    "made",
    [
        "CREATE VIEW parbake_capture AS SELECT 'a' AS relation, 'b' AS app, '{}'::TEXT[] AS tags WHERE noted()",
        "CREATE FUNCTION parbake_run() RETURNS TEXT LANGUAGE sql AS 'SELECT noted()::TEXT'",
        "CREATE FUNCTION parbake_is_own(XID, XID8) RETURNS BOOLEAN LANGUAGE sql AS 'SELECT noted()'",
        """CREATE FUNCTION parbake_report(TEXT, BIGINT, PG_SNAPSHOT, TEXT, INTERVAL, BOOLEAN) RETURNS BIGINT
        LANGUAGE sql AS 'SELECT noted()::INT::BIGINT'""",
        "CREATE FUNCTION parbake_capture_01234567() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    ],
)
def test_other_things_of_a_stranger_are_refused_also_by_a_superuser(shop, made):
    """A view or a function of a stranger is refused: if a superuser replaces one, it stays the stranger's."""
    shop.sql(made, by="mallory")
    with pytest.raises(SourceError, match="of the role mallory"):
        shop.install("postgres")
    shop.must_be_untouched()


@pytest.mark.parametrize("owner", ["postgres", "keeper", "chief"])
def test_what_belongs_to_an_owner_or_a_superuser_is_used(shop, owner):
    """Whoever owns the database or the schema, and a superuser, may have made the outbox; another one reads it."""
    if owner == "chief":
        shop.sql(f"CREATE ROLE chief{shop.name} LOGIN", f"ALTER SCHEMA public OWNER TO chief{shop.name}")
        shop.sql(f"GRANT pg_monitor TO chief{shop.name}")
        owner = f"chief{shop.name}"
    shop.sql(f"ALTER TABLE policies OWNER TO {owner}")
    shop.install(owner)
    shop.install("postgres")
    shop.read("reader")
    shop.must_be_untouched()
    assert shop.sql("SELECT DISTINCT relation FROM parbake_capture") == [("public.policies",)]


def test_an_outbox_of_another_role_is_read_where_not_everybody_may_create(shop):
    """A role that may install and owns nothing else is trusted by readers once the schema is closed to the others."""
    shop.sql("ALTER TABLE policies OWNER TO installer")
    shop.install("installer")
    with pytest.raises(SourceError, match=r"REVOKE CREATE ON SCHEMA \.\.\. FROM PUBLIC"):
        shop.read("reader")
    shop.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "GRANT CREATE ON SCHEMA public TO installer")
    shop.read("reader")
    with pytest.raises(SourceError, match="of the role installer"):
        shop.install("postgres")
    shop.install("installer")


def test_a_planted_outbox_of_an_earlier_version_is_not_migrated(shop):
    """A migration alters nothing that a stranger has made."""
    shop.plant("parbake_outbox")
    shop.plant("parbake_format")
    shop.sql("INSERT INTO parbake_format VALUES ('outbox', 2)", "TRUNCATE pwned", by="mallory")
    assert "of the role mallory" in str(invoke("migrate", "migrate", shop.address("keeper"), "--apply").exception)
    assert shop.sql("SELECT version FROM parbake_format") == [(2,)]
    shop.must_be_untouched()


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("names", [owners.STORE, owners.STORE[:1], owners.STORE[1:]])
async def test_a_planted_table_of_the_store_is_refused(shop, names, trap):
    """A store takes no table of a stranger, runs no trap of it, and works once it is dropped."""
    for name in names:
        shop.plant(name, trap)
    items = open_items(shop, "keeper")
    with pytest.raises(
        ForeignStore, match=rf"public holds .*{names[-1]} of the role mallory.*drop it.*\?schema="
    ) as error:
        await items.open()
    assert error.value.field == "store.schema"
    with pytest.raises(ForeignStore, match="mallory"):
        await items.heal()
    shop.must_be_untouched()
    for name in names:
        shop.sql(f"DROP TABLE {name}", by="mallory")
    await items.open()
    assert await items.commit(Commit({b"a": None}, {b"a": b"1"}))
    await items.close()


async def test_a_planted_function_of_the_store_is_refused(shop):
    """A store calls no function of a stranger."""
    shop.sql(
        "CREATE FUNCTION parbake_commit(copy BYTEA, names BYTEA[], kinds BYTEA, expected BYTEA[], written BYTEA[]) "
        "RETURNS BOOLEAN LANGUAGE sql AS 'SELECT noted()'",
        by="mallory",
    )
    with pytest.raises(ForeignStore, match="parbake_commit of the role mallory"):
        await open_items(shop, "postgres").open()
    shop.must_be_untouched()


async def test_a_store_of_another_role_is_used_where_not_everybody_may_create(shop):
    """A role that has created a store and owns nothing else is trusted once the schema is closed to the others."""
    created, used = open_items(shop, "installer"), open_items(shop, "reader")
    await created.open()
    shop.sql(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON parbake_items TO reader", "GRANT SELECT ON parbake_store TO reader"
    )
    with pytest.raises(ForeignStore, match="REVOKE CREATE ON SCHEMA public FROM PUBLIC"):
        await used.open()
    shop.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    await used.open()
    assert await used.commit(Commit({b"a": None}, {b"a": b"1"}))
    for items in (created, used):
        await items.close()


def test_the_statements_and_the_connections_look_for_the_same_names(shop):
    """Everything that an installation makes in the schema is among the names that are looked for."""
    before = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::REGNAMESPACE AND relkind IN ('r', 'v', 'i')"
    shop.sql(OUTBOX_DDL, by="keeper")
    made = {name for (name,) in shop.sql(before) if name.startswith("parbake_") and not name.endswith("_pkey")}
    assert made == set(owners.OUTBOX)
    functions = "SELECT oid FROM pg_proc WHERE pronamespace = 'public'::REGNAMESPACE AND proname LIKE 'parbake%'"
    listed = [shop.sql(f"SELECT to_regprocedure('public.{one}')::OID")[0] for one in owners.OUTBOX_FUNCTIONS]
    assert set(shop.sql(functions)) == set(listed)
    for name in (*owners.OUTBOX, *(one.partition("(")[0] for one in owners.OUTBOX_FUNCTIONS)):
        assert name in OUTBOX_DDL.partition("$guard$;")[0]
