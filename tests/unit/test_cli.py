"""The command line, as a user calls it."""

import sys

import pytest
from typer.testing import CliRunner

from parbake.cli.main import cli, main

APP = '''
import parbake as pb

tasks = pb.Registry()
SETTINGS = {"freshness_sla": "1h", "invalidated_by": [pb.fence("policy")], "fallback_if_stale": pb.Recompute()}


def names() -> list[str]:
    """List the keys."""
    return ["returns", "shipping"]


@tasks.artifact(**SETTINGS, owner="support", keys=names)
def answer(policy: str) -> str:
    """Say it."""
    return policy.upper()


@tasks.live(why="needs the message")
async def intent(message: pb.Live[str]) -> str:
    return message


app = pb.App(tasks, store="lmdb://STORE?map_size=16MiB")


def make():
    """A factory is called."""
    return pb.HttpApp(app)


nothing = 7
'''


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a command in a folder with an app."""
    name = "shop_" + tmp_path.name.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(APP.replace("STORE", str(tmp_path / "store")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def invoke(*words):
        sys.modules.pop(name, None)
        return CliRunner().invoke(cli, [word.replace("shop", name) if ":" in word else word for word in words])

    return invoke


def output(result):
    """Return a command's output once it has succeeded."""
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_the_table_of_tasks_is_shown(run):
    """Mode, lanes, contract and rationale; a factory is called."""
    text = output(run("tasks", "shop:make"))
    assert "near-real-time" in text
    assert "owner: support" in text
    assert "needs the message" in text


def test_a_batch_run_is_materialized_shown_and_rolled_back(run):
    """Two runs, a look at the ages, and one step back."""
    assert "answer: generation 1, 2 rows" in output(run("materialize", "shop:app", "answer"))
    output(run("materialize", "shop:app", "answer"))
    assert "support" in output(run("freshness", "shop:app"))
    assert "answer: back to generation 1" in output(run("rollback", "shop:app", "answer"))


def test_an_event_is_published(run):
    """The acknowledgement names each raised tag with its sequence."""
    text = output(run("events", "publish", "shop:app", "policy/returns", "--type", "policy.changed"))
    assert "policy/returns at 1" in text


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("tasks", "shop"), "APP"),
        (("tasks", "nowhere_at_all:app"), "APP"),
        (("tasks", "shop:missing"), "APP"),
        (("tasks", "shop:nothing"), "APP"),
        (("materialize", "shop:app", "intent"), "TASK"),
        (("materialize", "shop:app", "missing"), "task"),
        (("events", "publish", "shop:app", "No Tag"), "subject"),
    ],
)
def test_a_wrong_argument_is_named(run, words, field):
    """The error says which argument cannot be used."""
    error = run(*words).exception
    assert error.field == field, error


def test_errors_are_one_plain_line(monkeypatch, capsys):
    """No traceback, exit status 1."""
    monkeypatch.setattr(sys, "argv", ["parbake", "tasks", "nowhere"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("parbake: APP='nowhere'")
