"""``parbake audit`` against two real servers on one store: no false violation, and planted ones are found."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from tests.waiting import HANGS_S, eventually

from parbake.adapters.sqlite import OUTBOX_DDL

TOKEN = "operators-0123456789"
APP = '''
"""A note per name; ``deaf`` reads the same facts and is told of none of their changes."""
from pathlib import Path

import parbake as pb
from parbake.adapters.sqlite import SqliteSource

HERE = Path(__file__).parent


class Facts(pb.View):
    """Versions by name."""

    families = ("fact",)

    def version(self, name):
        """One version."""
        self.entity(f"fact/{name}")
        return self.rows("SELECT version FROM fact WHERE name = :name", name=name)[0][0]


tasks = pb.Registry()
contract = {"freshness_sla": "1h", "fallback_if_stale": pb.Recompute(), "owner": "test"}


@tasks.artifact(invalidated_by=[pb.fence("fact")], **contract)
def note(name: str, *, facts: pb.Source[Facts]) -> dict:
    """What the source says."""
    return {"version": facts.version(name)}


@tasks.artifact(invalidated_by=[], **contract)
def deaf(name: str) -> dict:
    """Kept whatever happens."""
    return {"version": 0}


source = SqliteSource(HERE / "facts.sqlite", families=["fact"], views=[Facts])
app = pb.App(tasks, store=f"lmdb://{HERE}/store", sources=[source])
'''
WRITER = '''
"""Commits a version, and has its event acknowledged by one of the servers."""
import contextlib
import json
import sqlite3
import urllib.request

import parbake as pb
from parbake.adapters.sqlite import emit
from parbake_lab.audit import Expectation

import ports


def write(n):
    """Version ``n + 1``, and what every read must show from now on."""
    with contextlib.closing(sqlite3.connect("facts.sqlite")) as connection, connection:
        connection.execute("UPDATE fact SET version = ? WHERE name = 'a'", (n + 1,))
        emit(connection, "fact/a", "fact.changed")
    event = {"specversion": "1.0", "id": str(n), "source": "test", "type": "fact.changed", "subject": "fact/a"}
    head = {"content-type": "application/cloudevents+json"}
    url = ports.urls[n % 2] + "/v1/events"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(event).encode(), head)) as answer:
        assert answer.status == 202
    return Expectation(task=ports.task, key="a", at_least=n + 1, path="version")
'''


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Return a folder with an app and the URLs of two servers of it."""
    folder = tmp_path_factory.mktemp("audit")
    (folder / "noted.py").write_text(APP)
    with contextlib.closing(sqlite3.connect(folder / "facts.sqlite")) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE fact(name TEXT PRIMARY KEY, version INTEGER)")
        connection.execute("INSERT INTO fact VALUES ('a', 0)")
        connection.execute(OUTBOX_DDL)
    with serving(folder, "log0") as one, serving(folder, "log1") as two:
        yield folder, [one, two]


@contextlib.contextmanager
def serving(folder, log, **environment):
    """Run a server of the app in a folder; yield its URL."""
    words = [sys.executable, "-m", "parbake", "serve", "noted:app", "--port", "0"]
    with (folder / log).open("w+") as out, contextlib.ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(words, cwd=folder, stderr=out, env=os.environ | environment))
        stack.callback(process.kill)
        url = eventually(lambda: re.search(r"http://[\d.:]+", (folder / log).read_text()))[0]
        eventually(lambda: is_ready(url))
        yield url


@pytest.fixture(scope="module")
def guarded(servers):
    """Return the folder and the URL of a server that acknowledges events of operators only."""
    folder, _ = servers
    with serving(folder, "log2", PARBAKE_TOKEN=TOKEN) as url:
        yield folder, url


def is_ready(url):
    """Return whether a server is ready."""
    try:
        with urllib.request.urlopen(url + "/readyz", timeout=HANGS_S):
            return True
    except urllib.error.HTTPError:
        return False


def run(folder, urls, *words, **environment):
    """Run the command; return its status, its report and its output."""
    command = [sys.executable, "-m", "parbake", "audit", *urls, "--report", "out.json", "--rate", "200", *words]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=HANGS_S, check=False, env=os.environ | environment
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads((folder / "out.json").read_text()), done.stdout + done.stderr


