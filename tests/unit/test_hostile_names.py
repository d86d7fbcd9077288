"""Names that would break out of a statement of SQLite: they are captured as what they are, or refused in words."""

import contextlib
import sqlite3

import pytest

from parbake.adapters._sqlite_columns import quoted
from parbake.adapters.sqlite import prune
from parbake.errors import BadInput
from parbake.protocol.table_names import table_name
from parbake_capture.sqlite_triggers import SqliteCapture
from parbake_capture.tables import Captured, is_template, parsed

HOSTILE = [
    'x"; DROP TABLE witness; --',
    "x'; DROP TABLE witness; --",
    "x'); DROP TABLE witness; --",
    "] ; DROP TABLE witness; --",
    "` ; DROP TABLE witness; --",
    "a\\' OR true --",
    "?1 :a @b $c %s",
    "select",
    "Größe x/y * ,",
    "line\nbreak",
    "x" * 300,
]


@pytest.fixture
def file():
    """Return a database with a table that must stay."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE witness(id INT)")
        yield connection
        assert connection.execute("SELECT count(*) FROM witness").fetchone() == (0,)


def capture(file, *tables):
    """Capture tables."""
    capturing = SqliteCapture(file)
    capturing.run(capturing.install(tables, app="a'pp"))
    return capturing


def told(file):
    """Return the subjects told since the last call."""
    found = {subject for (subject,) in file.execute("SELECT subject FROM parbake_outbox")}
    file.execute("DELETE FROM parbake_outbox")
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_a_name_in_every_statement(file, name):
    """A table, columns and indexes of a hostile name are captured, told, repaired, pruned and released."""
    table = quoted(name)
    file.execute(f"CREATE TABLE {table}(id TEXT PRIMARY KEY, {table} TEXT UNIQUE DEFAULT 'x')")
    file.execute(f"CREATE UNIQUE INDEX {quoted(name + '2')} ON {table}(lower({table}))")
    wanted = Captured(name, ("safe/it's\\{id}",))
    capturing = capture(file, wanted)
    assert told(file) == set()
    file.execute(f"INSERT INTO {table} VALUES ('1', 'a'), ('2', 'b')")
    assert told(file) - {"safe"} == {"safe/it's\\1", "safe/it's\\2"}
    file.execute(f"UPDATE {table} SET {table} = 'c' WHERE id = '1'")
    assert told(file) - {"safe"} == {"safe/it's\\1"}
    for (trigger,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        file.execute(f"DROP TRIGGER {quoted(trigger)}")
    assert capturing.states()[0].problem
    capturing.run(capturing.repair(app="a'pp").statements)
    assert [state.problem for state in capturing.states()] == [""]
    file.execute("BEGIN")
    assert prune(file, 10**9) > 0
    file.execute("COMMIT")
    capturing.run(capturing.remove([name], app="a'pp"))
    file.execute(f"DELETE FROM {table}")
    assert capturing.states() == []
    assert told(file) == set()


@pytest.mark.parametrize("name", [name for name in HOSTILE if not set(name) & set("]:\n")])
def test_a_key_of_a_hostile_name_spells_its_tag(file, name):
    """A primary key of a hostile name makes the right tags."""
    file.execute(f"CREATE TABLE safe({quoted(name)} TEXT PRIMARY KEY)")
    capture(file, Captured("safe", ()))
    file.execute("INSERT INTO safe VALUES ('1')")
    assert told(file) == {"safe/1"}


@pytest.mark.parametrize("column", ["a{b}", "a}b", "{", "a!r", "a.b", "a:b", "a[b", "line\nbreak", ""])
def test_a_key_that_no_template_can_name_is_refused(file, column):
    """A key whose name would change the template of its tag is refused, and the error says what to do."""
    file.execute(f"CREATE TABLE safe({quoted(column)} TEXT PRIMARY KEY)")
    with pytest.raises(BadInput, match=r"(?s)--table safe.*name its tags, as in"):
        capture(file, Captured("safe", ()))


@pytest.mark.parametrize("table", ["a{b}", "x/y", "*", "Safe", "a b", "9", 'say "hi"', "größe", "a.b c"])
def test_a_table_whose_name_makes_no_family_is_refused(file, table):
    """A table after which no family can be called is refused by its name, and the error says how to name a tag."""
    file.execute(f"CREATE TABLE {quoted(table)}(id TEXT PRIMARY KEY)")
    with pytest.raises(BadInput, match="name its tags, as in") as refused:
        capture(file, Captured(table, ()))
    assert table in str(refused.value)
    capture(file, parsed(f"{table}:safe/{{id}}"))
    file.execute(f"INSERT INTO {quoted(table)} VALUES ('1')")
    assert told(file) == {"safe/1"}


def test_the_triggers_of_two_tables_never_have_one_name(file):
    """A table whose name ends as the name of another table's trigger begins has triggers of its own."""
    for table in ("a", "a_replace_by"):
        file.execute(f"CREATE TABLE {table}(id INTEGER PRIMARY KEY, n INT)")
        capturing = capture(file, parsed(f"{table}:{table}/{{id}}"))
    assert [state.problem for state in capturing.states()] == ["", ""]
    file.execute("INSERT INTO a VALUES (1, 1)")
    file.execute("INSERT INTO a_replace_by VALUES (2, 1)")
    told(file)
    file.execute("UPDATE a SET n = 2")
    assert told(file) == {"a/1"}
    file.execute("UPDATE a_replace_by SET n = 2")
    assert told(file) == {"a_replace_by/2"}


@pytest.mark.parametrize(
    ("relation", "name"),
    [
        ("a", "a"),
        ("s.a", "a"),
        ('"s.t"."a.b"', "a.b"),
        ('s."say ""hi"""', 'say "hi"'),
        ('say "hi"', 'say "hi"'),
    ],
)
def test_the_name_of_a_table_is_told_from_its_schema(relation, name):
    """A point and a quote within quotes belong to the name."""
    assert table_name(relation) == name


@pytest.mark.parametrize(
    "template", ["po/{id", "po/id}", "po/{", "po/{}", "po/{{id}}", "po/{a{b}}", "{id}/x", "po/{a:b}"]
)
def test_a_malformed_template_is_none(template):
    """What some reader of templates would cut otherwise is refused where it is typed."""
    assert not is_template(template)
