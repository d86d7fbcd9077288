"""Names that would break out of a statement: they are captured as what they are, and nobody gains a right by one."""

import contextlib

import psycopg
import pytest
from psycopg import sql
from tests.servers import pg
from tests.servers.test_formats import FIXTURES

from parbake.adapters.postgresql import PostgresqlSource, migration, prune, run_migration
from parbake.errors import BadInput
from parbake.testing.source_suite import told_by
from parbake_capture.postgresql_triggers import PostgresqlCapture
from parbake_capture.tables import Captured, parsed

HOSTILE = [
    'x"; DROP TABLE witness; --',
    "x'; DROP TABLE witness; --",
    "x'); DROP TABLE witness; --",
    "$$; DROP TABLE witness; --",
    "$body$; DROP TABLE witness; --",
    "$parbake$; DROP TABLE witness; --",
    'id"::TEXT, (SELECT 1)) --',
    "a\\' OR true --",
    "%s %(x)s %I %L %",
    "<tag> <schema>",
    "select",
    "Größe x/y * ,",
    "x" * 63,
    "OWN.x",
    "OWN.'||null); perform public.evil(); --",
    "OWN.OUTBOX <schema>.OWN.",
]
TEMPLATES_OF_KEYS = [name for name in HOSTILE if ":" not in name and "." not in name]
"""A column of each of these names is the key of a table."""


@pytest.fixture(scope="module")
def server():
    """Return a server with a role that may create tables and nothing else."""
    with pg.folder() as place, pg.postgresql(place / "data", "fsync=off") as started:
        started.sql("CREATE ROLE guest LOGIN", 'CREATE ROLE "re\'ad""er; DROP TABLE witness" LOGIN')
        yield started


class Database:
    """A database whose administrator captures tables of a guest, into an outbox in a schema of any name."""

    numbers = iter(range(1, 1000))

    def __init__(self, server, schema):
        """Create it."""
        name = f"hostile{next(self.numbers)}"
        server.sql(f"CREATE DATABASE {name}")
        self.options = f"-csearch_path={schema}"
        address = f"127.0.0.1:{server.port}/{name}"
        self.owner = psycopg.connect(f"postgresql://postgres@{address}", autocommit=True)
        self.run("CREATE SCHEMA {}", schema)
        self.run("SET search_path = {}", schema)
        self.run("GRANT USAGE, CREATE ON SCHEMA {} TO guest", schema)
        self.run("CREATE TABLE witness(id INT)")
        self.guest = psycopg.connect(f"postgresql://guest@{address}", autocommit=True)
        self.run("SET search_path = {}", schema, by=self.guest)
        quoted = sql.Identifier(schema).as_string(None)
        path = quoted.replace("\\", "\\\\").replace(" ", "\\ ")
        self.conninfo = psycopg.conninfo.make_conninfo(
            f"postgresql://postgres@{address}", options=f"-csearch_path={path}"
        )
        self.source = PostgresqlSource(self.conninfo, families=["safe"], views=[])
        self.cursor = None

    def run(self, statement, *names, by=None):
        """Run a statement with quoted names."""
        quoted = sql.SQL(statement).format(*map(sql.Identifier, names))
        return (by or self.owner).execute(quoted)

    def capture(self, *tables):
        """Capture tables."""
        with self.capturing() as capture:
            capture.run(capture.install(tables, app="a'pp"))

    @contextlib.contextmanager
    def capturing(self):
        """Open the capture of the database."""
        with contextlib.closing(PostgresqlCapture(self.conninfo)) as capture:
            yield capture

    def told(self):
        """Return the subjects told since the last call."""
        events, self.cursor = told_by(self.source, self.cursor)
        return {event.subject for event in events}

    def nobody_gained(self):
        """Check that no table was dropped, and that the guest has no further rights."""
        assert self.owner.execute("SELECT count(*) FROM witness").fetchone() == (0,)
        rights = "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = 'guest'"
        assert self.owner.execute(rights).fetchone() == (False,)

    def close(self):
        """Disconnect."""
        self.source.close()
        self.owner.close()
        self.guest.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_a_name_in_every_statement(server, name):
    """A table, a schema and columns of a hostile name are captured, told, repaired, pruned and released."""
    with contextlib.closing(Database(server, name)) as database:
        schema_and_table = sql.Identifier(name, name).as_string(None)
        database.run("CREATE TABLE {}.{}(id TEXT PRIMARY KEY, {} TEXT)", name, name, name, by=database.guest)
        table = Captured(schema_and_table, ("safe/it's\\{id}",))
        database.capture(table)
        database.told()
        database.run("INSERT INTO {}.{} VALUES ('1', 'a'), ('2', 'b')", name, name, by=database.guest)
        assert database.told() == {"safe/it's\\1", "safe/it's\\2"}
        database.run("UPDATE {}.{} SET {} = 'c' WHERE id = '1'", name, name, name, by=database.guest)
        assert database.told() == {"safe/it's\\1"}
        database.run("ALTER TABLE {}.{} DISABLE TRIGGER USER", name, name)
        with database.capturing() as capture:
            assert "disabled" in capture.states()[0].problem
            capture.run(capture.repair(app="a'pp").statements)
            assert [state.problem for state in capture.states()] == [""]
            capture.run(capture.grant(["re'ad\"er; DROP TABLE witness"]))
            assert capture.install([table], app="a'pp") == capture.install([], app="a'pp")
        assert database.told() == {"safe"}
        assert migration(database.conninfo) == []
        with database.owner.transaction():
            prune(database.owner)
        with database.capturing() as capture:
            capture.run(capture.remove([schema_and_table], app="a'pp"))
            assert capture.states() == []
        database.told()
        database.run("DELETE FROM {}.{}", name, name, by=database.guest)
        assert database.told() == set()
        database.nobody_gained()


