"""Templates of captured tables, and ``parbake capture`` on SQLite, whoever writes to the file."""

import asyncio
import contextlib
import shutil
import sqlite3
import subprocess

import pytest
from tests.unit.commands import invoke

import parbake as pb
from parbake.adapters.sqlite import SqliteSource, keep_in_wal
from parbake_capture.opening import open_capture
from parbake_capture.tables import parsed, pieces

TABLES = """
CREATE TABLE policies(id TEXT PRIMARY KEY, days INT, code TEXT UNIQUE);
CREATE TABLE notes(id INTEGER PRIMARY KEY, policy TEXT REFERENCES policies ON DELETE CASCADE);
CREATE TABLE pairs(a INT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO policies VALUES ('a', 1, 'x'), ('b', 2, 'y'), ('white space', 3, 'z');
INSERT INTO notes VALUES (1, 'a');
INSERT INTO pairs VALUES (1, 'q');
"""
CAPTURED = ("policies:policy/{id},catalog", "notes:note/{id}", "pairs:pair/{a}-{b}")
CHANGES = {
    "INSERT INTO policies VALUES ('c', 1, 'p'), ('d', 2, 'q')": "policy/c policy/d catalog",
    "UPDATE policies SET days = 9 WHERE id = 'white space'": "policy/white%20space catalog",
    "UPDATE policies SET id = 'e' WHERE id = 'b'": "policy/b policy/e catalog",
    "DELETE FROM policies WHERE id = 'a'": "policy/a catalog note/1",
    "DELETE FROM notes": "note/1",
    "INSERT OR REPLACE INTO policies VALUES ('new', 1, 'y')": "policy/new policy/b catalog",
    "UPDATE OR REPLACE policies SET code = 'y' WHERE id = 'white space'": "policy/b policy/white%20space catalog",
    "INSERT INTO policies VALUES ('b', 1, 'k') ON CONFLICT(id) DO UPDATE SET days = 7": "policy/b catalog",
    "REPLACE INTO pairs VALUES (1, 'q')": "pair/1-q",
    "INSERT INTO policies VALUES ('', 1, NULL)": "policy catalog",
    "INSERT INTO policies VALUES (x'00ff', 1, NULL)": "policy catalog",
    "UPDATE policies SET days = 1 WHERE 0": "",
    "INSERT INTO parbake_outbox(id, subject, type, time) VALUES ('1', 'policy/by-hand', 'x.changed', 1)": (
        "policy/by-hand"
    ),
}


class Shop:
    """A captured file, and an app that hears it."""

    def __init__(self, path):
        """Create the file."""
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)
        keep_in_wal(self.connection)
        self.connection.execute("PRAGMA foreign_keys = on")
        self.connection.executescript(TABLES)
        self.capture(*CAPTURED)
        self.store = pb.App(pb.Registry()).engine.store
        self.source = None
        self.begin()

    def begin(self):
        """Hear the file as a process does that has just started."""
        if self.source:
            self.source.close()
        self.source = SqliteSource(self.path, families=["policy", "catalog", "note", "pair"], views=[])
        self.app = pb.App(pb.Registry(), events=[self.source], store=self.store, worker="none")

    def capture(self, *tables):
        """Capture tables."""
        with contextlib.closing(open_capture(f"sqlite:///{self.path}")) as capture:
            capture.run(capture.install(list(map(parsed, tables)), app="app"))

    async def told(self, statement=""):
        """Run statements; return the tags raised since, without those of whole sets."""
        self.connection.executescript(statement)
        ack = await self.app.drain()
        return {tag for tag in ack.raised if not tag.endswith("/*")} if ack else set()


@pytest.fixture
async def shop(tmp_path):
    """Return a captured shop whose outbox is read."""
    made = Shop(tmp_path / "shop.db")
    await made.told()
    yield made
    made.source.close()
    made.connection.close()


