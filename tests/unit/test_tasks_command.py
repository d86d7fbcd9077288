"""``parbake tasks``: the table, and changes of contracts since a git revision."""

import subprocess

import pytest
from tests.unit.commands import invoke

MODULE = """
import parbake as pb
tasks = pb.Registry()

@tasks.artifact(freshness_sla="SLA", invalidated_by=[pb.fence("policy")], fallback_if_stale=pb.Recompute(),
                owner="support", why="WHY")
def answer(key: str) -> str:
    return key

EXTRA
app = pb.App(tasks)
"""
LIVE = '@tasks.live(why="only now")\nasync def heard(text: pb.Live[str]) -> str:\n    return text\n'


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Return a folder with an app in a git repository with one commit, as the current directory."""
    folder = tmp_path / "repo" / "service"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)

    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    write(folder, sla="1h")
    git("init", "-q", "..")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.syspath_prepend(folder)
    return folder


def write(folder, *, sla, extra="", why="policies change"):
    """Write the app's module."""
    text = MODULE.replace("SLA", sla).replace("WHY", why).replace("EXTRA", extra)
    (folder / "contracts_app.py").write_text(text)


def run(*words):
    """Run the command with the modules of the working tree."""
    return invoke("contracts_app", "tasks", "contracts_app:app", *words)


def test_a_change_of_a_contract_is_shown(repository):
    """``--diff`` shows a changed SLA and a new task, but not a changed ``why=``."""
    assert "no contract differs from HEAD" in run("--diff", "HEAD").output
    write(repository, sla="2h", extra=LIVE, why="they change now and then")
    done = run("--diff", "HEAD")
    assert done.exit_code == 0, done.output
    for words in ("freshness_sla", "1h", "2h", "heard", "real-time"):
        assert words in done.output
    assert "they change" not in done.output


def test_what_cannot_be_compared_is_one_line(repository):
    """An unknown revision, or one whose app cannot be loaded, is an error that says so."""
    assert "--diff" in str(run("--diff", "nowhere").exception)
    (repository / "contracts_app.py").write_text("raise SystemError('not yet')")
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "broken"],
        check=True,
        capture_output=True,
    )
    write(repository, sla="1h")
    error = str(run("--diff", "HEAD").exception)
    assert "cannot be loaded" in error
    assert "not yet" in error


def test_a_task_that_follows_a_plan_is_shown_as_one(repository):
    """``--diff`` shows a change from ``every()`` to ``planned()``."""
    planned = (
        "from parbake_planner import planned\n\ndef names() -> list[str]:\n    return []\n\n"
        '@tasks.artifact(freshness_sla="1d", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="x",\n'
        "                refresh=REFRESH)\ndef liked(key: str) -> str:\n    return key\n"
    )
    write(repository, sla="1h", extra=planned.replace("REFRESH", 'pb.every("20h", off_peak=True), keys=names'))
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "all"], check=True, capture_output=True
    )
    write(repository, sla="1h", extra=planned.replace("REFRESH", 'planned("20h"), keys=names'))
    assert "as planned, every 20h off-peak" in run("--diff", "HEAD").output


def test_the_table_itself(repository):
    """Without ``--diff`` the table is shown."""
    assert "policies change" in run().output


def test_a_revision_is_never_an_option_of_git(repository, tmp_path):
    """A revision that begins with a dash is refused, so git cannot overwrite a file."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    assert "begin with a dash" in str(run(f"--diff=--output={precious}").exception)
    assert precious.read_text() == "kept"
