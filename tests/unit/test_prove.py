"""``parbake prove`` finds what views and contracts leave out, and nothing where they leave out nothing."""

import ast
import contextlib
import json
import os
import random
import sqlite3
import threading

import pytest
from tests.unit.proved_shop import TABLES, app_of, captured, made, places, proved
from typer.testing import CliRunner

import parbake as pb
from parbake.errors import BadInput, MissingDependency, SourceError
from parbake_capture.tables import parsed
from parbake_lab.cli import prove_command
from parbake_lab.prove import proof as proofs
from parbake_lab.prove import prove_report, statements

pytest.importorskip("sqlglot")


@pytest.fixture
def path(tmp_path):
    """Return a shop's file without triggers."""
    return made(tmp_path)


def own(self, key):
    """Read one policy, and name it."""
    self.entity(f"policy/{key}")
    return self.rows("SELECT days FROM policies WHERE id = :id", id=key)


def usual(self, key):
    """Read one policy or the default one, and name only the first."""
    self.entity(f"policy/{key}")
    return self.rows("SELECT days FROM policies WHERE id IN (:id, 'default') ORDER BY id = :id DESC", id=key)


def joined(self, key):
    """Read a policy with its region, which is not named."""
    self.entity(f"policy/{key}")
    return self.rows("SELECT p.days, r.name FROM policies p JOIN regions r ON r.code = p.region WHERE p.id = :i", i=key)


def averaged(self, key):
    """Read all policies, and name one."""
    self.entity(f"policy/{key}")
    return self.rows("SELECT avg(days) FROM policies")


def longest(self, key):
    """Read a view of the database, and name one policy."""
    self.entity(f"policy/{key}")
    return self.rows("SELECT id FROM assets ORDER BY days DESC LIMIT 1")


def nested(self, key):
    """Read a setting in a subquery that depends on the query around it."""
    self.entity(f"policy/{key}")
    return self.rows(
        "SELECT days, (SELECT s.value FROM settings s WHERE s.name = p.note OR s.name = 'unit') FROM policies p "
        "WHERE p.id = :id AND EXISTS (SELECT 1 FROM regions r WHERE r.code = p.region)",
        id=key,
    )


def looked_up_in_vain(self, key):
    """Look up a setting that does not exist."""
    self.entity(f"policy/{key}")
    return self.rows("SELECT value FROM settings WHERE name = :name", name=f"no {key}")


def mentioned(self, key):
    """Read with a statement that no parser knows to the end."""
    self.entity(f"policy/{key}")
    return self.rows("SELECT s.value FROM settings AS s, json_each(:l) j WHERE s.name = j.value", l='["unit"]')


def quiet(self, key):
    """Name everything that is read."""
    self.entity(f"policy/{key}")
    rows = self.rows("SELECT days, region FROM policies WHERE id = :id", id=key)
    self.whole_set("region")
    return rows, self.rows("SELECT count(*) FROM regions")


@pytest.mark.parametrize(
    ("read", "what", "fix"),
    [
        (usual, "policies.days", 'self.entity(f"policy/{id}")'),
        (joined, "regions.name", 'self.entity(f"region/{code}")'),
        (averaged, "policies (row deleted)", 'self.whole_set("policy")'),
        (longest, "policies.days", 'self.whole_set("policy")'),
        (nested, "settings.value", 'self.entity(f"setting/{name}")'),
        (looked_up_in_vain, "settings (row inserted)", 'self.whole_set("setting")'),
        (mentioned, "settings.value", 'self.entity(f"setting/{name}")'),
    ],
)
def test_what_is_read_and_not_named_is_found(path, read, what, fix):
    """A row that a value depends on, and that no tag of it covers, is named with the line that covers it."""
    captured(path)
    proof = proved(app_of(path, read))
    assert what in places(proof)
    assert f"{fix} in Policies.{read.__name__}" in {finding.fix for finding in proof.findings}
    assert proof.values == 3  # two keys, and one that does not exist
    assert proof.unproved == {}


@pytest.mark.parametrize("read", [own, quiet])
def test_what_is_named_is_no_finding(path, read):
    """Nothing is found if each row that is read is covered by a tag."""
    captured(path)
    proof = proved(app_of(path, read))
    assert (proof.findings, proof.unproved) == ([], {})
    assert proof.changes > 0


def test_the_file_of_the_app_is_not_changed(path):
    """Changes are made on a copy: the file of the app has the same bytes afterwards."""
    captured(path)
    before = path.read_bytes()
    assert proved(app_of(path, averaged)).findings
    assert path.read_bytes() == before


def test_a_finding_tells_the_row_and_both_values(path):
    """A finding says which row changed, what is served on, and what would be computed."""
    captured(path)
    found = next(f for f in proved(app_of(path, joined)).findings if f.what == "regions.name")
    assert (found.task, found.where) == ("answer", "Policies.joined")
    assert found.row.startswith("code=")
    assert found.old != found.new


