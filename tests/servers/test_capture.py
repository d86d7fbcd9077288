"""``parbake capture`` on PostgreSQL: whoever changes a row, and however, its tags are raised, and a gap is noticed."""

import contextlib

import psycopg
import pytest
from tests.servers import captured_shop
from tests.servers.captured_shop import Shop
from tests.unit.commands import invoke

import parbake as pb
from parbake.adapters.postgresql import PostgresqlSource
from parbake.testing.source_suite import told_by
from parbake_capture.postgresql_triggers import PostgresqlCapture
from parbake_capture.tables import LIMIT

CHANGES = {
    "INSERT INTO policies VALUES ('c', 1), ('d', 2)": "policy/c policy/d catalog",
    "UPDATE policies SET days = 9 WHERE id = 'a'": "policy/a catalog",
    "UPDATE policies SET id = 'e' WHERE id = 'a'": "policy/a policy/e catalog note/1",
    "UPDATE policies SET days = 9 WHERE id = 'white space'": "policy/white%20space catalog",
    "DELETE FROM policies WHERE id = 'a'": "policy/a catalog note/1",
    "INSERT INTO policies VALUES ('a', 7) ON CONFLICT (id) DO UPDATE SET days = 7": "policy/a catalog",
    "INSERT INTO policies VALUES ('a', 7) ON CONFLICT DO NOTHING": "",
    "MERGE INTO policies p USING (VALUES ('a'), ('n')) v(id) ON p.id = v.id WHEN MATCHED THEN DELETE "
    "WHEN NOT MATCHED THEN INSERT VALUES (v.id, 1)": "policy/a policy/n catalog note/1",
    "WITH gone AS (DELETE FROM policies WHERE id = 'b' RETURNING id) INSERT INTO policies SELECT id || 'x' FROM gone": (
        "policy/b policy/bx catalog note/2"
    ),
    "TRUNCATE policies CASCADE": "policy catalog note",
    "UPDATE policies SET days = 1 WHERE false": "",
    "COPY policies FROM PROGRAM 'printf \"y\\t1\\nz\\t2\\n\"'": "policy/y policy/z catalog",
    f"INSERT INTO policies SELECT 'n' || n, n FROM generate_series(1, {LIMIT + 1}) n": "policy catalog",
    "INSERT INTO policies VALUES ('', 1)": "policy catalog",
    "INSERT INTO stock VALUES (2, 'ink', 1), (120, 'ink', 1)": "stock/2-ink stock/120-ink",
    "INSERT INTO stock_1 VALUES (3, 'ink', 1)": "stock/3-ink",
    "INSERT INTO stock_2 VALUES (130, 'ink', 1)": "stock/130-ink",
    "UPDATE stock_2a SET n = 0": "stock/101-pen",
    "UPDATE stock SET shop = 102 WHERE shop = 1": "stock/1-pen stock/102-pen",
    "DELETE FROM ONLY stock_1": "stock/1-pen",
    "TRUNCATE stock_2a": "stock",
    "DO $$BEGIN UPDATE policies SET days = 3 WHERE id = 'a'; BEGIN UPDATE policies SET days = 1 WHERE id = 'b'; "
    "RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END$$": "policy/a catalog",
    "SET session_replication_role = replica; UPDATE policies SET days = 4 WHERE id = 'a'; "
    "SET session_replication_role = origin": "policy/a catalog",
    "SET ROLE stranger; UPDATE policies SET days = 4 WHERE id = 'a'; RESET ROLE": "policy/a catalog",
}


BLIND = """
BEGIN; ALTER TABLE policies DISABLE TRIGGER USER; UPDATE policies SET days = 9;
DO $$ DECLARE t TEXT; BEGIN
FOR t IN SELECT tgname FROM pg_trigger WHERE tgname LIKE 'parbake%' AND tgrelid = 'policies'::REGCLASS LOOP
EXECUTE format('ALTER TABLE policies ENABLE ALWAYS TRIGGER %I', t);
END LOOP; END $$; COMMIT
"""
"""Triggers that are off for a moment, within one transaction."""


server, shop = captured_shop.server, captured_shop.shop


