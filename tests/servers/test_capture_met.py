"""Capture on PostgreSQL, as operators have met it: a second install, a second outbox, odd databases and odd tables."""

import contextlib

import psycopg
import pytest
from tests.servers import captured_shop
from tests.unit.commands import invoke

import parbake as pb
from parbake.adapters.postgresql import OUTBOX_DDL, PostgresqlSource, migration
from parbake.testing.source_suite import told_by
from parbake_capture import open_capture
from parbake_capture.tables import parsed

CHANGE = "UPDATE policies SET days = days + 1 WHERE id = 'a'"


server, shop = captured_shop.server, captured_shop.shop


def install(shop, *words):
    """Run the command; return what it prints."""
    ended = invoke("capture", "capture", "install", shop.address, *words, "--apply")
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_a_second_install_takes_no_tag_away(shop):
    """A table keeps its tags, also those of one command, until a command says that it replaces them."""
    install(shop, "--table", "policies:policy/{id},note", "--table", "policies:stock/{id}")
    shop.told()
    assert shop.told(CHANGE) == ({"policy/a", "catalog", "note", "stock/a"}, "")
    install(shop, "--table", "policies:note/{id}", "--replace")
    shop.told()
    assert shop.told(CHANGE) == ({"note/a"}, "")


def test_a_second_outbox_hides_none(shop):
    """An outbox that would hide another on the search path is refused, and so is an install that finds nothing."""
    shop.connection.execute("CREATE SCHEMA ops")
    for path, words, told in [
        ("ops,public", ["--table", "policies"], "the schema public has an outbox, which a second one"),
        ("ops", [], "there is an outbox in public"),
    ]:
        address = f"{shop.address}?options=-csearch_path%3D{path}"
        refused = invoke("capture", "capture", "install", address, *words, "--apply")
        assert told in str(refused.exception)
        checked = invoke("capture", "capture", "check", address)
        assert checked.exit_code == (0 if "public" in path else 1)
    assert shop.told(CHANGE) == ({"policy/a", "catalog"}, "")


def test_an_outbox_of_another_version_is_left_alone(shop):
    """An install changes neither a later outbox nor one that has to be migrated first."""
    shop.connection.execute("UPDATE parbake_format SET version = 4")
    with pytest.raises(psycopg.errors.RaiseException, match="of a version after 3"):
        shop.connection.execute(OUTBOX_DDL)
    with pytest.raises(pb.errors.SourceError, match="has version 4"):
        migration(shop.address)
    shop.connection.execute("DROP TABLE parbake_outbox, parbake_format CASCADE; CREATE TABLE parbake_outbox(id TEXT)")
    with pytest.raises(psycopg.errors.RaiseException, match="of version 1"):
        shop.connection.execute(OUTBOX_DDL)


def test_a_lost_function_of_the_outbox_is_put_back(shop):
    """Whatever of the outbox is missing, an install without tables makes it again."""
    shop.connection.execute("DROP FUNCTION parbake_capture_states()")
    checked = invoke("capture", "capture", "check", shop.address)
    assert (checked.exit_code, "function of the outbox is missing" in " ".join(checked.output.split())) == (1, True)
    install(shop)
    assert shop.told() == (set(), "")
    assert shop.told(CHANGE) == ({"policy/a", "catalog"}, "")


def test_an_outbox_with_functions_of_an_earlier_version_says_what_to_do(shop):
    """A function that looks names up in the path of its caller is named, polls say what to run, and that mends it."""
    shop.connection.execute("ALTER FUNCTION parbake_capture_states() RESET ALL")
    ((body,),) = shop.connection.execute("SELECT prosrc FROM pg_proc WHERE proname = 'parbake_capture_states'")
    shop.connection.execute(
        "CREATE OR REPLACE FUNCTION parbake_capture_states() RETURNS TABLE(relation TEXT, families TEXT[], "
        f"problem TEXT, state TEXT, tags TEXT[]) LANGUAGE plpgsql STABLE AS $old${body.replace('public.', '')}$old$"
    )
    with pytest.raises(pb.errors.SourceError, match="run 'parbake capture install'"):
        shop.told()
    checked = invoke("capture", "capture", "check", shop.address)
    assert (checked.exit_code, "of an earlier version" in " ".join(checked.output.split())) == (1, True)
    install(shop)
    assert shop.told(CHANGE) == ({"policy/a", "catalog"}, "")