@pytest.mark.parametrize(("statement", "expected"), CHANGES.items())
async def test_every_way_to_change_a_row_is_told(shop, statement, expected):
    """Each statement raises the tags of the rows that it has changed, before and after, and no other tag."""
    assert await shop.told(statement) == set(expected.split())
    assert await shop.told() == set()


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3 on this machine")
async def test_another_program_is_told_too(shop):
    """A change that the shell of SQLite makes is told like any other."""
    change = ["sqlite3", shop.path, "UPDATE policies SET days = 5 WHERE id = 'a'"]
    await asyncio.to_thread(subprocess.run, change, check=True)
    assert await shop.told() == {"policy/a", "catalog"}


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DROP TRIGGER parbake_capture_policies_update", "triggers of policies"),
        ("ALTER TABLE policies RENAME COLUMN id TO name", "triggers of policies"),
        ("DROP TABLE policies", "does not exist"),
        ("ALTER TABLE policies RENAME TO old; CREATE TABLE policies(id TEXT)", "triggers of policies"),
    ],
)
async def test_a_gap_raises_the_family_until_it_is_closed(shop, statement, problem):
    """While changes could go untold, each poll raises the family, and servers say why."""
    shop.connection.execute("PRAGMA foreign_keys = off")
    for sent in (statement, "", ""):
        assert {"policy", "catalog"} <= await shop.told(sent)
    (condition,) = [one for one in (await shop.app.ready()).conditions if one.kind == "changes_untold"]
    assert problem in condition.message
    if "DROP TABLE" not in statement:
        shop.capture("policies:policy/{name},catalog" if "COLUMN" in statement else CAPTURED[0])
        assert {"policy", "catalog"} <= await shop.told()
        assert await shop.told() == set()
        assert shop.app.counters.untold["shop"] == ""


async def test_a_schema_that_changed_while_nobody_read_raises_the_families(shop):
    """A process that starts after the triggers were dropped and made again raises what it may have missed."""
    shop.begin()
    assert await shop.told() == set()
    (made,) = shop.connection.execute(
        "SELECT sql FROM sqlite_master WHERE name = 'parbake_capture_policies_update'"
    ).fetchone()
    shop.connection.executescript(f"DROP TRIGGER parbake_capture_policies_update; UPDATE policies SET days = 5; {made}")
    shop.begin()
    assert {"policy", "catalog"} <= await shop.told()
    assert "made again by another hand" in shop.app.counters.untold["shop"]
    shop.capture(CAPTURED[0])
    assert {"policy", "catalog"} <= await shop.told()
    assert await shop.told() == set()
    assert shop.app.counters.untold["shop"] == ""


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("nowhere:policy/{id}", "no such table"),
        ("policies:policy/{name}", "no column 'name'"),
        ("shown:policy/{id}", "is made"),
        ("log", "no primary key"),
        ("loose", "compares texts that differ as equal"),
    ],
)
def test_what_cannot_be_captured_is_refused(tmp_path, table, message):
    """A table without a key, a view, an unknown column and a column without regard to case are named."""
    shop = Shop(tmp_path / "shop.db")
    shop.connection.executescript(
        "CREATE VIEW shown AS SELECT * FROM policies; CREATE TABLE log(at REAL);"
        "CREATE TABLE loose(id TEXT PRIMARY KEY COLLATE NOCASE)"
    )
    with pytest.raises(pb.BadInput, match=message):
        shop.capture(table)
    shop.connection.close()


@pytest.mark.parametrize(
    "text",
    [":policy/{id}", "policies:Policy/{id}", "policies:{id}/x", "policies:p/{{id}}", "policies:p/{a.b}", "t:p/{"],
)
def test_a_template_that_makes_no_tag_is_refused(text):
    """The error names the option and shows a template that would do."""
    with pytest.raises(pb.errors.ParbakeError):
        parsed(text)


def test_a_template_is_cut_into_text_and_columns():
    """The parts come in order; without templates the primary key is taken later."""
    assert pieces("stock/{shop}-{item}") == [("text", "stock/"), ("column", "shop"), ("text", "-"), ("column", "item")]
    assert parsed("policies").tags == ()
    assert parsed("prices:product/{asin}, catalog").families == ("product", "catalog")


