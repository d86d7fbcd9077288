"""Triggers that were away for a while are noticed on PostgreSQL, and what leaves them in place raises nothing."""

import contextlib

import psycopg
import pytest
from tests.servers import captured_shop
from tests.unit.commands import invoke

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
