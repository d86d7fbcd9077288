"""``parbake.toml`` and the variables that win over it: the app, its store and the log of commands."""

import json
import logging
import os
import subprocess
import sys

import pytest
from tests.unit.commands import invoke
from tests.waiting import HANGS_S

from parbake.cli.support.log_lines import JsonLines
from parbake.errors import BadInput

APP = """
import parbake as pb
from parbake.stores.memory import MemoryStore

tasks = pb.Registry()


def words() -> list[str]:
    return ["a", "b"]


@tasks.artifact(freshness_sla="1h", invalidated_by=[pb.fence("word")], fallback_if_stale=pb.Recompute(), owner="team",
                keys=words)
def word(key: str) -> str:
    return key


app = pb.App(tasks, store="lmdb://own?map_size=16MiB")
other = pb.App(tasks, store="lmdb://own?map_size=16MiB")
given = pb.App(tasks, store=MemoryStore())
used = pb.App(tasks)
used.engine
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder with an app that a file names, as the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("PARBAKE_APP", "PARBAKE_STORE", "PARBAKE_LOG_LEVEL", "PARBAKE_LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "words_app.py").write_text(APP)
    (tmp_path / "parbake.toml").write_text('app = "words_app:app"\n')
    return tmp_path


def run(*words):
    """Run a command, and return it after asserting that it succeeded."""
    done = invoke("words_app", *words)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def refused(*words):
    """Return the error by which a command is refused."""
    error = invoke("words_app", *words).exception
    assert isinstance(error, BadInput), error
    return error


def test_every_command_finds_the_app_that_the_file_names(folder):
    """APP may be left out alone, before other arguments, before options, and in a group of commands."""
    assert "word" in run("tasks")
    assert "word: generation 1, 2 rows" in run("materialize", "word")
    assert "word: generation 2, 1 rows" in run("materialize", "--key", "a", "word")
    assert "promoted" in run("runs", "word")
    assert "word/a at " in run("events", "publish", "word/a", "--type", "word.changed")
    assert "nothing is parked" in run("events", "parked", "--limit", "3")
    assert "back to generation 1" in run("rollback", "word")


def test_an_app_that_is_given_wins(folder):
    """An APP in the command line is used whatever the file names, also with a colon in a later argument."""
    assert "word: generation 1" in run("materialize", "words_app:other", "word")
    assert "cannot import 'nowhere'" in str(refused("materialize", "nowhere:app", "word"))
    error = invoke("words_app", "events", "restart", "words_app:app", "kafka:changes").exception
    assert error.field == "source"
    error = invoke("words_app", "events", "restart", "kafka:changes").exception
    assert error.field == "source"


def test_a_wrong_app_is_still_named(folder):
    """A word in the place of APP that is none is refused as APP, and not taken for something else."""
    assert refused("tasks", "words_app").field == "APP"


def test_without_an_app_the_error_says_how_to_name_one(folder):
    """Where nothing names an app, the error names APP, the file and the variable."""
    (folder / "parbake.toml").unlink()
    error = refused("tasks")
    assert error.field == "APP"
    assert "parbake.toml" in str(error)
    assert "PARBAKE_APP" in str(error)


def test_pyproject_may_hold_the_settings(folder):
    """``[tool.parbake]`` is read where there is no ``parbake.toml``, and ignored where there is one."""
    (folder / "pyproject.toml").write_text('[tool.parbake]\napp = "words_app:missing"\n')
    assert "word" in run("tasks")
    (folder / "parbake.toml").unlink()
    assert "has no 'missing'" in str(refused("tasks"))


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ('apps = "words_app:app"', "apps", "unknown key 'apps'; the keys are app, store"),
        ("app = 3", "app", "app=3 must be a text"),
        ('log_level = "loud"', "log_level", "one of debug, info, warning, error"),
        ("app = ", "parbake.toml", "cannot be read"),
    ],
)
def test_a_wrong_line_of_the_file_is_named(folder, text, field, said):
    """An unknown key, an impossible value and a broken file are refused with their names."""
    (folder / "parbake.toml").write_text(text)
    error = refused("tasks")
    assert (error.field, said in str(error)) == (field, True), error


def test_a_wrong_variable_is_named(folder, monkeypatch):
    """An impossible value of a variable is refused with the variable's name."""
    monkeypatch.setenv("PARBAKE_LOG_FORMAT", "xml")
    error = refused("tasks")
    assert (error.field, str(error)) == ("PARBAKE_LOG_FORMAT", "PARBAKE_LOG_FORMAT='xml' must be one of text, json")


