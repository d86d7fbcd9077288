"""REPLACE on a captured table of SQLite deletes rows that no trigger sees, and their tags are raised all the same."""

import contextlib
import random
import sqlite3

import pytest
from tests.unit.commands import invoke

import parbake as pb
import parbake_capture
from parbake.adapters.sqlite import SqliteSource, keep_in_wal
from parbake_capture.opening import open_capture
from parbake_capture.tables import parsed

ROWS = "INSERT INTO policies(id, days) VALUES ('returns', 30), ('refunds', 14);"
SLOTS = "INSERT INTO policies VALUES ('returns', 30, 1), ('refunds', 14, 2);"
MAILS = "INSERT INTO policies VALUES ('returns', 30, 'A@x'), ('refunds', 14, 'b@x');"


def declare(columns="", rest="", rows=SLOTS):
    """Return the statements that make a table of policies."""
    return f"CREATE TABLE policies(id TEXT PRIMARY KEY, days INTEGER{columns}){rest}; {rows}"


DEFAULT = declare(", slot INTEGER NOT NULL DEFAULT 1 UNIQUE")
TEXT_DEFAULT = declare(", slot TEXT NOT NULL DEFAULT 'it''s'", rows="") + (
    "CREATE UNIQUE INDEX u ON policies(slot); INSERT INTO policies VALUES ('returns', 30, 'it''s'), ('refunds', 14, '')"
)
TWO = declare(", a INT NOT NULL DEFAULT -1, b INT NOT NULL DEFAULT +2, UNIQUE (a, b)", rows="") + (
    "INSERT INTO policies VALUES ('returns', 30, -1, 2), ('refunds', 14, 5, 6)"
)
INDEXED_NOCASE = declare(", mail TEXT", rows="CREATE UNIQUE INDEX u ON policies(mail COLLATE NOCASE);" + MAILS)
INDEXED_RTRIM = declare(", mail TEXT", rows="CREATE UNIQUE INDEX u ON policies(mail COLLATE RTRIM);" + MAILS)
KEYLESS = "CREATE TABLE policies(id TEXT, days INTEGER); " + ROWS
SHADOWED = declare(", rowid TEXT, _rowid_ TEXT", rows=ROWS)
EXACT = {
    "a default, inserted": (DEFAULT, "INSERT OR REPLACE INTO policies VALUES ('new', 5, NULL)"),
    "a default, updated": (DEFAULT, "UPDATE OR REPLACE policies SET slot = NULL WHERE id = 'refunds'"),
    "a text, inserted": (TEXT_DEFAULT, "INSERT OR REPLACE INTO policies VALUES ('new', 5, NULL)"),
    "a text, updated": (TEXT_DEFAULT, "UPDATE OR REPLACE policies SET slot = NULL WHERE id = 'refunds'"),
    "two defaults, inserted": (TWO, "INSERT OR REPLACE INTO policies VALUES ('new', 5, NULL, NULL)"),
    "two defaults, updated": (TWO, "UPDATE OR REPLACE policies SET a = NULL, b = NULL WHERE id = 'refunds'"),
    "a rowid, inserted": (declare(rows=ROWS), "INSERT OR REPLACE INTO policies(rowid, id, days) VALUES (1, 'new', 5)"),
    "a rowid, updated": (declare(rows=ROWS), "UPDATE OR REPLACE policies SET rowid = 1 WHERE id = 'refunds'"),
    "a rowid of no key, inserted": (KEYLESS, "INSERT OR REPLACE INTO policies(rowid, id) VALUES (1, 'new')"),
    "a rowid of no key, updated": (KEYLESS, "UPDATE OR REPLACE policies SET rowid = 1 WHERE id = 'refunds'"),
    "a rowid by its third name, inserted": (SHADOWED, "INSERT OR REPLACE INTO policies(oid, id) VALUES (1, 'new')"),
    "a rowid by its third name, updated": (SHADOWED, "UPDATE OR REPLACE policies SET oid = 1 WHERE id = 'refunds'"),
    "another collation, inserted": (INDEXED_NOCASE, "INSERT OR REPLACE INTO policies VALUES ('new', 5, 'a@x')"),
    "another collation, updated": (INDEXED_NOCASE, "UPDATE OR REPLACE policies SET mail = 'a@X' WHERE id = 'refunds'"),
    "without the blank, inserted": (INDEXED_RTRIM, "INSERT OR REPLACE INTO policies VALUES ('new', 5, 'A@x ')"),
    "without the blank, updated": (INDEXED_RTRIM, "UPDATE OR REPLACE policies SET mail = 'A@x ' WHERE id = 'refunds'"),
    "a key without rowid, inserted": (
        declare(", slot INTEGER UNIQUE", " WITHOUT ROWID"),
        "REPLACE INTO policies VALUES ('new', 5, 1)",
    ),
    "a key without rowid, updated": (
        declare(", slot INTEGER NOT NULL DEFAULT 1 UNIQUE", " WITHOUT ROWID"),
        "UPDATE OR REPLACE policies SET slot = NULL WHERE id = 'refunds'",
    ),
    "an integer key": (
        "CREATE TABLE policies(n INTEGER PRIMARY KEY, id TEXT); INSERT INTO policies VALUES (1, 'returns'), (2, 'x')",
        "INSERT OR REPLACE INTO policies(rowid, id) VALUES (1, 'new')",
    ),
    "a key INTEGER PRIMARY KEY DESC, which is not the rowid": (
        "CREATE TABLE policies(n INTEGER PRIMARY KEY DESC, id TEXT); INSERT INTO policies VALUES (7, 'returns')",
        "INSERT OR REPLACE INTO policies(rowid, n, id) VALUES (1, 8, 'new')",
    ),
}
"""Tables, and statements that delete a row whose tag alone is raised."""
CLOCK = declare(", at TEXT NOT NULL DEFAULT CURRENT_DATE UNIQUE", rows="") + (
    "INSERT INTO policies VALUES ('returns', 30, CURRENT_DATE), ('refunds', 14, '')"
)
SUM = declare(", slot INTEGER NOT NULL DEFAULT (0 + 1) UNIQUE")
LOWERED = declare(", mail TEXT", rows="CREATE UNIQUE INDEX u ON policies(lower(mail)); " + MAILS)
COARSE = {
    "a default of the clock, inserted": (CLOCK, "INSERT OR REPLACE INTO policies VALUES ('new', 5, NULL)"),
    "a default of the clock, updated": (CLOCK, "UPDATE OR REPLACE policies SET at = NULL WHERE id = 'refunds'"),
    "an expression as default, inserted": (SUM, "INSERT OR REPLACE INTO policies VALUES ('new', 5, NULL)"),
    "an expression as default, updated": (SUM, "UPDATE OR REPLACE policies SET slot = NULL WHERE id = 'refunds'"),
    "an index on an expression, inserted": (LOWERED, "INSERT OR REPLACE INTO policies VALUES ('new', 5, 'a@x')"),
    "an index on an expression, updated": (LOWERED, "UPDATE OR REPLACE policies SET mail = 'a@x' WHERE id = 'refunds'"),
}
"""Tables, and statements that delete a row while the whole family is raised."""
NARROW = {
    "a default that is not used": (CLOCK, "INSERT INTO policies VALUES ('new', 5, 'x')"),
    "a default that is used for no NULL": (CLOCK, "UPDATE policies SET at = 'x' WHERE id = 'refunds'"),
    "an update beside an index on an expression": (LOWERED, "UPDATE policies SET days = 5, mail = mail"),
    "a column that is not in its text": (LOWERED, "UPDATE policies SET id = 'other' WHERE id = 'refunds'"),
    "an expression that is not unique": (
        declare(", mail TEXT", rows="CREATE INDEX u ON policies(lower(mail)); " + MAILS),
        "INSERT OR REPLACE INTO policies VALUES ('new', 5, 'a@x')",
    ),
}
"""Tables with such keys, and statements that raise no more than the tags of their rows."""


