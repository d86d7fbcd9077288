"""Triggers that were away for a while are noticed on PostgreSQL, and what leaves them in place raises nothing."""

import contextlib

import psycopg
import pytest
from tests.servers import captured_shop, pg
from tests.unit.commands import invoke
from tests.waiting import eventually

import parbake_capture
from parbake_capture.postgresql_triggers import PostgresqlCapture

server, shop = captured_shop.server, captured_shop.shop

AWAY = {
    "switched off and on": """
        ALTER TABLE policies DISABLE TRIGGER USER; UPDATE policies SET days = days + 1;
        DO $$ DECLARE t TEXT; BEGIN FOR t IN SELECT tgname FROM pg_trigger
          WHERE tgname LIKE 'parbake%' AND tgrelid = 'policies'::REGCLASS LOOP
          EXECUTE format('ALTER TABLE policies ENABLE ALWAYS TRIGGER %I', t); END LOOP; END $$""",
    "dropped and made again": """
        DO $$ DECLARE made TEXT[]; one TEXT; name TEXT; names TEXT[]; BEGIN
          SELECT array_agg(pg_get_triggerdef(oid)), array_agg(tgname) INTO made, names FROM pg_trigger
            WHERE tgname LIKE 'parbake%' AND tgrelid = 'policies'::REGCLASS;
          FOREACH name IN ARRAY names LOOP EXECUTE format('DROP TRIGGER %I ON policies', name); END LOOP;
          UPDATE policies SET days = days + 1;
          FOREACH one IN ARRAY made LOOP EXECUTE one; END LOOP;
          FOREACH name IN ARRAY names LOOP
            EXECUTE format('ALTER TABLE policies ENABLE ALWAYS TRIGGER %I', name); END LOOP; END $$""",
    "function replaced and put back": """
        DO $$ DECLARE made TEXT; name TEXT; BEGIN
          SELECT pg_get_functiondef(tgfoid), tgfoid::REGPROC::TEXT INTO made, name FROM pg_trigger
            WHERE tgname LIKE 'parbake%' AND tgrelid = 'policies'::REGCLASS LIMIT 1;
          EXECUTE format('CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS '
            '''BEGIN RETURN NULL; END''', name);
          UPDATE policies SET days = days + 1;
          EXECUTE made; END $$""",
    "column computed anew": "ALTER TABLE policies ALTER days TYPE INT USING days + 1",
    "column dropped and added": "ALTER TABLE policies DROP days; ALTER TABLE policies ADD days INT DEFAULT 3",
}
"""Ways to change rows of a table, within one transaction, without a trigger that tells of it."""
OUTBOX_AWAY = """
    DO $$ DECLARE made TEXT; BEGIN made := pg_get_functiondef('parbake_outbox_note_gone'::REGPROC);
      CREATE OR REPLACE FUNCTION parbake_outbox_note_gone() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RETURN NULL; END';
      UPDATE policies SET days = days + 1; DELETE FROM parbake_outbox; EXECUTE made; END $$"""
"""Rows of the outbox are deleted while the function that notes it is another one."""
HARMLESS = (
    "VACUUM policies", "VACUUM FULL policies", "ANALYZE policies", "VACUUM FULL pg_trigger", "VACUUM FREEZE pg_proc",
    "CREATE TABLE unrelated{n}(id INT PRIMARY KEY)", "CREATE INDEX ON policies(days)", "REINDEX TABLE policies",
    "CLUSTER policies USING policies_pkey", "GRANT SELECT ON policies TO stranger",
)  # fmt: skip


