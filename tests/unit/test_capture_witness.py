"""Triggers that were away for a while are noticed on SQLite, and what leaves them in place raises nothing."""

import contextlib
import importlib
import sqlite3
from unittest import mock

import pytest
from tests.unit.commands import invoke

import parbake as pb
import parbake_capture
from parbake.adapters.sqlite import SqliteSource, keep_in_wal
from parbake.lanes.event import log_reader
from parbake_capture.opening import open_capture
from parbake_capture.sqlite_triggers import SqliteCapture
from parbake_capture.tables import parsed

TABLES = """
CREATE TABLE policies(id TEXT PRIMARY KEY, days INT, code TEXT);
CREATE TABLE notes(id INTEGER PRIMARY KEY, policy TEXT REFERENCES policies);
CREATE TABLE plain(id INTEGER PRIMARY KEY, word TEXT);
INSERT INTO policies VALUES ('a', 1, 'x'), ('b', 2, 'y');
INSERT INTO notes VALUES (1, 'a');
"""
CAPTURED = ("policies:policy/{id},catalog", "notes:note/{id}")
FAMILIES = {"policies": {"policy", "catalog"}, "notes": {"note"}}
CHANGES = {"policies": "UPDATE policies SET days = days + 1;", "notes": "UPDATE notes SET policy = 'b';"}
HARMLESS = (
    "VACUUM", "ANALYZE", "REINDEX", "CREATE TABLE unrelated{n}(id INT PRIMARY KEY)",
    "CREATE INDEX by_days{n} ON policies(days)", "CREATE VIEW shown{n} AS SELECT id FROM policies",
    "CREATE TRIGGER own{n} AFTER UPDATE ON policies BEGIN SELECT 1; END",
    "ALTER TABLE plain ADD extra{n} INT DEFAULT 3",
    "ALTER TABLE plain RENAME TO moved; ALTER TABLE moved RENAME TO plain", "ALTER TABLE plain DROP COLUMN extra{n}",
    "DROP TRIGGER own{n}; DROP VIEW shown{n}; DROP INDEX by_days{n}; DROP TABLE unrelated{n}",
    "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA auto_vacuum = FULL; VACUUM", "PRAGMA optimize", "VACUUM",
)  # fmt: skip
"""What an operator may do with a file, and leaves the triggers of the captured tables where they are."""


class Shop:
    """A captured file, and servers that hear it."""

    def __init__(self, path):
        """Create the file."""
        self.path = path
        self.url = f"sqlite:///{path}"
        self.connection = sqlite3.connect(path, isolation_level=None)
        keep_in_wal(self.connection)
        self.connection.executescript(TABLES)
        self.capture(*CAPTURED)
        self.store = pb.App(pb.Registry()).engine.store
        self.sources = []
        self.begin()

    def begin(self):
        """Hear the file as a process does that has just started."""
        families = ["policy", "catalog", "note", "other"]
        self.sources.append(SqliteSource(self.path, families=families, views=[]))
        self.app = pb.App(pb.Registry(), events=[self.sources[-1]], store=self.store, worker="none")

    def capture(self, *tables):
        """Capture tables; without any, repair."""
        with contextlib.closing(open_capture(self.url)) as capture:
            named = list(map(parsed, tables))
            capture.run(capture.install(named, app="app") if named else capture.repair(app="app").statements)

    def objects(self, pattern):
        """The names and statements of what is in the schema, in the order in which it was made."""
        made = "SELECT name, sql FROM sqlite_master WHERE name GLOB ? ORDER BY rowid"
        return self.connection.execute(made, (pattern,)).fetchall()

    def lose(self, *tables):
        """Drop the triggers of tables, change rows, and make the same triggers again, in one transaction."""
        triggers = [made for table in tables for made in self.objects(f"parbake_capture_{table}_*")]
        assert triggers
        drops = "".join(f"DROP TRIGGER {name};" for name, _ in triggers)
        change = "".join(CHANGES[table] for table in tables)
        made = "".join(f"{text};" for _, text in triggers)
        self.connection.executescript(f"BEGIN IMMEDIATE; {drops} {change} {made} COMMIT")

    async def raised(self, statement=""):
        """Run statements; return the families raised since."""
        self.connection.executescript(statement)
        ack = await self.app.drain()
        return {tag.partition("/")[0] for tag in ack.raised} if ack else set()

    def close(self):
        """Close everything."""
        for source in self.sources:
            source.close()
        self.connection.close()


@pytest.fixture
async def shop(tmp_path):
    """Return a captured shop whose outbox is read."""
    made = Shop(tmp_path / "shop.db")
    await made.raised()
    assert await made.raised() == set()
    yield made
    made.close()


