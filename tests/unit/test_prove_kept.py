"""``parbake prove`` finds what a program keeps of a database, by loading it anew over other rows."""

import sqlite3
import sys
import textwrap

import pytest
from tests.unit.proved_shop import app_of, captured, made, proved
from typer.testing import CliRunner

import parbake as pb
from parbake_lab.cli import prove_command

pytest.importorskip("sqlglot")
KEPT = "the program keeps "


@pytest.fixture
def path(tmp_path):
    """Return a shop's file with triggers."""
    found = made(tmp_path)
    captured(found)
    return found


def program(path, by=None):
    """Return what loads a program that keeps the names of regions which a view has read."""

    def load():
        names = {}

        def read(self, key):
            self.entity(f"policy/{key}")
            regions = [row[0] for row in self.rows("SELECT region FROM policies WHERE id = :id", id=key)]
            for region in set(regions) - set(names):
                self.entity(f"region/{region}")
                names[region] = self.rows("SELECT name FROM regions WHERE code = :code", code=region)
            return [names[region] for region in regions]

        return app_of(path, read, by=by)

    return load


def test_what_a_module_keeps_is_found(path):
    """Rows that a view reads once and keeps in a dictionary are named with the query that is not asked any more."""
    load = program(path)
    findings = proved(load(), load).findings
    assert len(findings) == 1, findings
    (found,) = findings
    assert (found.task, found.where) == ("answer", "Policies.read")
    assert found.what == f"{KEPT}the rows of SELECT name FROM regions WHERE code = :code"
    assert found.old != found.new


def starting(path, connect):
    """Return what loads a program that reads the regions when it begins, beside its views."""

    def load():
        db = connect()
        names = dict(db.execute("SELECT code, name FROM regions"))
        db.close()

        def read(self, key):
            self.entity(f"policy/{key}")
            rows = self.rows("SELECT region FROM policies WHERE id = :id", id=key)
            return [names[region] for (region,) in rows]

        return app_of(path, read)

    return load


@pytest.mark.parametrize("form", ["{}", "file:{}?mode=ro"])
def test_what_is_loaded_at_the_start_is_found(path, form):
    """Rows that are read while the program is loaded are found: a program that begins reads the copy."""
    load = starting(path, lambda: sqlite3.connect(form.format(path), uri=True))
    (found,) = proved(load(), load).findings
    assert (found.task, found.where, found.what) == ("answer", "", f"{KEPT}what it read before")


def test_connections_are_opened_as_before_afterwards(path, tmp_path):
    """Other databases are reached while the program is loaded, and the original again afterwards."""
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.executescript("CREATE TABLE regions(code, name); INSERT INTO regions VALUES ('eu', 'E'), ('us', 'A')")
    db.close()
    taken = sqlite3.connect
    load = starting(path, lambda: sqlite3.connect(other))
    assert proved(load(), load).findings == []
    assert sqlite3.connect is taken


def test_a_program_that_keeps_nothing_is_no_finding(path):
    """Nothing is found if a program that is loaded anew computes the same, though rows are read in the same order."""

    def read(self, key):
        self.whole_set("policy")
        return self.rows("SELECT days, note FROM policies WHERE id = :id", id=key)

    def load():
        return app_of(path, read)

    proof = proved(load(), load)
    assert (proof.findings, proof.unproved) == ([], {})


def test_a_contract_may_account_for_what_is_kept(path):
    """A contract that ignores a family which no view has accounts for what the program keeps."""
    by = [*(pb.fence(name) for name in ("policy", "region", "setting")), pb.ignore("release", "restarted each night")]
    load = program(path, by)
    assert proved(load(), load).findings == []


def test_a_program_that_cannot_be_loaded_twice_is_named(path):
    """What the program keeps is not provable if loading it again fails; everything else is judged."""

    def refuse():
        raise RuntimeError("there is one already")

    proof = proved(program(path)(), refuse)
    assert "there is one already" in proof.unproved["what the program keeps"]
    assert proof.values == 3


MODULE = """
import functools
import parbake as pb
from parbake.adapters.sqlite import SqliteSource

class Policies(pb.View):
    families = ("policy",)

    def days(self, key: str) -> list:
        self.entity(f"policy/{key}")
        return self.rows("SELECT days FROM policies WHERE id = :id", id=key)

tasks = pb.Registry()
kept = {}

@tasks.artifact(
    freshness_sla="1d", fallback_if_stale=pb.Recompute(), owner="x", invalidated_by=[pb.fence("policy/{policy}")]
)
def answer(policy: str, *, policies: pb.Source[Policies]) -> str:
    return str(kept.setdefault(policy, policies.days(policy)))

app = pb.App(tasks, sources=[SqliteSource("PATH", families=["policy"], views=[Policies])])
"""


def test_the_command_loads_the_module_anew(path, tmp_path, monkeypatch):
    """The command imports the app's modules once more, and leaves the first ones in place."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "keeping_shop.py").write_text(textwrap.dedent(MODULE).replace("PATH", str(path)))
    found = CliRunner().invoke(prove_command.command, ["keeping_shop:app", "--fail"])
    first = sys.modules.pop("keeping_shop")
    assert found.exit_code == 1, found.output
    assert "the program keeps" in found.output
    assert first.kept