def test_every_way_to_change_a_row_is_told(server):
    """Each statement raises the tags of the rows that it has changed, before and after, and no other tag."""
    wrong = {}
    template = Shop(server)
    template.connection.close()
    for statement, expected in CHANGES.items():
        copied = f"copy{next(Shop.numbers)}"
        server.sql(f"CREATE DATABASE {copied} TEMPLATE {template.name}")
        shop = Shop.__new__(Shop)
        shop.address, shop.cursor = template.address.replace(template.name, copied), None
        shop.source = PostgresqlSource(shop.address, families=["policy", "catalog", "note", "stock"], views=[])
        with psycopg.connect(shop.address, autocommit=True) as shop.connection:
            shop.told()
            told, trouble = shop.told(statement)
        shop.source.close()
        server.sql(f"DROP DATABASE {copied}")
        if (told, trouble) != (set(expected.split()), ""):
            wrong[statement] = told, trouble
    assert wrong == {}


def test_a_prepared_transaction_is_told_when_it_is_committed(shop):
    """Capture works with PREPARE TRANSACTION, which NOTIFY would forbid."""
    shop.connection.execute("BEGIN")
    shop.connection.execute("UPDATE policies SET days = 5 WHERE id = 'a'")
    shop.connection.execute("PREPARE TRANSACTION 'one'")
    assert shop.told() == (set(), "")
    assert shop.told("COMMIT PREPARED 'one'") == ({"policy/a", "catalog"}, "")


@pytest.mark.parametrize(
    ("statement", "family", "problem"),
    [
        ("CREATE TABLE stock_3 PARTITION OF stock FOR VALUES FROM (200) TO (300)", "stock", "triggers of public.stock"),
        ("DROP TRIGGER {trigger} ON policies", "policy", "triggers of public.policies"),
        ("ALTER TABLE policies DISABLE TRIGGER ALL", "policy", "triggers of public.policies"),
        ("ALTER TABLE policies ENABLE TRIGGER {trigger}", "policy", "triggers of public.policies"),
        ("ALTER FUNCTION {function}() SECURITY INVOKER", "policy", "triggers of public.policies"),
        ("ALTER TABLE policies RENAME TO old; CREATE TABLE policies(id TEXT)", "policy", "triggers of public.policies"),
        ("DROP TABLE policies CASCADE", "policy", "does not exist"),
        ("ALTER TABLE parbake_outbox DISABLE TRIGGER ALL", "policy", "triggers of parbake_outbox"),
    ],
)
async def test_a_gap_raises_the_family_until_it_is_closed(shop, statement, family, problem):
    """While changes could go untold, each poll raises the family, and servers say why; reinstalling ends it."""
    (trigger,) = shop.connection.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'policies'::REGCLASS AND tgname LIKE 'parbake%insert'"
    ).fetchone()
    (function,) = shop.connection.execute(
        "SELECT tgfoid::REGPROC::TEXT FROM pg_trigger WHERE tgname = %s AND tgrelid = 'policies'::REGCLASS", (trigger,)
    ).fetchone()
    app = pb.App(pb.Registry(), events=[shop.source], worker="none")
    await app.drain()
    for one in statement.format(trigger=trigger, function=function).split(";"):
        shop.connection.execute(one)
    for _ in range(2):
        ack = await app.drain()
        assert family in ack.raised
    (condition,) = [one for one in (await app.ready()).conditions if one.kind == "changes_untold"]
    assert problem in condition.message
    if "DROP TABLE" not in statement:
        shop.capture()
        assert family in (await app.drain()).raised
        assert app.counters.untold["shop"] == ""
        assert await app.drain() is None


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE policies ALTER days TYPE INT USING days + 1",
        "ALTER TABLE policies ADD gift BOOLEAN DEFAULT true",
        "ALTER TABLE policies DROP days",
        "ALTER TABLE stock DETACH PARTITION stock_1",
        BLIND,
    ],
)
def test_a_change_of_a_table_itself_raises_its_family_once(shop, statement):
    """What changes rows without a statement on rows is seen in the catalog, also by a reader that was away."""
    told, trouble = shop.told(statement)
    assert told & {"policy", "stock"}
    assert trouble == ""
    assert shop.told() == (set(), "")


@pytest.mark.parametrize("statement", ["VACUUM FULL policies", "ANALYZE policies", "CREATE INDEX ON policies(days)"])
def test_maintenance_raises_nothing(shop, statement):
    """What changes no row raises no tag."""
    assert shop.told(statement) == (set(), "")


def test_a_renamed_column_fails_no_writer(shop):
    """The writer goes on, the family is raised instead of the row's tag, and the check names the column."""
    shop.told("ALTER TABLE policies RENAME id TO name")
    told, _ = shop.told("UPDATE policies SET days = 8 WHERE name = 'a'")
    assert {"policy", "catalog"} <= told
    checked = invoke("capture", "capture", "check", shop.address)
    assert (checked.exit_code, "no column 'id' any more" in checked.output) == (1, True)
    shop.capture("policies:policy/{name}")
    shop.told()
    assert shop.told("UPDATE policies SET days = 9 WHERE name = 'a'") == ({"policy/a", "catalog"}, "")


