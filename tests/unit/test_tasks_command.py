"""``parbake tasks``: the table, and what has changed in contracts since a revision."""

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
    """Return a git repository with an app in a folder of it, committed once, in which one stands."""
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
    """Write the app."""
    text = MODULE.replace("SLA", sla).replace("WHY", why).replace("EXTRA", extra)
    (folder / "contracts_app.py").write_text(text)


def run(*words):
    """Call the command in a process whose modules are those of the working tree."""
    return invoke("contracts_app", "tasks", "contracts_app:app", *words)


def test_a_change_of_a_contract_is_shown(repository):
    """An SLA that grew and a task that came; a reason that is worded anew is no change of a contract."""
    assert "no contract differs from HEAD" in run("--diff", "HEAD").output
    write(repository, sla="2h", extra=LIVE, why="they change now and then")
    done = run("--diff", "HEAD")
    assert done.exit_code == 0, done.output
    for words in ("freshness_sla", "1h", "2h", "heard", "real-time"):
        assert words in done.output
    assert "they change" not in done.output


def test_what_cannot_be_compared_is_one_line(repository):
    """An unknown revision, and an app that did not exist or could not be loaded then."""
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
    """Whether all keys are computed ahead or those that a plan picks is part of what a change changes."""
    planned = (
        "def names() -> list[str]:\n    return []\n\n"
        '@tasks.artifact(freshness_sla="1d", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="x",\n'
        "                refresh=pb.REFRESH)\ndef liked(key: str) -> str:\n    return key\n"
    )
    write(repository, sla="1h", extra=planned.replace("REFRESH", 'every("20h", off_peak=True), keys=names'))
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "all"], check=True, capture_output=True
    )
    write(repository, sla="1h", extra=planned.replace("REFRESH", 'planned("20h"), keys=names'))
    assert "as planned, every 20h off-peak" in run("--diff", "HEAD").output


def test_the_table_itself(repository):
    """Without a revision the whole table is shown."""
    assert "policies change" in run().output


def test_a_revision_is_never_an_option_of_git(repository, tmp_path):
    """What a script passes on as a branch name must not make git write over a file."""
    precious = tmp_path / "precious"
    precious.write_text("kept")
    assert "begin with a dash" in str(run(f"--diff=--output={precious}").exception)
    assert precious.read_text() == "kept"