def executed(shop, statement):
    """Run statements in one transaction."""
    with psycopg.connect(shop.address) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("rounds", [3, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", [*AWAY, "rows of the outbox deleted"])
def test_triggers_that_were_away_within_a_transaction_raise_the_family(shop, how, rounds):
    """Whatever kept a change from being told, its family is raised, each time, also beside another installation."""
    for number in range(rounds):
        executed(shop, AWAY.get(how, OUTBOX_AWAY))
        if number % 2:
            shop.connection.execute(f"CREATE TABLE other{number}(id INT PRIMARY KEY)")
            shop.capture(f"other{number}:note/{{id}}")
        assert "policy" in shop.told()[0], number
        assert shop.told() == (set(), "")


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_what_leaves_triggers_in_place_raises_nothing(shop, rounds):
    """Maintenance, other tables and an installation that changes nothing raise no family."""
    for number in range(rounds):
        for statement in HARMLESS:
            assert shop.told(statement.format(n=number)) == (set(), ""), statement
        shop.capture(*captured_shop.CAPTURED)
        assert shop.told() == (set(), "")
        shop.capture()
        assert shop.told() == (set(), "")
        parbake_capture.install(shop.address, "policies:policy/{id},catalog")
        assert shop.told() == (set(), "")
        assert invoke("capture", "capture", "install", shop.address, "--apply").exit_code == 0
        assert shop.told() == (set(), "")


def test_an_installation_makes_only_what_differs(shop):
    """The statements for a captured table are none, and for one lost trigger those of that trigger."""
    with contextlib.closing(PostgresqlCapture(shop.address)) as capture:
        before = capture.install([], app="app")
        assert capture.repair(app="app").statements == before
        (name,) = shop.connection.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = 'policies'::REGCLASS AND tgname LIKE 'parbake%delete'"
        ).fetchone()
        shop.connection.execute(f"DROP TRIGGER {name} ON policies")
        statements = capture.repair(app="app").statements[len(before) :]
        assert sum("CREATE OR REPLACE TRIGGER" in statement for statement in statements) == 1
        assert not any("FUNCTION" in s.partition("EXECUTE")[0] for s in statements if "CREATE" in s)


def test_one_table_that_cannot_be_captured_keeps_no_other_from_repair(shop):
    """A renamed key column is reported, with exit status 1, and the broken triggers of another table are put back."""
    shop.connection.execute("ALTER TABLE policies RENAME id TO code")
    shop.connection.execute("ALTER TABLE policies DISABLE TRIGGER USER")
    shop.connection.execute("ALTER TABLE notes DISABLE TRIGGER USER")
    ended = invoke("capture", "capture", "install", shop.address, "--apply")
    assert ended.exit_code == 1
    assert "no column 'id'" in " ".join(ended.output.split())
    with contextlib.closing(PostgresqlCapture(shop.address)) as capture:
        problems = {state.table.relation: state.problem for state in capture.states()}
    assert problems["public.policies"]
    assert problems["public.notes"] == ""


def test_readers_are_granted_listed_and_retired(shop):
    """A role is granted what a server needs, a store that is waited for cannot be retired, and a silent one can."""
    role = f"reader_{shop.name}"
    shop.connection.execute(f"CREATE ROLE {role} LOGIN")
    install = ("capture", "capture", "install", shop.address, "--reader", role, "--max-silence", "10m", "--apply")
    assert invoke(*install).exit_code == 0
    assert shop.connection.execute("SELECT value::TEXT FROM parbake_setting").fetchone() == ("00:10:00",)
    report = "SELECT parbake_report('store', 1, pg_current_snapshot(), parbake_run(), INTERVAL '1 min', false)"
    with psycopg.connect(shop.address, user=role, autocommit=True) as connection:
        connection.execute(report)
        connection.execute("SELECT * FROM parbake_outbox, parbake_reader, parbake_capture, parbake_outbox_gone")
    assert "waited for" in invoke("capture", "capture", "readers", shop.address).output
    retire = ("capture", "capture", "retire", shop.address, "store", "--apply")
    assert "may trust what it holds" in str(invoke(*retire).exception)
    shop.connection.execute(
        "UPDATE parbake_reader SET heard = heard - INTERVAL '1 hour', writer = pg_current_xact_id()"
    )
    assert "is retired" in invoke(*retire).output
    assert "retired" in invoke("capture", "capture", "readers", shop.address).output
    assert "no such role" in str(invoke(*install[:4], "--reader", "nobody_at_all").exception)


ABOVE = (
    """
    CREATE TABLE rules_everywhere(id TEXT, days INT, region TEXT) PARTITION BY LIST (region);
    CREATE TABLE rules PARTITION OF rules_everywhere FOR VALUES IN ('eu');
    CREATE TABLE rules_elsewhere PARTITION OF rules_everywhere FOR VALUES IN ('us');
    INSERT INTO rules VALUES ('a', 1, 'eu')""",
    """
    CREATE TABLE rules_everywhere(id TEXT, days INT);
    CREATE TABLE rules() INHERITS (rules_everywhere);
    INSERT INTO rules VALUES ('a', 1)""",
)
"""A table that is below another one: a partition, and one that inherits."""


@pytest.mark.parametrize("tables", ABOVE)
def test_a_statement_that_names_a_table_above_is_told(shop, tables):
    """The captured table is a part of another one, through which its rows are changed, inserted and deleted."""
    shop.connection.execute(tables)
    shop.capture("rules:policy/{id}", "policies:policy/{id}")
    shop.told()
    assert shop.told("UPDATE rules_everywhere SET days = 2 WHERE id = 'a'") == ({"policy/a"}, "")
    assert shop.told("UPDATE rules SET days = 3 WHERE id = 'a'") == ({"policy/a"}, "")
    assert shop.told("DELETE FROM rules_everywhere") == ({"policy/a"}, "")
    shop.capture("rules:policy/{id}")
    assert shop.told() == (set(), "")


def test_a_captured_table_that_is_attached_later_is_a_problem_until_it_is_captured_again(shop):
    """The table above has no triggers: the families are raised with every poll, and a repair captures it."""
    shop.connection.execute("CREATE TABLE all_policies(id TEXT NOT NULL, days INT) PARTITION BY LIST (id)")
    shop.connection.execute("ALTER TABLE all_policies ATTACH PARTITION policies DEFAULT")
    for _ in range(2):
        told, trouble = shop.told("UPDATE all_policies SET days = 7 WHERE id = 'a'")
        assert "policy" in told
        assert "all_policies" in trouble
    shop.capture()
    shop.told()
    assert shop.told("UPDATE all_policies SET days = 8 WHERE id = 'a'") == ({"policy/a", "catalog"}, "")


def test_two_parts_of_one_table_are_captured_side_by_side(shop):
    """The triggers of the table above tell of both, and an installation changes nothing of the other one's."""
    shop.connection.execute(ABOVE[0])
    shop.capture("rules:policy/{id}", "rules_elsewhere:note/{id}")
    shop.told()
    assert shop.told("INSERT INTO rules_everywhere VALUES ('b', 1, 'us')")[0] >= {"note/b"}
    assert shop.told("UPDATE rules_everywhere SET days = 5 WHERE id = 'a'")[0] >= {"policy/a"}
    assert shop.told() == (set(), "")


SEEN_OTHERWISE = {
    "row security": "ALTER TABLE policies ENABLE ROW LEVEL SECURITY",
    "a policy of row security": "CREATE POLICY few ON policies USING (days > 1)",
    "two tables whose names are swapped, and swapped back": """
        CREATE TABLE IF NOT EXISTS other(id TEXT);
        ALTER TABLE policies RENAME TO swapped; ALTER TABLE other RENAME TO policies;
        ALTER TABLE policies RENAME TO other; ALTER TABLE swapped RENAME TO policies""",
    "a label in an array": "ALTER TYPE mood RENAME VALUE 'red' TO 'crimson'",
    "a label in a domain": "ALTER TYPE tone RENAME VALUE 'red' TO 'crimson'",
    "a label in a composite": "ALTER TYPE shade RENAME VALUE 'red' TO 'crimson'",
}
"""What changes the rows that a reader finds, although no row is written."""


def test_what_changes_rows_without_writing_them_raises_the_family(shop):
    """Row security, a swap of names there and back, and labels within other types are noticed at the next poll."""
    shop.connection.execute("""
        CREATE TYPE mood AS ENUM ('red'); CREATE TYPE tone AS ENUM ('red'); CREATE TYPE shade AS ENUM ('red');
        CREATE DOMAIN toned AS tone; CREATE TYPE shaded AS (one shade);
        ALTER TABLE policies ADD moods mood[], ADD tones toned, ADD shades shaded""")
    shop.told()
    for what, statement in SEEN_OTHERWISE.items():
        assert shop.told(statement)[0] >= {"policy", "catalog"}, what
        assert shop.told() == (set(), ""), what


def test_a_key_column_that_becomes_a_date_is_a_problem_until_it_is_captured_again(shop):
    """The triggers would spell it by a setting of the writer: the family is raised, and the repair spells it alike."""
    shop.connection.execute("CREATE TABLE days(id TEXT PRIMARY KEY, n INT); INSERT INTO days VALUES ('2026-03-05', 1)")
    shop.capture("days:policy/{id}")
    shop.told()
    told, trouble = shop.told("ALTER TABLE days ALTER id TYPE DATE USING id::DATE")
    assert "policy" in told
    assert "another type" in trouble
    shop.capture()
    shop.told()
    change = "SET DateStyle = 'SQL, DMY'; UPDATE days SET n = 2; RESET DateStyle"
    assert shop.told(change) == ({"policy/2026-03-05"}, "")
    told, trouble = shop.told("ALTER TABLE days ALTER id TYPE TEXT")
    assert "policy" in told
    assert "another type" in trouble


def test_what_a_subscription_writes_is_told_also_if_it_is_gone_at_the_next_poll():
    """A replicated change raises the families of its table, once in a transaction."""
    with pg.folder() as place, pg.postgresql(place / "data", "wal_level=logical") as server:
        server.sql("CREATE ROLE stranger")
        away, shop = captured_shop.Shop(server), captured_shop.Shop(server)
        shop.told()
        away.connection.execute("CREATE PUBLICATION everything FOR TABLE policies")
        away.connection.execute("SELECT pg_create_logical_replication_slot('fills', 'pgoutput')")
        shop.connection.execute(
            f"CREATE SUBSCRIPTION fills CONNECTION '{away.address}' PUBLICATION everything "
            "WITH (create_slot = false, slot_name = 'fills', copy_data = false)"
        )
        away.connection.execute("UPDATE policies SET days = 77")
        changed = "SELECT count(*) FROM policies WHERE days = 77"
        eventually(lambda: shop.connection.execute(changed).fetchone() == (3,))
        shop.connection.execute("DROP SUBSCRIPTION fills")
        raised = "SELECT count(*) FROM parbake_outbox WHERE subject = 'policy'"
        assert shop.connection.execute(raised).fetchone() == (1,)
        assert shop.told()[0] >= {"policy", "catalog"}
        for one in (away, shop):
            one.source.close()
            one.connection.close()


def test_an_outbox_that_a_crash_would_empty_is_a_problem(shop):
    """An unlogged outbox raises all families with every poll, also those that programs emit."""
    told, trouble = shop.told("ALTER TABLE parbake_outbox SET UNLOGGED")
    assert told == {"policy", "catalog", "note", "stock"}
    assert "unlogged" in trouble
    told, trouble = shop.told("ALTER TABLE parbake_outbox SET LOGGED")
    assert told == {"policy", "catalog", "note", "stock"}
    assert trouble == ""
    assert shop.told() == (set(), "")
