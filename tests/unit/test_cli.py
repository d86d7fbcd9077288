"""The commands of ``parbake``: their output, reports and errors."""

import contextlib
import importlib.metadata
import json
import re
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from http.client import HTTPConnection

import pytest
from tests.unit.commands import invoke
from tests.waiting import HANGS_S, eventually

import parbake as pb
from parbake.adapters.prometheus import exposed
from parbake.adapters.sqlite import OUTBOX_DDL
from parbake.cli import main as commands
from parbake.cli.main import main
from parbake.errors import BadInput, PortTaken
from parbake.process.counters import Counters

APP = '''
import os

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake.http import HttpApp

tasks = pb.Registry()
SETTINGS = {"freshness_sla": "1h", "invalidated_by": [pb.fence("policy")], "fallback_if_stale": pb.Recompute()}


def names() -> list[str]:
    """List the keys."""
    return ["returns", "shipping"]


@tasks.artifact(**SETTINGS, owner="support", keys=names)
def answer(policy: str) -> str:
    """Say it."""
    if "SHOP_FAILS" in os.environ:
        raise ValueError(os.environ["SHOP_FAILS"])
    return policy.upper()


@tasks.artifact(**SETTINGS, owner="support", keys=names)
def title(policies: pb.Keys[str]) -> dict[str, str]:
    """Leave one out."""
    return {policy: policy.title() for policy in policies if policy != "returns"}


@tasks.artifact(**SETTINGS, owner="support")
def rank(number: int) -> int:
    return number


@tasks.artifact(**SETTINGS, owner="support")
def pair(parts: tuple[str, int]) -> str:
    return str(parts)


@tasks.live(why="needs the message")
async def intent(message: pb.Live[str]) -> str:
    return message


source = SqliteSource("STORE.outbox", families=["policy"], views=[])
app = pb.App(tasks, store="lmdb://STORE?map_size=16MiB")
heard = pb.App(tasks, store="lmdb://STORE?map_size=16MiB", sources=[source])


forgetful = pb.App(tasks)


def make():
    """A factory is called."""
    return HttpApp(app)


nothing = 7
'''


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a command in a folder with an app."""
    name = "shop_" + tmp_path.name.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(APP.replace("STORE", str(tmp_path / "store")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*words):
        return invoke(name, *(word.replace("shop", name) if ":" in word else word for word in words))

    return run


def output(result):
    """Return a command's output, after asserting that it succeeded."""
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_the_version_is_shown(capsys):
    """``parbake --version`` prints the version of the installed distribution and ends with status 0."""
    with pytest.raises(SystemExit) as ended:
        commands.cli(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"parbake {importlib.metadata.version('parbake')}\n")


def test_the_table_of_tasks_is_shown(run):
    """The table shows mode, contract and reason of each task; an app factory is called."""
    text = output(run("tasks", "shop:make"))
    assert "near-real-time" in text
    assert "owner: support" in text
    assert "needs the message" in text


def test_a_run_is_reported_and_remembered(run, tmp_path):
    """``--report`` writes JSON with what was built, ``runs`` shows the outcome, and a bad report path is refused."""
    output(run("materialize", "shop:app", "answer", "--report", "run.json"))
    report = json.loads((tmp_path / "run.json").read_text())
    assert report["trigger"] == "manual"
    assert {name: report["built"][0][name] for name in ("task", "rows", "absent", "partitions")} == {
        "task": "answer", "rows": 2, "absent": 0, "partitions": 1,
    }  # fmt: skip
    shown = output(run("runs", "shop:app", "answer"))
    assert "promoted" in shown
    assert "manual" in shown
    refused = run("materialize", "shop:app", "answer", "--report", "nowhere/run.json")
    assert isinstance(refused.exception, pb.BadInput)
    assert refused.exception.field == "report"