def test_a_table_that_nobody_tells_of_is_found_once(path):
    """Where tables are captured, a table that a view reads and no trigger tells of is named once."""
    captured(path, TABLES[:1])
    proof = proved(app_of(path, joined))
    assert [finding.what for finding in proof.findings] == ["regions: nobody tells of it"]
    assert "--table regions:" in proof.findings[0].fix


def test_uncaptured_tables_are_left_alone(path):
    """A table that the source calls uncaptured is neither changed nor named."""
    captured(path, TABLES[:1])
    assert proved(app_of(path, joined, uncaptured=["regions"])).findings == []


def test_tables_can_be_named_where_nothing_is_captured(path):
    """Without triggers nothing is judged, and the option is named; with it, the same omission is found."""
    proof = proved(app_of(path, averaged))
    assert proof.findings == []
    assert "--table policies:policy/{id}" in proof.unproved["table policies"]
    assert places(proved(app_of(path, averaged), tables=list(map(parsed, TABLES)))) >= {"policies.days"}


def ignoring(path):
    """Return an app whose contract ignores the regions."""
    by = [pb.fence("policy"), pb.ignore("region", "its name does not matter"), pb.fence("setting")]
    return app_of(path, joined, by=by)


def test_an_ignored_family_is_no_finding(path):
    """What the contract ignores may change without outdating the value; that the value changes is told with why."""
    captured(path)
    proof = proved(ignoring(path))
    assert proof.findings == []
    (found,) = proof.ignored
    assert (found.family, found.reason, found.where) == ("region", "its name does not matter", "Policies.joined")
    assert found.what == "regions.name"
    assert found.old != found.new
    assert prove_report.summary(proof).endswith("0 omissions, 1 ignored")


def test_an_ignored_family_that_does_not_matter_is_not_told(path):
    """A family that is ignored and does not change the value appears nowhere."""
    captured(path)
    by = [pb.fence("policy"), pb.ignore("region", "it is not shown"), pb.fence("setting")]
    assert proved(app_of(path, own, by=by)).ignored == []


def test_a_view_without_families_hides_a_captured_table(path):
    """A view that says that no event tells of its data is found if triggers do."""
    captured(path)

    def read(self, key):
        return self.rows("SELECT days FROM policies WHERE id = :id", id=key)

    found = proved(app_of(path, read, families=()))
    assert "policies.days" in places(found)
    assert 'with "policy" in Policies.families and pb.fence("policy")' in found.findings[0].fix

    def counted(self, key):
        return self.rows("SELECT count FROM visits WHERE policy = :id", id=key)

    assert proved(app_of(path, counted, families=())).findings == []


def test_what_varies_by_itself_is_not_judged(path):
    """A task whose values differ without a change is named as not provable."""
    captured(path)

    def read(self, key):
        return own(self, key), random.random()

    proof = proved(app_of(path, read))
    assert (proof.findings, proof.unproved) == ([], {"answer": "it varies by itself"})


def test_what_changes_with_the_time_is_no_finding(path):
    """A value that later differs without a change, such as an age in minutes, is no finding."""
    captured(path)
    calls = []

    def read(self, key):
        calls.append(key)
        self.rows("SELECT days FROM policies")
        return own(self, key), len(calls) > 6  # each of three values is computed twice before a row is changed

    assert proved(app_of(path, read)).findings == []
    assert len(calls) > 6


def test_triggers_of_others_tell_too(path):
    """A trigger of the app's own that writes to the outbox is heeded, and found where it tells too little."""
    captured(path, TABLES[1:])
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TRIGGER told AFTER UPDATE OF note ON policies BEGIN INSERT INTO parbake_outbox(id, subject, type, "
            "time) VALUES (hex(randomblob(8)), 'policy/' || NEW.id, 'policy.changed', 0); END"
        )
    db.close()

    def read(self, key):
        self.entity(f"policy/{key}")
        return self.rows("SELECT note FROM policies WHERE id = :id", id=key)

    assert "policies.note" not in places(proved(app_of(path, read)))
    found = next(f for f in proved(app_of(path, own)).findings if f.what == "policies.days")
    assert found.fix == "capture policies, or emit an event wherever it is written"


def test_broken_triggers_tell_nothing(path):
    """Where a trigger of a captured table is missing, the changes that it would have told are found."""
    captured(path)
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER parbake_capture_policies_update")
    db.close()
    assert places(proved(app_of(path, own))) == {"policies.days"}


def test_a_task_that_fails_is_not_judged(path):
    """A task that cannot be computed is named with the reason, and ends nothing."""
    captured(path)

    def read(self, key):
        raise RuntimeError("no rates today")

    assert "no rates today" in proved(app_of(path, read)).unproved["answer"]


def test_keys_are_found_in_the_tables(path):
    """Without keys=, the keys are the values of the column that the contract's template stands for."""
    captured(path)
    by = [pb.fence("policy/{policy}"), pb.fence("region"), pb.fence("setting")]
    proof = proved(app_of(path, joined, keys=None, by=by))
    assert "regions.name" in places(proof)
    assert proof.values == 4


class Thread(threading.Thread):
    """A thread that begins at once, and has the context of nobody."""

    def __init__(self, run):
        super().__init__(target=run)
        self.start()