@pytest.fixture
def file(tmp_path):
    """Return a connection to an empty file."""
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        keep_in_wal(connection)
        yield connection


def url_of(connection):
    """Return the address of a file."""
    (path,) = [path for _, name, path in connection.execute("PRAGMA database_list") if name == "main"]
    return f"sqlite:///{path}"


def install(connection, *tables):
    """Capture tables; without any, repair."""
    with contextlib.closing(open_capture(url_of(connection))) as capture:
        named = list(map(parsed, tables))
        statements = capture.install(named, app="app") if named else capture.repair(app="app").statements
        capture.run(statements)
    return statements


def problems(connection):
    """Return what keeps the changes of each table from being reported."""
    with contextlib.closing(open_capture(url_of(connection))) as capture:
        return [state.problem for state in capture.states()]


def change_rows(connection, statement):
    """Run a statement; return the ids of the rows that it has changed, and the tags that were raised."""
    (last,) = connection.execute("SELECT coalesce(max(position), 0) FROM parbake_outbox").fetchone()
    before = _rows(connection)
    connection.execute(statement)
    after = _rows(connection)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    raised = connection.execute("SELECT subject FROM parbake_outbox WHERE position > ?", (last,))
    return changed, {subject for (subject,) in raised}


def _rows(connection):
    return {row[0]: row for row in connection.execute("SELECT id, * FROM policies").fetchall()}