def test_keys_without_a_row_are_shown(run, tmp_path):
    """Keys that a function leaves out count as absent in the output, the report and the history."""
    shown = output(run("materialize", "shop:app", "title", "--report", "run.json"))
    assert "title: generation 1, 1 rows, 1 absent in " in shown
    assert json.loads((tmp_path / "run.json").read_text())["built"][0]["absent"] == 1
    heads, row = (re.split("[┃│]", line) for line in output(run("runs", "shop:app", "title")).splitlines()[1:4:2])
    counts = {head.strip(): cell.strip() for head, cell in zip(heads, row, strict=True)}
    assert (counts["rows"], counts["absent"]) == ("1", "1")
    assert "absent" not in output(run("materialize", "shop:app", "answer"))


def test_a_failed_run_is_shown_with_its_reason(run, monkeypatch):
    """The history shows the exception with its message, and does not read brackets in it as markup."""
    monkeypatch.setenv("SHOP_FAILS", "no [red]answer[/blue]")
    assert isinstance(run("materialize", "shop:app", "answer").exception, pb.errors.ComputeFailed)
    shown = " ".join(output(run("runs", "shop:app", "answer")).split())
    assert "failed: answer: ValueError: no [red]answer[/blue]" in shown


def test_a_run_may_be_computed_by_other_processes(run):
    """With ``--processes`` other processes import the app by name, and their rows are stored."""
    assert "answer: generation 1, 2 rows" in output(run("materialize", "shop:app", "answer", "--processes", "2"))
    assert "2" in output(run("freshness", "shop:app"))


def test_keys_can_be_named(run):
    """``--key`` computes only the named keys; numbers and JSON are read by the type of the task's key."""
    assert "answer: generation 1, 1 rows" in output(run("materialize", "shop:app", "answer", "--key", "shipping"))
    assert "rank: generation 2, 2 rows" in output(run("materialize", "shop:app", "rank", "--key", "7", "--key", "8"))
    assert "pair: generation 3, 1 rows" in output(run("materialize", "shop:app", "pair", "--key", '["a", 1]'))


@pytest.mark.parametrize(
    "words",
    [("materialize", "answer"), ("events", "publish", "policy/returns"), ("worker",)],
    ids=lambda words: words[0],
)
def test_a_store_that_no_other_process_sees_is_refused(run, words):
    """Commands that change a store refuse ``memory://``, whose contents are gone when the command ends."""
    app = "shop:forgetful"
    command = [words[0], app, *words[1:]] if words[0] != "events" else ["events", words[1], app, words[2]]
    assert "memory://, which no other process sees" in str(run(*command).exception)