async def lost_triggers_are_noticed(shop, rounds=3):
    """Assert that triggers that were away raise the families of their table, and only those."""
    for number in range(rounds):
        tables = [("policies",), ("notes",), ("policies", "notes")][number % 3]
        for _ in range(1 + number % 2):
            shop.lose(*tables)
        if number % 4 == 1:
            shop.connection.execute(f"CREATE TABLE other{number}(id INTEGER PRIMARY KEY)")
            shop.capture(f"other{number}:other/{{id}}")
        if number % 5 == 2:
            shop.begin()
        expected = set().union(*(FAMILIES[table] for table in tables))
        told = await shop.raised()
        assert told - {"other"} == expected, number
        assert await shop.raised() >= expected, number  # until somebody has looked
        shop.capture()
        assert await shop.raised() == expected, number
        assert await shop.raised() == set(), number
        assert shop.app.counters.untold["shop"] == ""


async def what_is_harmless_raises_nothing(shop, rounds=1):
    """Assert that maintenance, other tables, and an installation that changes nothing raise no family."""
    for number in range(rounds):
        for statement in HARMLESS:
            assert await shop.raised(statement.format(n=number)) == set(), statement
            (version,) = shop.connection.execute("PRAGMA schema_version").fetchone()
            shop.capture(*CAPTURED)
            shop.capture()
            parbake_capture.install(shop.url, CAPTURED[0])
            assert shop.connection.execute("PRAGMA schema_version").fetchone() == (version,)
            assert await shop.raised() == set(), f"an installation after {statement}"
        shop.begin()
        assert await shop.raised() == set(), "another process"


async def a_capture_beside_raises_its_own_family(shop):
    """Assert that the capture of a second table raises no family of the first."""
    for number in range(3):
        shop.connection.execute(f"CREATE TABLE beside{number}(id INTEGER PRIMARY KEY)")
        shop.capture(f"beside{number}:other/{{id}}")
        assert await shop.raised() == {"other"}
        assert await shop.raised() == set()


async def altered_columns_are_noticed(shop):
    """Assert that a column that was dropped or added raises the families of its table."""
    for statement in ("ALTER TABLE policies DROP COLUMN code", "ALTER TABLE policies ADD more INT DEFAULT 3"):
        assert await shop.raised(statement) == FAMILIES["policies"], statement
        assert await shop.raised() == set()


@pytest.mark.parametrize("rounds", [12, pytest.param(200, marks=pytest.mark.slow)])
async def test_triggers_that_were_away_within_a_transaction_raise_their_families(shop, rounds):
    """Each time, also twice in a row, beside another capture, and in a process that starts later."""
    await lost_triggers_are_noticed(shop, rounds)
    assert await shop.raised() == set()


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
async def test_what_leaves_triggers_in_place_raises_nothing(shop, rounds):
    """Maintenance, other tables, and an installation that changes nothing raise no family."""
    await what_is_harmless_raises_nothing(shop, rounds)
    assert invoke("capture", "capture", "install", shop.url, "--apply").exit_code == 0
    assert await shop.raised() == set()


async def test_a_capture_beside_raises_its_own_family(shop):
    """Capturing a second table raises no family of the first."""
    await a_capture_beside_raises_its_own_family(shop)


async def test_a_column_that_was_dropped_raises_the_family(shop):
    """A changed list of columns raises the families of that table, once."""
    await altered_columns_are_noticed(shop)


async def test_maintenance_hides_no_trigger_that_was_away(shop):
    """Triggers that were away are noticed after a VACUUM, too, which numbers everything anew."""
    for statement in ("VACUUM", "ANALYZE; VACUUM", "CREATE TABLE more(id INT); VACUUM; DROP TABLE more; VACUUM"):
        shop.lose("policies")
        assert await shop.raised(statement) == FAMILIES["policies"], statement
        assert "triggers of policies" in shop.app.counters.untold["shop"]
        shop.capture()
        assert await shop.raised(statement) == FAMILIES["policies"]
        assert await shop.raised() == set()


async def test_a_table_that_was_made_again_raises_its_families_until_it_is_captured(shop):
    """A table that was dropped and made again is not captured, whether or not somebody makes its triggers again."""
    triggers = ";".join(made for _, made in shop.objects("parbake_capture_policies_*"))
    made = "DROP TABLE policies; CREATE TABLE policies(id TEXT PRIMARY KEY, days INT, code TEXT)"
    for statement in (made, "", triggers, ""):
        assert await shop.raised(f"PRAGMA foreign_keys = off; {statement}") == FAMILIES["policies"], statement
    shop.capture()
    assert await shop.raised() == FAMILIES["policies"]
    assert await shop.raised() == set()