def test_a_partition_that_is_leaving_is_a_change(shop):
    """Rows of a partition that is being detached are not read any more, before it is detached."""
    other = psycopg.connect(shop.address)
    other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    other.execute("SELECT count(*) FROM stock")
    with contextlib.suppress(psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
        shop.connection.execute("SET statement_timeout = 300")
        shop.connection.execute("ALTER TABLE stock DETACH PARTITION stock_1 CONCURRENTLY")
    shop.connection.execute("RESET statement_timeout")
    assert shop.connection.execute("SELECT count(*) FROM stock").fetchone() == (1,)
    assert "stock" in shop.told()[0]
    other.close()


def test_a_value_of_an_enum_that_gets_another_name_is_a_change(shop):
    """What a column of the type shows has changed, though no row was."""
    shop.connection.execute("CREATE TYPE kind AS ENUM ('new', 'old'); CREATE TABLE goods(id INT PRIMARY KEY, k kind)")
    install(shop, "--table", "goods:note/{id}")
    shop.told()
    assert shop.told("ALTER TYPE kind RENAME VALUE 'old' TO 'worn'") == ({"note"}, "")
    assert shop.told() == (set(), "")


def test_what_hides_rows_of_the_outbox_is_named(shop):
    """Row security and rules keep events from a reader or from the table."""
    for statement, back, problem in [
        ("ALTER TABLE parbake_outbox ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY", "row security"),
        ("CREATE RULE none AS ON INSERT TO parbake_outbox DO INSTEAD NOTHING", "", "a rule may keep"),
    ]:
        told, trouble = shop.told(statement)
        assert {"policy", "stock"} <= told
        assert problem in trouble
        shop.told(f"ALTER TABLE parbake_outbox {back}" if back else "DROP RULE none ON parbake_outbox")
        assert shop.told() == (set(), "")


def test_a_database_without_an_encoding_is_captured(server):
    """Texts of such a database (SQL_ASCII) are read as UTF-8."""
    server.sql("CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
    address = f"postgresql://postgres@127.0.0.1:{server.port}/bytes"
    with psycopg.connect(address, autocommit=True, client_encoding="utf8") as connection:
        connection.execute("CREATE TABLE policies(id TEXT PRIMARY KEY, days INT)")
        with contextlib.closing(open_capture(address)) as capture:
            capture.run(capture.install([parsed("policies")], app="app"))
        connection.execute("INSERT INTO policies VALUES ('gr\u00f6\u00dfe', 1)")
    source = PostgresqlSource(address, families=["policies"], views=[])
    assert "policies/gr\u00f6\u00dfe" in {event.subject for event in told_by(source)[0]}
    source.close()


def test_a_database_made_of_another_is_another_source(server, shop):
    """A copy in the same server is refused, since the rows that it lacks are unknown."""
    _, cursor = told_by(shop.source)
    shop.source.close()
    shop.connection.close()
    server.sql(f"CREATE DATABASE {shop.name}_copy TEMPLATE {shop.name}")
    copy = PostgresqlSource(f"{shop.address}_copy", families=["policy"], views=[])
    with pytest.raises(pb.errors.ForeignSource, match="is not the one this store was built from"):
        copy.read(cursor, 10)
    copy.close()


@pytest.mark.parametrize("password", ["hunter2%zz", "hun@ter2", "hunter2\udcff"])
def test_a_password_that_a_url_does_not_allow_is_not_shown(shop, password):
    """The URL is refused as a whole, with what to do."""
    url = shop.address.replace("postgres@", f"postgres:{password}@")
    source = PostgresqlSource(url, families=["policy"], views=[])
    for attempt in (lambda: open_capture(url), lambda: migration(url), lambda: source.read(b"", 1)):
        with pytest.raises(pb.errors.SourceError, match="percent-encode") as caught:
            attempt()
        assert "ter2" not in f"{caught.value} {caught.value.__cause__}"


def test_a_materialized_view_tells_nothing_by_itself(shop):
    """It shows what its last REFRESH has read, so that its own table would be captured in vain."""

    class Shown(pb.View):
        families = ("policy",)

        def days(self, name):
            self.entity(f"policy/{name}")
            return self.rows("SELECT days FROM shown WHERE id = :id", id=name)

    shop.connection.execute("CREATE MATERIALIZED VIEW shown AS SELECT * FROM policies")
    source = PostgresqlSource(shop.address, families=["policy"], views=[Shown])
    (sentence,) = source.untold()
    assert "shown" in sentence
    source.close()
    with pytest.raises(pb.errors.BadInput, match="in the transaction of its REFRESH"):
        shop.capture("shown:policy/{id}")


def test_nobody_waits_for_a_transaction_without_an_id(shop):
    """A program that has lost the id is not told that its change counts."""
    with pytest.raises(psycopg.errors.RaiseException, match="given NULL"):
        shop.connection.execute("SELECT parbake_wait(NULL)")