@pytest.mark.parametrize("name", HOSTILE)
def test_an_outbox_in_a_schema_of_a_hostile_name_is_migrated(server, name):
    """An outbox of the version before is brought to the present one, and is polled, whatever its schema is called."""
    with contextlib.closing(Database(server, name)) as database:
        database.run("CREATE TABLE policies(id TEXT PRIMARY KEY, days INT)")
        outbox, _, _ = (
            (FIXTURES / "postgresql_outbox_2.sql").read_text().partition("\nCREATE OR REPLACE FUNCTION public.")
        )
        database.owner.execute(outbox)
        run_migration(database.conninfo, migration(database.conninfo))
        assert migration(database.conninfo) == []
        database.capture(Captured("policies", ("safe/{id}",)))
        database.told()
        database.run("INSERT INTO policies VALUES ('new', 1)")
        assert database.told() == {"safe/new"}
        with database.capturing() as capture:
            assert {state.problem for state in capture.states() if "policies" in state.table.relation} == {""}
        database.nobody_gained()


@pytest.mark.parametrize("name", TEMPLATES_OF_KEYS)
def test_a_key_of_a_hostile_name_spells_its_tag(server, name):
    """A primary key of a hostile name makes the right tags."""
    with contextlib.closing(Database(server, "public2")) as database:
        database.run("CREATE TABLE {}.safe({} TEXT PRIMARY KEY)", "public2", name, by=database.guest)
        database.capture(Captured("public2.safe", ()))
        database.told()
        database.run("INSERT INTO safe VALUES ('1')", by=database.guest)
        assert database.told() == {"safe/1"}
        database.run("UPDATE safe SET {} = '2'", name, by=database.guest)
        assert database.told() == {"safe/1", "safe/2"}
        database.nobody_gained()


