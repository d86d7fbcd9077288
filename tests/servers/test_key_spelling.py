"""Keys of each type against each kind of column: an old value is never served as fresh, or the key is refused."""

import contextlib
import datetime as dt
import enum
import sqlite3
import uuid

import psycopg
import pytest
from tests.servers import pg

import parbake as pb
import parbake_capture
from parbake.adapters import postgresql, sqlite
from parbake.adapters.postgresql import PostgresqlSource
from parbake.adapters.sqlite import SqliteSource
from parbake.tasks.served import Verdict


class Color(enum.Enum):
    """An enum whose members a column holds by name."""

    RED = 1


class Size(enum.StrEnum):
    """An enum whose members are texts."""

    BIG = "big"


ID = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
DAY = dt.date(2026, 12, 24)
KEYS = {
    "text": (str, "red"), "text with a slash": (str, "a/b"), "text with a space": (str, "a b"), "star": (str, "*"),
    "other script": (str, "ключ"), "long text": (str, "x" * 300), "digits as text": (str, "7"),
    "padded digits": (str, "07"), "capitals": (str, "RED"), "integer": (int, 7), "large integer": (int, 2**60),
    "UUID": (uuid.UUID, ID), "UUID as text": (str, str(ID)), "UUID as hex": (str, ID.hex), "date": (dt.date, DAY),
    "date as text": (str, "2026-12-24"), "German date": (str, "24.12.2026"), "bool": (bool, True),
    "float": (float, 7.0), "enum": (Color, Color.RED), "text enum": (Size, Size.BIG),
    "tuple": (tuple[str, str], ("a", "b")), "moment": (dt.datetime, dt.datetime(2026, 12, 24)),  # noqa: DTZ001  # a key
}  # fmt: skip
POSTGRESQL_COLUMNS = {
    "TEXT": "red", "VARCHAR(400)": "red", "INTEGER": 7, "BIGINT": 7, "UUID": ID, "DATE": DAY, "BOOLEAN": True,
    "DOUBLE PRECISION": 7.0, "NUMERIC": 7, "CHAR(40)": "red",
}  # fmt: skip
SQLITE_COLUMNS = ("TEXT", "INTEGER", "REAL", "NUMERIC", "BOOLEAN", "", "TEXT COLLATE NOCASE")
STATEMENTS = {
    "equal": "SELECT version FROM facts WHERE name = :name",
    "folded": "SELECT version FROM facts WHERE lower(CAST(name AS TEXT)) = lower(CAST(:name AS TEXT))",
    "selected": "SELECT version, name FROM facts WHERE lower(CAST(name AS TEXT)) = lower(CAST(:name AS TEXT))",
}
"""How a view looks a row up."""
WAYS = ("entity", "template")
"""How the tag of a row is named: by the view, or by a template of the contract."""


def declared(key_type, statement, way):
    """Return a registry and a task that reads the version of a fact by a key."""

    class Facts(pb.View):
        families = ("fact",)

        def version(self, name):
            """Return the version of a fact."""
            value = name.name if isinstance(name, Color) else name
            rows = self.rows(STATEMENTS[statement], name=value)
            if way == "entity":
                self.entity(f"fact/{name}")
            return rows[0][0] if rows else None

    tasks = pb.Registry()

    def fact(name, facts):
        return facts.version(name)

    fact.__annotations__ = {"name": key_type, "facts": pb.Source[Facts], "return": int | None}
    fences = [pb.fence("fact/{name}")] if way == "template" else [pb.fence("fact")]
    contract = {"freshness_sla": "1h", "fallback_if_stale": pb.Recompute(), "owner": "owner"}
    return tasks, tasks.artifact(invalidated_by=fences, **contract)(fact), Facts


async def serves_old_value(open_source, change, key_type, key, looks_up):
    """Whether an old value is served as fresh after an acknowledged change; a refusal counts as no."""
    try:
        tasks, task, view = declared(key_type, *looks_up)
    except pb.errors.ParbakeError:
        return False
    source = open_source(view)
    app = pb.App(tasks, sources=[source])
    try:
        await app.drain()
        with contextlib.suppress(pb.errors.ParbakeError, TypeError):
            before = (await app.serve(task, key)).value
            change()
            await app.drain()
            served = await app.serve(task, key)
            return before is not None and served.verdict is Verdict.FRESH and served.value == before
        return False
    finally:
        await app.close()