def play(file, case, tags="policies:policy/{id}"):
    """Capture the table of a case and run its statement; return the changed ids, and the tags that were raised."""
    made, statement = case
    file.executescript(made)
    install(file, tags)
    return change_rows(file, statement)


@pytest.mark.parametrize("case", EXACT)
def test_a_row_that_replace_deletes_raises_its_tag(file, case):
    """Whatever unique key REPLACE goes by, the deleted row's tag is raised, and not its family."""
    changed, raised = play(file, EXACT[case])
    assert "returns" in changed
    assert {f"policy/{key}" for key in changed} <= raised
    assert "policy" not in raised


@pytest.mark.parametrize("case", COARSE)
def test_a_row_that_cannot_be_looked_up_raises_its_family(file, case):
    """Where a trigger cannot know which row REPLACE deletes, the whole family is raised."""
    changed, raised = play(file, COARSE[case], "policies:policy/{id},catalog")
    assert "returns" in changed
    assert "policy" in raised


@pytest.mark.parametrize("case", NARROW)
def test_a_row_that_replaces_none_raises_no_family(file, case):
    """A statement that cannot replace a row by such a key raises the tags of its rows alone."""
    changed, raised = play(file, NARROW[case])
    assert raised == {f"policy/{key}" for key in changed}


COLUMNS = (
    "{} INT UNIQUE", "{} TEXT COLLATE NOCASE UNIQUE", "{} INT NOT NULL DEFAULT 1 UNIQUE", "{} INT",
    "{} TEXT NOT NULL DEFAULT 'b' UNIQUE ON CONFLICT REPLACE", "{} TEXT DEFAULT 'a'", "{} REAL NOT NULL DEFAULT 1e0",
    "{} TEXT NOT NULL DEFAULT (char(97))", "{} NOT NULL DEFAULT -1 UNIQUE",
)  # fmt: skip
INDEXES = ("{0}", "{0}, {1}", "{0} COLLATE NOCASE", "lower({0}), {1}", "{0} || ''", "{0}) WHERE ({1} IS NOT NULL")
VALUES = ("NULL", "1", "2", "-1", "'a'", "'A'", "'b'", "'1'", "1.0", "x'61'")