def test_two_apps_capture_one_table(shop):
    """Each app's tags are told; an app hears its own families only; the last to leave removes the triggers."""
    shop.capture("policies:rule/{id}", app="other")
    shop.told()
    assert shop.told("UPDATE policies SET days = 8 WHERE id = 'a'") == ({"policy/a", "catalog"}, "")
    other = PostgresqlSource(shop.address, families=["rule"], views=[])
    assert "rule/a" in {event.subject for event in told_by(other)[0]}
    other.close()
    for app in ("app", "other"):
        removed = invoke("capture", "capture", "remove", shop.address, "--app", app, "--table", "policies", "--apply")
        assert removed.exit_code == 0
    shop.told()
    assert shop.told("UPDATE policies SET days = 9 WHERE id = 'a'") == (set(), "")


@pytest.mark.parametrize(
    ("table", "made", "message"),
    [
        ("nowhere:policy/{id}", "", "no such table"),
        ("policies:policy/{name}", "", "no column 'name' (it has id, days)"),
        ("shown:policy/{id}", "CREATE VIEW shown AS SELECT * FROM policies", "is a view"),
        ("log", "CREATE TABLE log(at TIMESTAMPTZ)", "no primary key"),
        ("log:log/{at}", "CREATE TABLE log(at TIMESTAMPTZ)", "is of type timestamp with time zone"),
        ("tag:tag/{name}", "CREATE TABLE tag(name CHAR(5))", "is of type character"),
        (
            "loose:loose/{name}",
            """CREATE COLLATION near (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
            CREATE TABLE loose(name TEXT COLLATE near)""",
            "compares texts that differ as equal",
        ),
    ],
)
def test_what_cannot_be_captured_is_refused(shop, table, made, message):
    """A table without a key, a view, an unknown column, and a column whose text is ambiguous are named."""
    with contextlib.suppress(psycopg.errors.FeatureNotSupported):
        for one in filter(None, made.split(";")):
            shop.connection.execute(one)
        with pytest.raises(pb.BadInput) as refused:
            shop.capture(table)
        assert message in str(refused.value)


def test_a_role_without_rights_is_told_what_it_lacks(shop):
    """A role that does not own the table gets one sentence, and nothing is changed."""
    shop.connection.execute("ALTER ROLE stranger LOGIN")
    address = shop.address.replace("postgres@", "stranger@")
    refused = invoke("capture", "capture", "install", address, "--table", "policies:policy/{id}", "--apply")
    assert refused.exit_code == 1
    assert "capture needs a role that owns the tables" in str(refused.exception)


def test_nothing_is_executed_without_being_told_to(shop):
    """The command prints statements that psql could run, and changes nothing; they do what the command would do."""
    shop.connection.execute("CREATE TABLE extra(id INT PRIMARY KEY)")
    printed = invoke("capture", "capture", "install", shop.address, "--table", "extra:note/x{id}")
    assert printed.exit_code == 0
    assert shop.told("INSERT INTO extra VALUES (1)") == (set(), "")
    with shop.connection.transaction():
        shop.connection.execute(printed.stdout.encode())
    shop.told()
    assert shop.told("INSERT INTO extra VALUES (2)") == ({"note/x2"}, "")


def test_a_busy_table_is_not_waited_for_long(shop, monkeypatch):
    """A table that somebody holds makes the command give up soon, because writers would queue behind it."""
    monkeypatch.setattr("parbake_capture.postgresql_triggers._LOCK_S", 0.1)
    shop.connection.execute("CREATE TABLE busy(id INT PRIMARY KEY)")
    with psycopg.connect(shop.address) as holder:
        holder.execute("INSERT INTO busy VALUES (1)")
        with pytest.raises(pb.errors.SourceError, match="locked for more than"):
            shop.capture("busy:note/{id}")


def test_the_writer_has_no_say_in_the_text_of_a_date(shop):
    """A tag has a date in ISO form, also if the writer's session writes dates in another one."""
    shop.connection.execute("CREATE TABLE days(day DATE, n INT)")
    shop.capture("days:day/{day}")
    shop.source.close()
    shop.source = PostgresqlSource(shop.address, families=["day"], views=[])
    shop.told()
    told, _ = shop.told("SET datestyle = 'German'; INSERT INTO days VALUES ('24.12.2026', 1)")
    assert told == {"day/2026-12-24"}