async def test_an_installation_makes_only_what_differs(shop):
    """The statements for a captured table are none, and for one lost trigger those of that trigger and a guard."""
    with contextlib.closing(open_capture(shop.url)) as capture:
        before = capture.install([], app="app")
        assert capture.install(list(map(parsed, CAPTURED)), app="app") == before
        shop.connection.execute("DROP TRIGGER parbake_capture_policies_delete")
        statements = capture.repair(app="app").statements[len(before) :]
        assert [s.split()[2] for s in statements if s.startswith("CREATE TRIGGER")] == [
            '"parbake_capture_policies_delete"'
        ]
        assert sum(s.startswith("CREATE VIEW") for s in statements) == 1
        assert not any(s.startswith("DROP TRIGGER") for s in statements)
        capture.run(statements)
    assert len(shop.objects("parbake_guard_*")) == len(CAPTURED)
    assert await shop.raised() == FAMILIES["policies"]
    assert await shop.raised() == set()


async def test_a_table_that_is_not_captured_any_more_leaves_nothing(shop):
    """The guard is removed with the triggers, and a table that is captured again raises its families."""
    with contextlib.closing(open_capture(shop.url)) as capture:
        capture.run(capture.remove([], app="app"))
    assert shop.objects("parbake_guard_*") == []
    assert await shop.raised() == set()
    shop.connection.execute("UPDATE policies SET days = days + 1")
    shop.capture(CAPTURED[0])
    assert await shop.raised() == FAMILIES["policies"]


async def test_triggers_of_the_version_before_are_read_by_the_version_of_the_schema(shop):
    """Without guards any change of the schema raises the families, as before, and servers name the command."""
    shop.connection.executescript(";".join(f"DROP VIEW {name}" for name, _ in shop.objects("parbake_guard_*")))
    assert await shop.raised() == {"policy", "catalog", "note"}
    assert await shop.raised() == set()
    assert shop.app.counters.untold["shop"] == ""
    (condition,) = [one for one in (await shop.app.ready()).conditions if one.kind == "changes_untold"]
    assert "parbake capture install" in condition.message
    assert "every poll" not in condition.message
    assert invoke("capture", "capture", "check", shop.url).exit_code == 1
    shop.lose("policies")
    assert await shop.raised() == {"policy", "catalog", "note"}
    assert await shop.raised() == set()
    shop.capture()
    assert await shop.raised() == {"policy", "catalog", "note"}
    assert await shop.raised("VACUUM") == set()
    assert invoke("capture", "capture", "check", shop.url).exit_code == 0
    assert not [one for one in (await shop.app.ready()).conditions if one.kind == "changes_untold"]


@pytest.mark.parametrize("seen", [b"17", b"", b"not JSON", b'["a"]', None])
async def test_a_store_that_saw_another_kind_of_state_raises_everything_once(shop, seen):
    """What the version before has noted of a file, or nothing, raises all captured families once."""
    await shop.raised("UPDATE policies SET days = 5")
    name = "event/schema/shop"
    assert await shop.store.swap(name, await shop.store.get(name), seen)
    shop.begin()
    assert await shop.raised() == {"policy", "catalog", "note"}
    assert await shop.raised() == set()


async def test_what_another_process_saw_counts(shop):
    """A change of the columns that one process saw and another one did not is not forgotten when it is undone."""
    first = shop.app
    shop.begin()
    assert await shop.raised() == set()
    assert await shop.raised("ALTER TABLE policies ADD more INT") == FAMILIES["policies"]
    shop.connection.execute("ALTER TABLE policies DROP COLUMN more")
    shop.app = first
    assert await shop.raised() == FAMILIES["policies"]


async def test_two_installations_at_once_leave_a_file_that_is_captured(shop):
    """Statements that were made before another installation ran either fail, or leave nothing that goes untold."""
    shop.connection.executescript(";".join(f"DROP VIEW {name}" for name, _ in shop.objects("parbake_guard_*")))
    with contextlib.closing(open_capture(shop.url)) as one, contextlib.closing(open_capture(shop.url)) as other:
        both = [(each, each.repair(app="app").statements) for each in (one, other)]
        for each, statements in both:
            each.run(statements)
        assert [state.problem for state in one.states()] == ["", ""]
    assert await shop.raised() == {"policy", "catalog", "note"}
    assert await shop.raised() == set()