def test_variables_win_over_the_file(folder, monkeypatch):
    """``PARBAKE_APP`` names another app than the file; an empty variable counts as none."""
    monkeypatch.setenv("PARBAKE_APP", "")
    assert "word" in run("tasks")
    monkeypatch.setenv("PARBAKE_APP", "words_app:missing")
    assert "has no 'missing'" in str(refused("tasks"))


def test_another_store_takes_the_place_of_the_apps(folder, monkeypatch):
    """The store of the file is used in place of the app's, and the one of the variable in place of both."""
    with (folder / "parbake.toml").open("a") as file:
        file.write('store = "lmdb://filed?map_size=16MiB"\n')
    run("materialize", "word")
    assert (folder / "filed").is_dir()
    monkeypatch.setenv("PARBAKE_STORE", "lmdb://set?map_size=16MiB")
    run("materialize", "word", "--processes", "1")
    assert (folder / "set").is_dir()
    assert not (folder / "own").exists()


def test_a_store_that_is_no_url_is_kept(folder, monkeypatch, caplog):
    """An app that was given a store keeps it, and the log says that the setting is not used."""
    monkeypatch.setenv("PARBAKE_STORE", "lmdb://set?map_size=16MiB")
    run("freshness", "words_app:given")
    assert not (folder / "set").exists()
    assert "the setting store is not used" in caplog.text


def test_the_store_of_an_app_in_use_cannot_be_replaced(folder, monkeypatch):
    """An app that its module has opened already is refused with the setting."""
    monkeypatch.setenv("PARBAKE_STORE", "lmdb://set?map_size=16MiB")
    assert refused("tasks", "words_app:used").field == "store"


def test_a_record_is_one_json_object_in_one_line():
    """Time, level, logger and message are there; a traceback stands in the message, and the line has no break."""
    try:
        int("no\nnumber")
    except ValueError:
        record = logging.LogRecord("shop", logging.WARNING, "", 1, "it %s", ("failed",), sys.exc_info())
    line = JsonLines().format(record)
    said = json.loads(line)
    assert "\n" not in line
    assert said.keys() == {"time", "level", "logger", "message"}
    assert (said["level"], said["logger"]) == ("warning", "shop")
    assert said["message"].startswith("it failed\nTraceback")


def test_a_process_logs_json_if_it_is_told_to(folder):
    """With ``PARBAKE_LOG_FORMAT=json`` and a level, each line of the log on standard error is a JSON object."""
    environment = {**os.environ, "PARBAKE_LOG_FORMAT": "json", "PARBAKE_LOG_LEVEL": "INFO"}
    done = subprocess.run(
        [sys.executable, "-m", "parbake", "materialize", "word"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=HANGS_S, check=True,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert {"level": "info", "logger": "parbake.batch"}.items() <= lines[0].items()


def test_a_shell_is_told_how_a_command_goes_on(folder):
    """Completion lists commands and options, also where no app can be found."""
    (folder / "parbake.toml").unlink()
    for words, expected in (("parbake ma", "materialize"), ("parbake tasks --di", "--diff")):
        asked = {"_PARBAKE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run(
            [sys.executable, "-c", "from parbake.cli.main import main; import sys; sys.argv = ['parbake']; main()"],
            cwd=folder, env={**os.environ, **asked}, capture_output=True, text=True, timeout=HANGS_S, check=False,
        )  # fmt: skip
        assert (done.stdout.split(), done.stderr) == ([expected], "")
