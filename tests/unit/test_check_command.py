"""``parbake check``: what a pipeline learns of an app before it is deployed."""

import sqlite3
from contextlib import closing

import pytest
from tests.unit.commands import invoke

from parbake.adapters.sqlite import OUTBOX_DDL

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
app = pb.App(tasks, store="lmdb://FOLDER/store", sources=[source])
"""


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Return a function that writes the app's module and checks it; options become arguments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with closing(sqlite3.connect(tmp_path / "desk.sqlite")) as connection:
        connection.execute(OUTBOX_DDL)

    def check(*words, fenced="article", extra="", place="desk.sqlite"):
        text = MODULE.replace("FENCED", fenced).replace("EXTRA", extra).replace("PLACE", str(tmp_path / place))
        (tmp_path / "desk_app.py").write_text(text.replace("FOLDER", str(tmp_path)))
        return invoke("desk_app", "check", "desk_app:app", *words)

    return check


def test_a_family_that_nothing_depends_on_is_a_warning(checked):
    """A family that a source reports in vain is named, with status 0; with ``--strict`` it is 1."""
    done = checked()
    assert (done.exit_code, "'author'" in done.output) == (0, True)
    assert checked("--strict").exit_code == 1


def test_a_misspelt_family_of_a_contract_cannot_be_loaded(checked):
    """A contract that misses a family of its view, because it is misspelt, is status 2; the error says which."""
    done = checked(fenced="artcle")
    assert done.exit_code == 2
    assert "reads 'article'" in done.output


def test_a_source_that_cannot_be_read_is_an_error(checked, tmp_path):
    """A source without its outbox is status 1, unless ``--offline`` asks nobody."""
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    done = checked(place="empty.sqlite")
    assert done.exit_code == 1
    assert "source desk" in done.output
    assert checked("--offline", place="empty.sqlite").exit_code == 0


def test_fields_that_were_left_to_defaults_are_warned_of(checked):
    """A task that was declared by its age alone is named."""
    done = checked(extra=CACHED)
    assert "leaves fallback_if_stale" in done.output.replace("\n", " ")


CACHED = """
@tasks.cached(ttl="1h")
def short(key: str) -> str:
    return key
"""