@pytest.mark.parametrize("column", ["a{b}", "a}b", "{", "a!r", "a.b", "a:b", 'id"::TEXT', "a[b", "line\nbreak"])
def test_a_key_that_no_template_can_name_is_refused(server, column):
    """A key whose name would change the template of its tag is refused, and the error says what to do."""
    with contextlib.closing(Database(server, "public2")) as database:
        database.run("CREATE TABLE {}.safe({} TEXT PRIMARY KEY)", "public2", column)
        with pytest.raises(BadInput, match=r"(?s)public2\.safe.*name its tags, as in"):
            database.capture(Captured("public2.safe", ()))
        database.capture(parsed("public2.safe:safe"))
        database.told()
        database.run("INSERT INTO safe VALUES ('1')", by=database.owner)
        assert database.told() == {"safe"}


@pytest.mark.parametrize("table", ["a{b}", "x/y", "*", "Safe", "a b", "9", 'say "hi"', "größe", "a.b c"])
def test_a_table_whose_name_makes_no_family_is_refused(server, table):
    """A table after which no family can be called is refused by its name, and the error says how to name a tag."""
    with contextlib.closing(Database(server, "public2")) as database:
        database.run("CREATE TABLE {}.{}(id TEXT PRIMARY KEY)", "public2", table)
        named = sql.Identifier("public2", table).as_string(None)
        with pytest.raises(BadInput, match="name its tags, as in") as refused:
            database.capture(Captured(named, ()))
        assert database.owner.execute("SELECT %s::REGCLASS::TEXT", (named,)).fetchone()[0] in str(refused.value)
        database.capture(parsed(f"{named}:safe/{{id}}"))
        database.told()
        database.run("INSERT INTO {} VALUES ('1')", table)
        assert database.told() == {"safe/1"}


def test_a_table_with_a_colon_in_its_name_can_be_named():
    """A colon within quotes belongs to the name of a table."""
    assert parsed('s."a:b":safe/{id}') == Captured('s."a:b"', ("safe/{id}",))


EVIL = """
CREATE FUNCTION evil.run() RETURNS TEXT LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> 'guest' THEN
    EXECUTE 'ALTER ROLE guest SUPERUSER';
  END IF;
  RETURN 'x';
END $$;
"""
FUNCTION = "CREATE FUNCTION {}({}) RETURNS {} LANGUAGE plpgsql AS 'BEGIN PERFORM evil.run(); {} END'"
OPERATORS = [
    # What the functions of the outbox use with types for which pg_catalog has no exact match.
    FUNCTION.format("pg_sleep", "numeric", "VOID", "PERFORM pg_catalog.pg_sleep(0.01);"),
    FUNCTION.format("evil_plus", "numeric, integer", "NUMERIC", "RETURN $1;"),
    "CREATE OPERATOR + (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = evil_plus)",
    FUNCTION.format("evil_equal", "bigint, numeric", "BOOLEAN", "RETURN true;"),
    "CREATE OPERATOR = (LEFTARG = bigint, RIGHTARG = numeric, FUNCTION = evil_equal)",
    FUNCTION.format("evil_rest", "numeric, bigint", "NUMERIC", "RETURN $1;"),
    "CREATE OPERATOR % (LEFTARG = numeric, RIGHTARG = bigint, FUNCTION = evil_rest)",
]


def test_functions_with_rights_pick_up_nothing_that_a_guest_made(server):
    """What runs with its owner's rights takes no function or operator from a schema in which others may create."""
    with contextlib.closing(Database(server, "public2")) as database:
        database.run("CREATE TABLE safe(id TEXT PRIMARY KEY)", by=database.guest)
        database.capture(parsed("safe:safe/{id}"))
        database.owner.execute("CREATE SCHEMA evil AUTHORIZATION guest")
        database.guest.execute(EVIL)
        for statement in OPERATORS:
            database.guest.execute(statement)
        database.told()
        database.guest.execute("INSERT INTO safe VALUES ('1')")
        (ticket,) = database.guest.execute("SELECT pg_current_xact_id()::TEXT").fetchone()
        database.guest.execute("SELECT parbake_wait(%s::XID8, '50 ms')", (ticket,))
        database.owner.execute("DELETE FROM parbake_outbox")
        database.nobody_gained()
        own = "SELECT proname FROM pg_proc WHERE proname ~ '^parbake' AND prosecdef AND proconfig IS DISTINCT FROM %s"
        assert database.owner.execute(own, (["search_path=pg_catalog, pg_temp"],)).fetchall() == []