def write_with(folder, urls, task):
    """Write the writer's module for one task."""
    (folder / "writer.py").write_text(WRITER)
    (folder / "ports.py").write_text(f"urls = {urls!r}\ntask = {task!r}\n")


def test_two_servers_on_one_store_keep_the_promise(servers):
    """After each of 100 events no server returns an older stamp."""
    folder, urls = servers
    words = ("--task", "note", "--key", "a", "--touch", "fact/a", "--count", "100", "--metrics", "out.prom")
    status, found, printed = run(folder, urls, *words)
    assert (status, found["violations"], found["changes"], found["never_fresh"]) == (0, 0, 100, 0), printed
    assert found["reads"] >= 200
    assert found["is_bound"]
    assert "parbake_stale_reads_total 0.0" in (folder / "out.prom").read_text()


def test_values_are_judged_by_what_they_say(servers):
    """With a write function, the version inside every value is as new as the acknowledged one."""
    folder, urls = servers
    write_with(folder, urls, "note")
    status, found, printed = run(folder, urls, "--write", "writer:write", "--count", "40")
    assert (status, found["violations"], found["changes"], found["answered"] >= 80) == (0, 0, 40, True), printed


@pytest.mark.parametrize("by", ["stamp", "value"])
def test_a_planted_violation_is_found(servers, by):
    """A task without invalidation is reported by its stamps and by its values, with status 1 and examples."""
    folder, urls = servers
    write_with(folder, urls, "deaf")
    way = {"stamp": ("--task", "deaf", "--key", "a", "--touch", "fact/a"), "value": ("--write", "writer:write")}[by]
    status, found, printed = run(folder, urls, *way, "--count", "3", "--patience", "0.05")
    assert status == 1
    assert found["violations"] >= 4
    assert 0 < len(found["examples"]) <= 20
    assert found["examples"][0]["server"] in urls
    assert "violations, for example" in printed


TOUCHING = ("--task", "note", "--key", "a", "--touch", "fact/a")


def test_a_refused_event_is_told_at_once(guarded):
    """Without the token the first event is refused, and the audit ends with that answer instead of going on."""
    folder, url = guarded
    status, found, printed = run(folder, [url], *TOUCHING, "--count", "1000")
    assert (status, found["changes"], found["unacknowledged"], found["reads"]) == (2, 0, 1, 0)
    assert "nothing was judged: " in printed
    assert f"{url}/v1/events answered 401" in " ".join(printed.split())
    assert "set PARBAKE_TOKEN" in printed


def test_the_token_of_the_environment_is_sent(guarded):
    """With ``PARBAKE_TOKEN`` the events are acknowledged, and the token is nowhere in the output."""
    folder, url = guarded
    status, found, printed = run(folder, [url], *TOUCHING, "--count", "5", PARBAKE_TOKEN=TOKEN)
    assert (status, found["changes"], found["unacknowledged"], found["violations"]) == (0, 5, 0, 0), printed
    assert TOKEN not in printed + json.dumps(found)


def test_one_refusal_among_answers_is_listed(servers, guarded):
    """A server that refuses events beside one that takes them does not end the audit, and is named with its answer."""
    folder, (open_, _) = servers
    status, found, printed = run(folder, [open_, guarded[1]], *TOUCHING, "--count", "4")
    assert (status, found["changes"], found["unacknowledged"]) == (0, 2, 2)
    assert "changes that were not acknowledged" in printed
    assert "401" in found["refusals"][0]


def test_nothing_judged_is_no_success(servers):
    """An audit of a task that no server has ends after the first change, with status 2 and the server's answer."""
    folder, urls = servers
    words = ("--task", "absent", "--key", "a", "--touch", "fact/a", "--count", "1000")
    status, found, printed = run(folder, urls, *words)
    assert (status, found["nines"], found["unavailable_share"]) == (2, None, 1.0)
    assert found["changes"] == 1
    assert "answered 404" in printed
    assert "no task is named 'absent'" in printed