async def test_a_trigger_that_is_lost_before_an_installation_runs_is_noticed(shop):
    """Statements count on the triggers that were there when they were made, and a lost one is a problem afterwards."""
    with contextlib.closing(open_capture(shop.url)) as capture:
        shop.connection.execute("DROP TRIGGER parbake_capture_policies_delete")
        statements = capture.repair(app="app").statements
        shop.connection.execute("DROP TRIGGER parbake_capture_policies_update")
        capture.run(statements)
    for _ in range(3):
        assert await shop.raised() == FAMILIES["policies"]
    assert "missing or altered" in shop.app.counters.untold["shop"]
    shop.capture()
    assert await shop.raised() == FAMILIES["policies"]
    assert await shop.raised() == set()


@pytest.mark.parametrize(
    "declared",
    ["id TEXT COLLATE NOCASE", 'id TEXT NOT NULL COLLATE "rtrim"', "[id] TEXT /* , */ DEFAULT ',' collate nocase"],
)
async def test_a_column_that_compares_texts_as_equal_is_refused_without_an_index(shop, declared):
    """The collation of the column itself counts, whether or not an index has it."""
    shop.connection.execute(f"CREATE TABLE loose(n INTEGER PRIMARY KEY, {declared}, x TEXT)")
    with pytest.raises(pb.BadInput, match="compares texts that differ as equal"):
        shop.capture("loose:other/{id}")
    shop.capture("loose:other/{n}-{x}")


@pytest.mark.parametrize(
    "declared",
    [
        "id TEXT COLLATE BINARY", "id TEXT, x TEXT COLLATE NOCASE", "id TEXT CHECK (id COLLATE NOCASE <> 'x')",
        "x TEXT COLLATE NOCASE, id TEXT -- COLLATE NOCASE\n", "id TEXT DEFAULT 'a COLLATE NOCASE'",
    ],
)  # fmt: skip
async def test_a_column_that_compares_by_bytes_is_captured(shop, declared):
    """Collations of other columns, of conditions, and in comments and texts do not matter."""
    shop.connection.execute(f"CREATE TABLE strict(n INTEGER PRIMARY KEY, {declared})")
    shop.capture("strict:other/{id}")
    captured = shop.connection.execute("SELECT relation FROM parbake_capture").fetchall()
    assert ("strict",) in captured


def without_order(stack):
    """The order of triggers and guards is not looked at."""
    planted(stack, "is_in_order", lambda triggers, guards: True)


def one_guard_for_all(stack):
    """All tables share one guard, which the capture of any of them makes again."""
    planted(stack, "guard_prefix", lambda relation: "parbake_guard_all_")
    planted(stack, "state_of", lambda guards, made: made)


def without_columns(stack):
    """The state of a table leaves out its statement, and thus its columns."""
    planted(stack, "state_of", lambda guards, made: f"{guards}")


def version_of_the_schema(stack):
    """The state of a table is the version of the schema, whatever has changed."""
    planted(stack, "has_guard", lambda guards: False)


def equal_triggers_made_again(stack):
    """An installation makes triggers again that are there already."""
    stack.enter_context(mock.patch.object(SqliteCapture, "_is_installed", return_value=False))


def one_state_for_all(stack):
    """A table whose state differs raises the families of all tables."""

    def doubted_tables(extent, seen):
        return {*extent.states} if dict(extent.states) != seen else set()

    stack.enter_context(mock.patch.object(log_reader, "_doubted_tables", doubted_tables))


def first_state_only(stack):
    """A process compares the states with what the store has seen once, when it starts."""
    stack.enter_context(mock.patch.object(log_reader, "_has_other_schema", lambda known, extent: known == ""))


def planted(stack, name, replacement):
    """Replace a function that says what the state of a captured table is."""
    module = importlib.import_module("parbake.adapters._sqlite_captured")
    stack.enter_context(mock.patch.object(module, name, replacement))


MUTANTS = {
    without_order: lost_triggers_are_noticed,
    one_guard_for_all: lost_triggers_are_noticed,
    first_state_only: altered_columns_are_noticed,
    without_columns: altered_columns_are_noticed,
    version_of_the_schema: what_is_harmless_raises_nothing,
    equal_triggers_made_again: what_is_harmless_raises_nothing,
    one_state_for_all: a_capture_beside_raises_its_own_family,
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
async def test_a_planted_fault_is_found(tmp_path, mutant):
    """Each fault in the rule is found by the oracle for what it breaks."""
    with contextlib.ExitStack() as stack:
        mutant(stack)
        made = Shop(tmp_path / "shop.db")
        stack.callback(made.close)
        await made.raised()
        with pytest.raises(AssertionError):
            await MUTANTS[mutant](made)