def test_a_sequence_that_a_restore_left_behind_does_no_harm(shop):
    """An outbox that gives positions again fails no writer, and each change is told."""
    shop.connection.execute("ALTER SEQUENCE parbake_outbox_position_seq RESTART")
    for _ in range(2):
        told, _ = shop.told("UPDATE policies SET days = days + 1 WHERE id = 'a'")
        assert "policy/a" in told


HOSTILE = """
CREATE SCHEMA evil AUTHORIZATION stranger;
SET ROLE stranger;
CREATE FUNCTION evil.hear(TEXT, TEXT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$ BEGIN RAISE 'heard'; END $$;
CREATE OPERATOR evil.= (LEFTARG = TEXT, RIGHTARG = TEXT, FUNCTION = evil.hear);
CREATE OPERATOR evil.<> (LEFTARG = TEXT, RIGHTARG = TEXT, FUNCTION = evil.hear);
CREATE FUNCTION evil.strpos(TEXT, TEXT) RETURNS INT LANGUAGE plpgsql AS $$ BEGIN RAISE 'heard'; END $$;
CREATE FUNCTION evil.cardinality(TEXT[]) RETURNS INT LANGUAGE plpgsql AS $$ BEGIN RAISE 'heard'; END $$;
CREATE FUNCTION evil.pg_current_xact_id() RETURNS XID8 LANGUAGE plpgsql AS $$ BEGIN RAISE 'heard'; END $$;
CREATE TABLE evil.parbake_outbox(subject TEXT, type TEXT);
CREATE DOMAIN evil.text AS TEXT CHECK (false);
SET search_path = evil, pg_catalog, public;
"""


def test_a_writer_lets_nothing_of_its_own_run_with_the_rights_of_the_owner(shop):
    """Functions, operators and types that stand first in a writer's search path are not what the trigger calls."""
    shop.connection.execute(HOSTILE)
    told, _ = shop.told("UPDATE public.policies SET days = 9 WHERE id OPERATOR(pg_catalog.=) 'a'")
    assert told == {"policy/a", "catalog"}
    assert shop.connection.execute("SELECT count(*) FROM evil.parbake_outbox").fetchone() == (0,)


async def test_a_table_that_an_app_declares_is_never_untold(shop):
    """A source that names its captured tables raises the families of those whose triggers are gone or raise less."""
    declared = {"policies": ["policy/{id}", "catalog"], "stock": ["stock/{item}"]}
    source = PostgresqlSource(shop.address, families=shop.source.families, views=[], captured=declared)
    app = pb.App(pb.Registry(), events=[source], worker="none")
    for _ in range(3):
        ack = await app.drain()
    assert {name.partition("/")[0] for name in ack.raised} == {"stock"}
    assert "changes of stock as this app declares it" in app.counters.untold["shop"]
    capture = PostgresqlCapture(shop.address)
    with contextlib.closing(capture):
        capture.run(capture.remove([], app="app"))
        with pytest.raises(pb.errors.BadInput, match="no table is captured for 'other'"):
            capture.remove([], app="other")
    for _ in range(3):
        ack = await app.drain()
    assert {name.partition("/")[0] for name in ack.raised} == {"stock", "policy", "catalog"}
    await app.close()


async def test_a_table_that_nobody_tells_of_is_named(shop, caplog):
    """A server names it at its start, also behind a view of the database, until it is captured."""

    class Offers(pb.View):
        families = ("policy",)

        def terms(self, name):
            self.entity(f"policy/{name}")
            return self.rows("SELECT days, percent FROM offers JOIN stock ON true WHERE id = :id", id=name)

    class Live(pb.View):
        families = ()

        def left(self):
            return self.rows("SELECT n FROM counters")

    shop.connection.execute(
        "CREATE TABLE discounts(policy TEXT PRIMARY KEY, percent INT); CREATE TABLE counters(n INT)"
    )
    shop.connection.execute(
        "CREATE VIEW offers AS SELECT p.*, percent FROM policies p JOIN discounts d ON d.policy = p.id"
    )
    source = PostgresqlSource(shop.address, families=["policy", "stock"], views=[Offers, Live])
    (sentence,) = source.untold()
    assert "the view" in sentence
    assert "reads the table discounts" in sentence
    app = pb.App(pb.Registry(), sources=[source], worker="none")
    async with app.serving():
        assert "reads the table discounts" in caplog.text
    await app.close()
    uncaptured = PostgresqlSource(shop.address, families=["policy"], views=[Offers], uncaptured=["discounts"])
    assert uncaptured.untold() == []
    shop.capture("discounts:policy/{policy}")
    assert source.untold() == []
    source.close()
    uncaptured.close()