@pytest.mark.parametrize("seed", [*range(20), *(pytest.param(n, marks=pytest.mark.slow) for n in range(20, 400))])
def test_no_statement_changes_a_row_unreported(file, seed):
    """On tables with random keys each row that a statement deletes, adds or changes raises its tag or family."""
    random_ = random.Random(seed)
    columns = [random_.choice(COLUMNS).format(name) for name in ("x", "y")]
    key = random_.choice(["id TEXT PRIMARY KEY", "id TEXT PRIMARY KEY", "n INTEGER PRIMARY KEY, id TEXT UNIQUE"])
    rest = " WITHOUT ROWID" if random_.random() < 0.3 and key.startswith("id") else ""
    file.execute(f"CREATE TABLE policies({key}, {', '.join(columns)}){rest}")
    install(file, "policies:policy/{id}")
    for number in range(random_.randrange(3)):
        names = random_.sample(["x", "y"], 2)
        file.execute(f"CREATE UNIQUE INDEX u{number} ON policies({random_.choice(INDEXES).format(*names)})")
    install(file)
    assert problems(file) == [""]
    rowid = [] if rest else ["rowid"]
    for _ in range(120):
        names = random_.sample(["id", "x", "y", *rowid], random_.randint(1, 3))
        values = [str(random_.randrange(6)) if name == "rowid" else random_.choice(VALUES) for name in names]
        values = [f"'k{random_.randrange(6)}'" if name == "id" else v for name, v in zip(names, values, strict=True)]
        if random_.random() < 0.6:
            named = names if "id" in names else [*names, "id"]
            values += [] if "id" in names else [f"'k{random_.randrange(6)}'"]
            statement = f"INSERT OR REPLACE INTO policies({', '.join(named)}) VALUES ({', '.join(values)})"
        else:
            pairs = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
            statement = f"UPDATE OR REPLACE policies SET {pairs} WHERE id = 'k{random_.randrange(6)}'"
        with contextlib.suppress(sqlite3.IntegrityError):
            changed, raised = change_rows(file, statement)
            assert "policy" in raised or {f"policy/{key}" for key in changed} <= raised, statement


class Shop:
    """A captured file with a table of policies, and an app that polls it."""

    def __init__(self, connection):
        """Capture the table."""
        self.connection = connection
        connection.executescript(declare(", slot INTEGER DEFAULT 1, mail TEXT", rows=ROWS))
        install(connection, "policies:policy/{id}")
        self.source = SqliteSource(url_of(connection)[10:], families=["policy"], views=[])
        self.app = pb.App(pb.Registry(), events=[self.source], worker="none")

    async def raised(self, statement=""):
        """Run statements; return whether the family was raised since."""
        self.connection.executescript(statement)
        ack = await self.app.drain()
        return ack is not None and "policy/*" in ack.raised


@pytest.fixture
async def shop(file):
    """Return a captured shop whose outbox is read."""
    made = Shop(file)
    await made.raised()
    assert not await made.raised()
    yield made
    made.source.close()