def test_the_commands_install_show_check_and_remove(tmp_path):
    """Nothing is executed without --apply; afterwards the tables are shown, checked and removed."""
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES)
    database = f"sqlite:///{path}"
    dry = invoke("capture", "capture", "install", database, "--table", "notes")
    assert (dry.exit_code, "CREATE TRIGGER" in dry.stdout) == (0, True)
    checked = invoke("capture", "capture", "check", database)
    assert (checked.exit_code, "nothing is captured" in checked.output) == (1, True)
    assert "notes" in invoke("capture", "capture", "install", database, "--table", "notes", "--apply").output
    assert invoke("capture", "capture", "check", database).output == "all changes of notes are told\n"
    assert "notes/{id}" in invoke("capture", "capture", "show", database).output
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER parbake_capture_notes_delete")
    assert invoke("capture", "capture", "check", database).exit_code == 1
    assert invoke("capture", "capture", "install", database, "--apply").exit_code == 0
    assert invoke("capture", "capture", "check", database).exit_code == 0
    assert "DROP TRIGGER" in invoke("capture", "capture", "remove", database).stdout
    assert invoke("capture", "capture", "remove", database, "--apply").output == "removed\n"
    assert invoke("capture", "capture", "remove", database, "--table", "notes").exit_code == 1
    assert invoke("capture", "capture", "show", database).output == "nothing is captured\n"


@pytest.mark.parametrize("url", ["mysql://shop:secret@host/db", "sqlite:///missing.db", "shop.db"])
def test_a_database_that_cannot_be_captured_is_named(url):
    """The error shows neither a password nor a traceback."""
    failed = invoke("capture", "capture", "show", url)
    assert failed.exit_code == 1
    assert "secret" not in str(failed.exception)
    assert isinstance(failed.exception, pb.errors.ParbakeError)


async def test_a_table_that_an_app_declares_is_never_untold(shop):
    """A source that names its captured tables raises the families of those whose triggers are gone or raise less."""
    declared = {"policies": ["policy/{id}", "catalog"], "pairs": ["pair/{a}"]}
    source = SqliteSource(shop.path, families=["policy", "catalog", "note", "pair"], views=[], captured=declared)
    app = pb.App(pb.Registry(), events=[source], worker="none")
    for _ in range(3):
        ack = await app.drain()
    assert {name.partition("/")[0] for name in ack.raised} == {"pair"}
    assert "changes of pairs as this app declares it" in app.counters.untold["shop"]
    with contextlib.closing(open_capture(f"sqlite:///{shop.path}")) as capture:
        capture.run(capture.remove([], app="app"))
    for _ in range(3):
        ack = await app.drain()
    assert {name.partition("/")[0] for name in ack.raised} == {"pair", "policy", "catalog"}
    assert invoke("capture", "capture", "remove", f"sqlite:///{shop.path}", "--apply").exit_code == 1
    await app.close()


def test_a_table_that_nobody_tells_of_is_named(tmp_path):
    """A table that a view reads is named until it is captured or emitted by hand, also behind a database view."""

    class Offers(pb.View):
        families = ("policy",)

        def terms(self, name):
            self.entity(f"policy/{name}")
            return [self.rows(f"SELECT {column} FROM offers, pairs WHERE id = :id", id=name) for column in ("days",)]

    shop = Shop(tmp_path / "shop.db")
    shop.connection.executescript(
        "CREATE TABLE discounts(policy TEXT PRIMARY KEY, percent INT);"
        "CREATE VIEW offers AS SELECT p.*, percent FROM policies p JOIN discounts d ON d.policy = p.id"
    )
    source = SqliteSource(shop.path, families=["policy"], views=[Offers])
    told_by_hand = SqliteSource(shop.path, families=["policy"], views=[Offers], uncaptured=["discounts"])
    (sentence,) = source.untold()
    assert "reads the table discounts" in sentence
    assert told_by_hand.untold() == []
    shop.capture("discounts:policy/{policy}")
    assert source.untold() == []
    source.close()
    told_by_hand.close()
    shop.connection.close()