def test_a_store_that_cannot_be_opened_is_one_line(tmp_path):
    """``parbake serve`` reports a store that cannot be opened in one line, and logs nothing else."""
    (tmp_path / "file").touch()
    (tmp_path / "blocked.py").write_text(
        f"import parbake as pb\napp = pb.App(pb.Registry(), store='lmdb://{tmp_path}/file/store')\n"
    )
    command = [sys.executable, "-m", "parbake", "serve", "blocked:app", "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("parbake: ")
    assert "file/store" in done.stderr


def test_a_key_that_cannot_be_one_is_one_line(run):
    """A ``--key`` of the wrong type is refused with its value, the task and the expected type."""
    refused = run("materialize", "shop:app", "rank", "--key", "seven")
    assert str(refused.exception) == "--key 'seven' is not a key of rank: expected int"
    assert isinstance(refused.exception, BadInput)


def test_a_batch_run_is_materialized_shown_and_rolled_back(run):
    """``materialize``, ``freshness`` and ``rollback`` work on one store, one after the other."""
    assert "answer: generation 1, 2 rows" in output(run("materialize", "shop:app", "answer"))
    output(run("materialize", "shop:app", "answer"))
    assert "support" in output(run("freshness", "shop:app"))
    assert "answer: back to generation 1" in output(run("rollback", "shop:app", "answer"))


def test_an_event_is_published(run):
    """The acknowledgement names the raised tag with its sequence."""
    text = output(run("events", "publish", "shop:app", "policy/returns", "--type", "policy.changed"))
    assert "policy/returns at 1" in text


def test_a_typing_error_in_a_family_is_noticed(run):
    """The event is acknowledged, with a warning that names the unknown family."""
    assert "polcy: a typing error?" in output(run("events", "publish", "shop:app", "polcy/returns"))


def test_parked_events_are_shown_and_retried(run, tmp_path):
    """An invalid event is listed with its reason and kept by a retry; ``restart`` resets its source."""
    with contextlib.closing(sqlite3.connect(tmp_path / "store.outbox")) as connection, connection:
        connection.execute(OUTBOX_DDL)
        connection.execute("INSERT INTO parbake_outbox VALUES (1, 'one', 'No [red]Tag', 'policy.changed', 0)")
    assert "nothing is parked" in output(run("events", "parked", "shop:heard"))
    output(run("materialize", "shop:heard", "answer"))
    shown = output(run("events", "parked", "shop:heard"))
    assert "is not a tag" in shown
    assert "[red]" in shown
    assert "0 understood, 1 kept" in output(run("events", "retry", "shop:heard", "--all"))
    assert "0 understood, 1 kept" in output(run("events", "retry", "shop:heard", "shop", "1"))
    assert "policy/* at " in output(run("events", "restart", "shop:heard", "shop"))


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("tasks", "shop"), "APP"),
        (("tasks", ":app"), "APP"),
        (("tasks", ".shop:app"), "APP"),
        (("tasks", "nowhere_at_all:app"), "APP"),
        (("tasks", "shop:missing"), "APP"),
        (("tasks", "shop:nothing"), "APP"),
        (("materialize", "shop:app", "intent"), "TASK"),
        (("materialize", "shop:app", "missing"), "task"),
        (("events", "publish", "shop:app", "No Tag"), "subject"),
        (("events", "retry", "shop:app"), "SOURCE"),
        (("events", "retry", "shop:app", "shop"), "SOURCE"),
        (("events", "retry", "shop:app", "shop", "1", "--all"), "SOURCE"),
        (("events", "retry", "shop:app", "shop", "1"), "position"),
        (("events", "restart", "shop:app", "shop"), "source"),
    ],
)
def test_a_wrong_argument_is_named(run, words, field):
    """The error names the argument that is wrong."""
    error = run(*words).exception
    assert error.field == field, error


def test_a_worker_shows_its_metrics(tmp_path):
    """``--metrics-port`` makes a worker serve its metrics on a loopback port."""
    (tmp_path / "workshop.py").write_text(APP.replace("STORE", str(tmp_path / "store")))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "parbake", "worker", "workshop:app", "--metrics-port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path) as process:
        try:
            shown = fetched(f"http://127.0.0.1:{port}/metrics", process)
        finally:
            process.terminate()
    assert b"parbake_time_to_fresh_seconds" in shown


def fetched(url, process):
    """Request a URL until the process answers."""

    def answer():
        assert process.poll() is None, "the worker has ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=HANGS_S) as answered:
            return answered.read()

    return eventually(answer)


def test_a_port_that_is_taken_is_named():
    """If the metrics port is in use, the error names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortTaken) as refused:
        exposed(Counters(), taken.getsockname()[1]).__enter__()
    assert refused.value.field == "metrics_port"


@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("127.0.0.1:9100", 200), ("evil.example", 421)])
def test_a_workers_metrics_are_for_this_host(host, status):
    """A page whose name leads to loopback gets no metrics of a worker."""
    with exposed(Counters(), 0) as port, contextlib.closing(HTTPConnection("127.0.0.1", port, HANGS_S)) as client:
        client.request("GET", "/metrics", headers={"host": host})
        assert client.getresponse().status == status


def test_errors_are_one_plain_line(monkeypatch, capsys):
    """An error is printed as one line without a traceback, with exit status 1."""
    monkeypatch.setattr(sys, "argv", ["parbake", "tasks", "nowhere"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("parbake: APP='nowhere'")


def test_what_a_task_said_is_one_plain_line_without_secrets(run, monkeypatch, capsys):
    """An exception's message is printed in one line, without control characters and without a URL's credentials."""
    monkeypatch.setenv("SHOP_FAILS", "no answer\x1b[31m from\nredis://shop:hunter2@cache\n")
    failed = run("materialize", "shop:app", "answer").exception
    monkeypatch.setattr(commands, "cli", raising(failed))
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "parbake: answer: ValueError: no answer[31m from redis://***@cache\n"


def raising(error):
    """Return a function that raises an error."""

    def call():
        raise error

    return call