LATER = {
    "made": ("", "CREATE UNIQUE INDEX u ON policies(slot)"),
    "made of an expression": ("", "CREATE UNIQUE INDEX u ON policies(slot + 1)"),
    "dropped": ("CREATE UNIQUE INDEX u ON policies(slot)", "DROP INDEX u"),
    "made of another column": (
        "CREATE UNIQUE INDEX u ON policies(slot)", "DROP INDEX u; CREATE UNIQUE INDEX u ON policies(mail)",
    ),
    "made with another collation": (
        "CREATE UNIQUE INDEX u ON policies(mail)",
        "DROP INDEX u; CREATE UNIQUE INDEX u ON policies(mail COLLATE NOCASE)",
    ),
    "made of another expression": (
        "CREATE UNIQUE INDEX u ON policies(slot + 1)", "DROP INDEX u; CREATE UNIQUE INDEX u ON policies(lower(mail))",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", LATER)
async def test_a_unique_index_that_changes_later_raises_the_family_until_the_repair(shop, change):
    """Triggers that were made for other unique indexes count as missing: in polls, in the check, and for a repair."""
    before, after = LATER[change]
    shop.connection.execute("UPDATE policies SET slot = rowid, mail = id")
    shop.connection.executescript(before)
    install(shop.connection)
    await shop.raised()
    assert not await shop.raised()
    for statement in (after, "", ""):
        assert await shop.raised(statement)
    assert "unique indexes of policies" in shop.app.counters.untold["shop"]
    checked = invoke("capture", "capture", "check", url_of(shop.connection))
    assert checked.exit_code == 1
    assert "unique indexes of policies" in checked.output
    assert invoke("capture", "capture", "install", url_of(shop.connection), "--apply", "--app", "app").exit_code == 0
    assert invoke("capture", "capture", "check", url_of(shop.connection)).exit_code == 0
    assert await shop.raised()
    assert not await shop.raised()
    assert install(shop.connection) == install(shop.connection, "policies:policy/{id}")


async def test_a_repair_for_a_later_unique_index_reports_what_replace_deletes(shop):
    """After the repair the row that REPLACE deletes by the new index raises its tag."""
    shop.connection.execute("UPDATE policies SET slot = rowid")
    shop.connection.execute("CREATE UNIQUE INDEX u ON policies(slot)")
    install(shop.connection)
    changed, raised = change_rows(shop.connection, "REPLACE INTO policies(id, slot) VALUES ('new', 1)")
    assert changed == {"returns", "new"}
    assert raised == {"policy/returns", "policy/new"}


async def test_an_index_that_is_gone_again_raises_the_family_once_more(shop):
    """What went unreported before the index was dropped is covered by the first poll after it."""
    shop.connection.execute("UPDATE policies SET slot = rowid")
    await shop.raised()
    assert await shop.raised("CREATE UNIQUE INDEX u ON policies(slot)")
    assert await shop.raised("REPLACE INTO policies(id, slot) VALUES ('new', 1); DROP INDEX u")
    assert not await shop.raised()
    assert problems(shop.connection) == [""]


async def test_a_default_that_was_changed_in_the_schema_is_noticed(shop):
    """A default is part of a unique key, because REPLACE writes it in place of NULL."""
    shop.connection.executescript(
        "CREATE TABLE other(id TEXT PRIMARY KEY, slot INT NOT NULL DEFAULT 1 UNIQUE, free INT DEFAULT 1)"
    )
    install(shop.connection, "other:policy/{id}")
    await shop.raised()
    assert not await shop.raised()

    def edit(before, after):
        (version,) = shop.connection.execute("PRAGMA schema_version").fetchone()
        return (
            f"PRAGMA writable_schema = on; UPDATE sqlite_master SET sql = replace(sql, '{before}', '{after}') "
            f"WHERE name = 'other'; PRAGMA schema_version = {version + 1}; PRAGMA writable_schema = off"
        )

    assert await shop.raised(edit("free INT DEFAULT 1", "free INT DEFAULT 2"))
    assert not await shop.raised()
    assert await shop.raised(edit("NULL DEFAULT 1", "NULL DEFAULT 2"))
    assert await shop.raised()
    assert "unique indexes of other" in shop.app.counters.untold["shop"]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX i ON policies(slot)", "CREATE INDEX i ON policies(lower(mail)); DROP INDEX i",
        "CREATE TABLE other(id TEXT PRIMARY KEY, slot INT UNIQUE); CREATE UNIQUE INDEX o ON other(slot, id)",
        "CREATE INDEX i ON policies(slot COLLATE NOCASE); REINDEX; ANALYZE; VACUUM",
    ],
)  # fmt: skip
async def test_an_index_that_is_not_unique_changes_nothing(shop, statement):
    """Indexes that are not unique, and those of other tables, leave the triggers as they are."""
    assert not await shop.raised(statement)
    assert problems(shop.connection) == [""]
    assert install(shop.connection) == install(shop.connection, "policies:policy/{id}")
    assert not await shop.raised()


async def test_a_guard_that_names_no_unique_keys_counts_as_a_problem(shop):
    """Triggers of a version that did not record for which unique keys it made them are made again by a repair."""
    ((name,),) = shop.connection.execute("SELECT name FROM sqlite_master WHERE name GLOB 'parbake_guard_*'")
    assert await shop.raised(f"DROP VIEW {name}; CREATE VIEW {name} AS SELECT 1")
    assert await shop.raised()
    install(shop.connection)
    assert await shop.raised()
    assert not await shop.raised()


def test_a_file_in_utf_16_is_refused(file):
    """The bytes of a text are its tag, so that an installation names the encoding that it needs."""
    file.executescript("PRAGMA journal_mode = delete")
    with contextlib.closing(sqlite3.connect(url_of(file)[10:] + "16", isolation_level=None)) as other:
        other.execute("PRAGMA encoding = 'UTF-16'")
        other.execute("CREATE TABLE policies(id TEXT PRIMARY KEY)")
        with pytest.raises(pb.BadInput, match="UTF-16le"):
            parbake_capture.install(url_of(other), "policies:policy/{id}")