def outside(read):
    """Return a method that also reads something beside the view."""
    return lambda self, key: (own(self, key), read())


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (lambda place: place.read_text(), "reads the file {place}"),
        (lambda place: sorted(place.parent.iterdir()), "reads the file {place.parent}"),
        (lambda place: place.with_suffix(".none").exists(), "reads the file {place.parent}/{place.stem}.none"),
        (
            lambda place: sqlite3.connect(f"file:{place}?mode=ro", uri=True).close(),
            "reads the file {place}",
        ),
        (lambda place: Thread(place.read_text).join(), "reads the file {place}"),
        (lambda place: os.environ.get("SHOP_LANG"), "reads the environment variable SHOP_LANG"),
        (lambda place: "SHOP_LANG" in os.environ, "reads the environment variable SHOP_LANG"),
    ],
)
def test_what_is_read_without_a_view_is_found(path, tmp_path, read, what):
    """A file, a folder and an environment variable that a task reads while it computes are named."""
    captured(path)
    place = tmp_path / "rates.json"
    place.write_text("{}")
    assert places(proved(app_of(path, outside(lambda: read(place))))) == {what.format(place=place)}


def test_what_is_read_once_or_by_libraries_is_not(path, tmp_path):
    """What a process keeps in memory, what modules read when they are imported, and written files are not named."""
    captured(path)
    place, kept = tmp_path / "rates.json", []
    place.write_text("{}")

    def read():
        if not kept:
            kept.append(place.read_text())
        (tmp_path / "log.txt").write_text("x")
        sqlite3.connect(":memory:").close()
        with contextlib.suppress(SyntaxError):
            ast.parse("1 +")
        return kept, (tmp_path / "log.txt").read_text()

    assert proved(app_of(path, outside(read))).findings == []


def test_an_ignored_file_is_no_finding(path, tmp_path):
    """A contract that ignores a family which no view has accounts for what is read without a view."""
    captured(path)
    by = [*(pb.fence(name) for name in ("policy", "region", "setting")), pb.ignore("rates", "they come with a release")]
    place = tmp_path / "rates.json"
    place.write_text("{}")
    assert proved(app_of(path, outside(place.read_text), by=by)).findings == []


def test_a_parser_that_is_missing_is_named(monkeypatch, path):
    """Without the extra, the error says how to install it."""

    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(statements, "import_module", missing)
    with pytest.raises(MissingDependency, match="sqlglot"):
        proved(app_of(path, own))


def test_wrong_options_are_named(path):
    """An unknown task, table or key, and a database that is not there, are errors that name the option."""
    app = app_of(path, own)
    for word, limits in (
        ("--task nothing", {"tasks": ["nothing"]}),
        ("--table nothing", {"tables": [parsed("nothing:policy/{id}")]}),
        ("no column 'nothing'", {"tables": [parsed("policies:policy/{nothing}")]}),
        ("--copy", {"copy": "postgresql://127.0.0.1/nothing"}),
    ):
        with pytest.raises(BadInput, match=word):
            proved(app, **limits)
    path.unlink()
    with pytest.raises(SourceError, match=r"shop\.db"):
        proved(app)


def run(*words):
    """Run the command."""
    return CliRunner().invoke(prove_command.command, list(words))


@pytest.fixture
def command(monkeypatch, path):
    """Make the command find an app that leaves a region out."""
    captured(path)
    monkeypatch.setattr(prove_command, "load", lambda _: type("Http", (), {"app": app_of(path, joined)}))
    return "shop:app"


def test_the_command_fails_if_it_is_told_to(command, tmp_path):
    """With --fail the exit status is 1 if something was found; the report holds each finding."""
    report = tmp_path / "found.json"
    found = run(command, "--fail", "--report", str(report))
    assert found.exit_code == 1, found.output
    assert "regions.name" in found.output
    assert "omission" in found.output
    assert "regions.name" in {one["what"] for one in json.loads(report.read_bytes())["findings"]}
    assert run(command).exit_code == 0


def test_the_command_fails_for_what_is_ignored_if_it_is_told_to(monkeypatch, path):
    """With --fail-ignored, a value that depends on what its contract ignores is a failure; with --fail it is none."""
    captured(path)
    monkeypatch.setattr(prove_command, "load", lambda _: type("Http", (), {"app": ignoring(path)}))
    found = run("shop:app", "--fail")
    assert found.exit_code == 0, found.output
    assert "ignored, and the value changes" in found.output
    assert run("shop:app", "--fail-ignored").exit_code == 1


@pytest.mark.parametrize("words", [["--sample", "0"], ["--key", "returns"], ["--table", ":x"]])
def test_the_command_names_wrong_options(command, words):
    """A value that an option cannot have is an error that names the option."""
    found = run(command, *words)
    assert isinstance(found.exception, BadInput)
    assert words[0].strip("-") in str(found.exception)


def test_the_summary_counts():
    """The summary says how much was judged."""
    assert prove_report.summary(proofs.Proof(values=2, changes=5)) == "2 values, 5 changes, 0 omissions"