def test_a_cast_of_the_owner_of_a_type_runs_with_nobody_elses_rights(server):
    """The triggers spell a value by the output of its type, so that no cast of a guest runs with their rights."""
    with contextlib.closing(Database(server, "public2")) as database:
        database.owner.execute("CREATE SCHEMA evil AUTHORIZATION guest")
        database.guest.execute(EVIL)
        database.guest.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
        database.guest.execute(
            "CREATE FUNCTION evil.text(mood) RETURNS TEXT LANGUAGE plpgsql AS 'BEGIN RETURN evil.run(); END'"
        )
        database.guest.execute("CREATE CAST (mood AS TEXT) WITH FUNCTION evil.text(mood) AS IMPLICIT")
        database.guest.execute("CREATE TABLE safe(id mood PRIMARY KEY)")
        database.capture(parsed("safe:safe/{id}"))
        database.told()
        database.guest.execute("INSERT INTO safe VALUES ('good')")
        assert database.told() == {"safe/good"}
        database.nobody_gained()


def test_a_function_named_like_a_lost_column_is_not_called(server):
    """A function of a guest that is named like a column that was renamed is not taken for it."""
    with contextlib.closing(Database(server, "public2")) as database:
        database.owner.execute("CREATE SCHEMA evil AUTHORIZATION guest")
        database.guest.execute(EVIL)
        database.guest.execute("CREATE TABLE safe(id TEXT PRIMARY KEY)")
        database.capture(parsed("safe:safe/{id}"))
        database.guest.execute("ALTER TABLE safe RENAME id TO other")
        for kind in ("record", "safe"):
            database.guest.execute(
                f"CREATE FUNCTION id({kind}) RETURNS TEXT LANGUAGE plpgsql AS 'BEGIN RETURN evil.run(); END'"
            )
        database.told()
        database.guest.execute("INSERT INTO safe VALUES ('1')")
        assert "safe" in database.told()
        database.nobody_gained()


def test_nobody_else_may_call_the_functions_of_the_triggers(server):
    """A guest cannot put a function that runs with its owner's rights on a table of its own."""
    with contextlib.closing(Database(server, "public2")) as database:
        database.guest.execute("CREATE TABLE safe(id TEXT PRIMARY KEY); CREATE TABLE own(id TEXT)")
        database.capture(parsed("safe:safe/{id}"))
        functions = database.owner.execute(
            "SELECT oid::REGPROC::TEXT FROM pg_proc WHERE prorettype = 'trigger'::REGTYPE AND proname LIKE 'parbake%'"
        ).fetchall()
        assert len(functions) == 3
        for (function,) in functions:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                database.guest.execute(f"CREATE TRIGGER t AFTER INSERT ON own EXECUTE FUNCTION {function}()")


def test_triggers_of_an_earlier_version_are_made_again(server):
    """Functions that run with the search path of the writer are named, and repaired."""
    with contextlib.closing(Database(server, "public2")) as database, database.capturing() as capture:
        database.owner.execute("CREATE TABLE safe(id TEXT PRIMARY KEY)")
        database.capture(parsed("safe:safe/{id}"))
        ((function,),) = database.owner.execute(
            "SELECT oid::REGPROC::TEXT FROM pg_proc WHERE proname ~ '^parbake_capture_[0-9a-f]{8}$'"
        ).fetchall()
        database.owner.execute(f"ALTER FUNCTION {function}() RESET ALL")
        database.owner.execute(
            "UPDATE parbake_capture SET checksum = "
            f"(SELECT md5(concat(prosrc, proconfig)) FROM pg_proc WHERE oid = '{function}'::REGPROC)"
        )
        assert "earlier version" in capture.states()[0].problem
        capture.run(capture.repair(app="a'pp").statements)
        assert capture.states()[0].problem == ""