@pytest.fixture(scope="module")
def server():
    """Return a server."""
    with pg.folder() as place, pg.postgresql(place / "data") as started:
        yield started


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("column", POSTGRESQL_COLUMNS)
async def test_no_key_of_postgresql_serves_an_old_value(server, column, way):
    """For each type of key, a change that a trigger or a program told of is seen, or the key is refused."""
    name = f"keys{abs(hash((column, way)))}"
    server.sql(f"CREATE DATABASE {name}")
    address = f"postgresql://postgres@127.0.0.1:{server.port}/{name}"
    server.sql(f"CREATE TABLE facts(name {column} PRIMARY KEY, version INT)", dbname=name)
    captured = True
    try:
        parbake_capture.install(address, "facts:fact/{name}")
    except pb.BadInput:
        captured = False
        server.sql(postgresql.OUTBOX_DDL, dbname=name)
    wrong = []
    for label, (key_type, key) in KEYS.items():
        if label == "enum" and way == "entity" and not captured:  # the program spells both the tag and the event
            continue
        value = key.name if isinstance(key, Color) else key
        for statement in STATEMENTS:
            with psycopg.connect(address, autocommit=True) as writer:
                writer.execute("TRUNCATE facts")
                stored = value.lower() if statement != "equal" and isinstance(value, str) else value
                try:
                    row = writer.execute("INSERT INTO facts VALUES (%s, 0) RETURNING name::TEXT", (stored,)).fetchone()
                except psycopg.Error:
                    continue

                def change(writer=writer, row=row):
                    with writer.transaction():
                        writer.execute("UPDATE facts SET version = version + 1")
                        if not captured:
                            postgresql.emit(writer, f"fact/{row[0].strip()}", "fact.changed")

                opened = lambda view: PostgresqlSource(address, families=["fact"], views=[view])  # noqa: E731  # used once
                if await serves_old_value(opened, change, key_type, key, (statement, way)):
                    wrong.append((label, statement))
    server.sql(f"DROP DATABASE {name} WITH (FORCE)")
    assert wrong == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("column", SQLITE_COLUMNS)
async def test_no_key_of_sqlite_serves_an_old_value(tmp_path, column, way):
    """For each type of key, a change that a trigger or a program told of is seen, or the key is refused."""
    path = tmp_path / "facts.db"
    writer = sqlite3.connect(path, isolation_level=None)
    sqlite.keep_in_wal(writer)
    writer.execute(f"CREATE TABLE facts(id INTEGER PRIMARY KEY, name {column}, version INT)")
    captured = True
    try:
        parbake_capture.install(f"sqlite:///{path}", "facts:fact/{name}")
    except pb.BadInput:
        captured = False
        writer.execute(sqlite.OUTBOX_DDL)
    wrong = []
    for label, (key_type, key) in KEYS.items():
        if label == "enum" and way == "entity" and not captured:  # the program spells both the tag and the event
            continue
        value = key.name if isinstance(key, Color) else key
        for statement in STATEMENTS:
            writer.execute("DELETE FROM facts")
            stored = value.lower() if statement != "equal" and isinstance(value, str) else value
            with contextlib.suppress(sqlite3.Error, DeprecationWarning, OverflowError):
                writer.execute("INSERT INTO facts(name, version) VALUES (?, 0)", (stored,))
                (row,) = writer.execute("SELECT CAST(name AS TEXT) FROM facts").fetchall()

                def change(row=row):
                    writer.execute("BEGIN")
                    writer.execute("UPDATE facts SET version = version + 1")
                    if not captured:
                        sqlite.emit(writer, f"fact/{row[0]}", "fact.changed")
                    writer.execute("COMMIT")

                opened = lambda view: SqliteSource(path, families=["fact"], views=[view])  # noqa: E731  # used once
                if await serves_old_value(opened, change, key_type, key, (statement, way)):
                    wrong.append((label, statement))
    writer.close()
    assert wrong == []


@pytest.mark.parametrize("way", WAYS)
async def test_a_key_that_fits_its_column_is_served(tmp_path, way):
    """Texts and whole numbers on columns of their own kind are served from the store, and are not refused."""
    for column, key_type, key in (("TEXT", str, "red"), ("INTEGER", int, 7)):
        path = tmp_path / f"{column}.db"
        writer = sqlite3.connect(path, isolation_level=None)
        sqlite.keep_in_wal(writer)
        writer.execute(f"CREATE TABLE facts(name {column} PRIMARY KEY, version INT)")
        writer.execute("INSERT INTO facts VALUES (?, 0)", (key,))
        parbake_capture.install(f"sqlite:///{path}", "facts:fact/{name}")
        tasks, task, view = declared(key_type, "equal", way)
        app = pb.App(tasks, sources=[SqliteSource(path, families=["fact"], views=[view])])
        await app.drain()
        assert (await app.serve(task, key)).value == 0
        writer.execute("UPDATE facts SET version = 1")
        await app.drain()
        assert (await app.serve(task, key)).value == 1
        assert (await app.serve(task, key)).lane != ""
        await app.close()
        writer.close()


@pytest.mark.parametrize("label", ["bool", "float", "enum", "text enum", "tuple", "moment"])
def test_a_key_of_several_spellings_is_refused_in_a_template(label):
    """The declaration names the type, and says what to use instead."""
    with pytest.raises(pb.errors.ContractError, match=r"names the key, and .* (use|is an enum)"):
        declared(KEYS[label][0], "equal", "template")
