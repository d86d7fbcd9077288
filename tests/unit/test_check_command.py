"""``parbake check``: what a pipeline learns of an app before it is deployed."""

import sqlite3
from contextlib import closing

import pytest
from tests.unit.commands import invoke

import parbake as pb
from parbake.adapters.sqlite import OUTBOX_DDL, SqliteSource, emit

MODULE = """
import parbake as pb
from parbake.adapters.sqlite import SqliteSource

class Articles(pb.View):
    families = ("article",)

tasks = pb.Registry()

@tasks.artifact(freshness_sla="1h", invalidated_by=[pb.fence("FENCED")], fallback_if_stale=pb.Recompute(), owner="desk")
def teaser(key: str, *, articles: pb.Source[Articles]) -> str:
    return key

EXTRA
source = SqliteSource("PLACE", families=("article", "author"), views=(Articles,), name="desk")
app = pb.App(tasks, store="STORE", sources=[source], durability=pb.Durability(journal="JOURNAL"))
"""


def module_of(folder, *, fenced="article", extra="", place="desk.sqlite", store="store", journal="journal"):
    """Return the text of the app's module; places are below a folder."""
    filled = {"FENCED": fenced, "EXTRA": extra, "PLACE": f"{folder / place}", "STORE": f"lmdb://{folder / store}"}
    text = MODULE.replace("JOURNAL", f"{folder / journal}")
    for name, value in filled.items():
        text = text.replace(name, value)
    return text


def told(done):
    """Return what a check printed, as one line: the table breaks its cells at words."""
    return " ".join(done.output.replace("│", " ").split())


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Return a function that writes the app's module and checks it; options become arguments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with closing(sqlite3.connect(tmp_path / "desk.sqlite")) as connection:
        connection.execute(OUTBOX_DDL)

    def check(*words, **changes):
        (tmp_path / "desk_app.py").write_text(module_of(tmp_path, **changes))
        return invoke("desk_app", "check", "desk_app:app", *words)

    return check


def test_a_family_that_nothing_depends_on_is_a_warning(checked):
    """A family that a source reports in vain is named, with status 0; with ``--strict`` it is 1."""
    done = checked()
    assert (done.exit_code, "'author'" in done.output) == (0, True)
    assert checked("--strict").exit_code == 1


def test_a_misspelt_family_of_a_contract_is_a_problem(checked):
    """A contract that misses a family of its view, because it is misspelt, is status 1; the error says which."""
    done = checked(fenced="artcle")
    assert done.exit_code == 1
    assert "reads 'article'" in told(done)


def test_all_problems_are_listed_at_once(checked, tmp_path):
    """Problems of two tasks, the journal, the store and the source are in one table, each once."""
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    (tmp_path / "occupied").write_text("not a folder")
    done = checked(fenced="artcle", extra=MISSPELT, place="empty.sqlite", store="occupied", journal="missing/journal")
    assert done.exit_code == 1
    for part in (
        "reads 'article'",
        "bound by 'artcle'",
        "bound by 'atuhor'",
        "parbake_outbox is missing",
        "its folder does",
    ):
        assert told(done).count(part) == 1, part
    assert told(done).count("error store") == 1


def test_a_store_that_cannot_be_opened_is_listed_once(checked, tmp_path):
    """An app whose declarations are right and whose store is not usable has one problem."""
    (tmp_path / "occupied").write_text("not a folder")
    done = checked(store="occupied")
    assert (done.exit_code, done.output.count("error")) == (1, 1)


def test_a_journal_that_cannot_be_written_is_a_problem(checked, tmp_path):
    """A journal in a folder that does not exist, or that is a folder, is status 1 and named; ``--offline`` skips it."""
    done = checked(journal="missing/journal")
    assert (done.exit_code, "its folder does not exist" in told(done)) == (1, True)
    (tmp_path / "taken").mkdir()
    assert checked(journal="taken").exit_code == 1
    assert checked("--offline", journal="taken").exit_code == 0


def test_a_declaration_that_is_refused_at_import_ends_the_check(checked):
    """An invalid duration is status 1 with its line, and the check says that it went no further."""
    done = checked(extra=CACHED.replace("1h", "soon"))
    assert done.exit_code == 1
    assert "desk_app.py, line" in told(done)
    assert "nothing else was checked" in told(done)


def test_an_app_that_does_not_exist_is_no_problem_of_an_app(tmp_path, monkeypatch):
    """A module or an attribute that does not exist is status 2."""
    monkeypatch.chdir(tmp_path)
    assert invoke("no_desk", "check", "no_desk:app").exit_code == 2


def test_a_source_that_cannot_be_read_is_an_error(checked, tmp_path):
    """A source without its outbox is status 1, unless ``--offline`` asks nobody."""
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    done = checked(place="empty.sqlite")
    assert done.exit_code == 1
    assert "source desk" in done.output
    assert checked("--offline", place="empty.sqlite").exit_code == 0


def test_a_source_that_the_store_was_not_built_from_is_an_error(checked, tmp_path):
    """An outbox that begins again is status 1, with the command that accepts it, because no process would start."""
    with closing(sqlite3.connect(tmp_path / "desk.sqlite")) as connection, connection:
        emit(connection, "article/a", "article.changed")
    source = SqliteSource(tmp_path / "desk.sqlite", families=("article", "author"), views=(), name="desk")
    app = pb.App(pb.Registry(), store=f"lmdb://{tmp_path / 'store'}", sources=[source])
    app.sync.run(app.drain())
    app.sync.close()
    assert checked().exit_code == 0
    with closing(sqlite3.connect(tmp_path / "desk.sqlite")) as connection, connection:
        connection.execute("DELETE FROM parbake_outbox")
        connection.execute("DELETE FROM sqlite_sequence")
    done = checked()
    assert (done.exit_code, "events restart APP desk" in told(done)) == (1, True)


def test_fields_that_were_left_to_defaults_are_warned_of(checked):
    """A task that was declared by its age alone is named."""
    done = checked(extra=CACHED)
    assert "leaves fallback_if_stale" in done.output.replace("\n", " ")


CACHED = """
@tasks.cached(ttl="1h")
def short(key: str) -> str:
    return key
"""

MISSPELT = """
@tasks.artifact(freshness_sla="1h", invalidated_by=[pb.fence("atuhor")], fallback_if_stale=pb.Recompute(), owner="desk")
def byline(key: str) -> str:
    return key
"""
